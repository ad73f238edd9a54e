import { chmod, copyFile, link } from 'node:fs/promises'
import { join } from 'node:path'
import { readArtifacts } from '../../soda-host/factory/artifacts.ts'
import type { LaunchSpec } from '../../soda-host/virtual-server/types.ts'

const READ_BY_ALL = 0o644
const RUN_BY_ALL = 0o755

/**
 * Kernel, initrd and one image of the set-up, put where the uid of a server can reach them, as the daemon does.
 * `directory` is one that everybody may walk through.
 */
export async function guestArtifacts(
  directory: string,
  imageName: string
): Promise<Pick<LaunchSpec, 'kernelPath' | 'initrdPath' | 'imagePath'>> {
  const artifacts = await readArtifacts(process.env['ISHARE_ARTIFACTS'] ?? '')
  const image = artifacts.images.find(({ name }) => name === imageName)
  if (image === undefined) throw new Error(`no image ${imageName} among the artifacts`)
  return {
    // Never change the mode of what the factory made: these two are small, so copies will do.
    kernelPath: await copied(artifacts.kernel.path, join(directory, 'kernel'), RUN_BY_ALL),
    initrdPath: await copied(artifacts.initrd.path, join(directory, 'initrd'), READ_BY_ALL),
    imagePath: await linked(image.path, join(directory, 'image'))
  }
}

async function copied(from: string, to: string, mode: number): Promise<string> {
  await copyFile(from, to)
  await chmod(to, mode)
  return to
}

async function linked(from: string, to: string): Promise<string> {
  try {
    await link(from, to)
    return to
  } catch {
    // Another file system.
    return copied(from, to, READ_BY_ALL)
  }
}
