import { Command } from 'commander'
import { ensureArtifacts } from '../../../soda-host/factory/index.ts'
import { readConfig } from '../../config/index.ts'
import { ensurePackages, progressLine } from '../../setup/index.ts'
import { jsonOption } from '../options.ts'
import { printFacts } from '../output.ts'

export function factoryCommand(): Command {
  const build = new Command('build')
    .description('build the guest kernel, its init and the images, or find them in the cache')
    .option('--config <file>', 'settings as JSON')
    .option('--cache-dir <dir>', 'where they are kept')
  return new Command('factory')
    .description('make what virtual servers boot from')
    .addCommand(jsonOption(build).action(buildAll))
}

async function buildAll(flags: { json?: boolean }): Promise<void> {
  const { cacheDir } = await readConfig({ flags: { ...flags } })
  const stop = new AbortController()
  const onInterrupt = () => stop.abort()
  process.once('SIGINT', onInterrupt)
  try {
    await ensurePackages({ signal: stop.signal })
    const { artifacts } = await ensureArtifacts({
      cacheDir,
      progress: progressLine(),
      signal: stop.signal
    })
    const { kernel, initrd, images } = artifacts
    printFacts(
      {
        kernel: `${kernel.digest} ${kernel.path}`,
        initrd: `${initrd.digest} ${initrd.path}`,
        image: images.map((image) => `${image.name} ${image.digest} ${image.path}`)
      },
      flags.json === true
    )
  } finally {
    process.off('SIGINT', onInterrupt)
  }
}
