/** The Trusted UML Factory: build, start, stamp, show, verify. */
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import {
  ensureArtifacts,
  ensureKernel,
  kernelStamper,
  readStamp,
  reproduceKernel,
  stampKernel,
  withRebuiltKernel,
  type FactoryOptions,
  type Stamp
} from '../../../soda-host/factory/index.ts'
import { readConfig } from '../../config/index.ts'
import { verifyKeptDocument, type KernelManifest } from '../../documents/index.ts'
import { ConfigError } from '../../errors.ts'
import { loadOrCreateIdentity } from '../../identity/index.ts'
import { createFactoryPeer } from '../../peer.ts'
import { ensurePackages, progressLine } from '../../setup/index.ts'
import { EXIT_FAILURE } from '../exit-status.ts'
import { collect, jsonOption, stateOption } from '../options.ts'
import { note, printFacts } from '../output.ts'
import { factoryDirectory, prepareFactory } from '../own-factory.ts'
import { becomeUnprivileged } from '../privileges.ts'
import { backgroundLog, untilToldToEnd } from '../service.ts'

interface JsonFlag {
  json?: boolean
}

export function factoryCommand(): Command {
  return new Command('factory')
    .description('make, sign and check what virtual servers boot from')
    .addCommand(buildCommand())
    .addCommand(startCommand())
    .addCommand(stampCommand())
    .addCommand(showCommand())
    .addCommand(verifyCommand())
}

function cacheOptions(command: Command): Command {
  return jsonOption(
    command
      .option('--config <file>', 'settings as JSON')
      .option('--cache-dir <dir>', 'where what was built is kept')
  )
}

function buildCommand(): Command {
  const build = new Command('build').description(
    'build the guest kernel, its init and the images, or find them in the cache'
  )
  return cacheOptions(build).action(async (flags: JsonFlag) => {
    await withFactoryOptions(flags, async (options) => {
      const { kernel, initrd, images } = (await ensureArtifacts(options)).artifacts
      printFacts(
        {
          kernel: `${kernel.digest} ${kernel.path}`,
          initrd: `${initrd.digest} ${initrd.path}`,
          image: images.map((image) => `${image.name} ${image.digest} ${image.path}`)
        },
        flags.json === true
      )
    })
  })
}

/** With what building needs; Ctrl+C stops it. */
async function withFactoryOptions(
  flags: object,
  use: (options: FactoryOptions) => Promise<void>
): Promise<void> {
  const { cacheDir } = await readConfig({ flags: { ...flags } })
  const stop = new AbortController()
  const onInterrupt = () => stop.abort()
  process.once('SIGINT', onInterrupt)
  try {
    await ensurePackages({ signal: stop.signal })
    await use({ cacheDir, progress: progressLine(), signal: stop.signal })
  } finally {
    process.off('SIGINT', onInterrupt)
  }
}

interface StartFlags extends JsonFlag {
  artifacts?: string
  user?: string
}

function startCommand(): Command {
  const start = new Command('start')
    .description('run a factory with a key of its own: it makes and signs the kernels of leases that name it')
    .option('--listen <multiaddr>', 'where to listen; may be repeated', collect)
    .option('--artifacts <file>', 'list of what was built (default: that of the cache)')
    .option('--user <account>', 'the account to become when started by root')
  return jsonOption(stateOption(start)).action(async (flags: StartFlags) => {
    const config = await readConfig({ flags: { ...flags } })
    const { stateDir, listen } = config
    await prepareFactory(stateDir, flags.artifacts ?? join(config.cacheDir, 'artifacts.json'))
    await becomeUnprivileged(stateDir, flags.user)
    const directory = factoryDirectory(stateDir)
    const identity = await loadOrCreateIdentity(directory)
    const stamper = await kernelStamper(directory)
    const factory = { stamper, onError: backgroundLog() }
    const peer = await createFactoryPeer({ identity, listen, factory })
    printFacts(
      {
        factory: identity.id,
        kernel: stamper.base.digest,
        listening: peer.getMultiaddrs().map(String),
        ready: 'Ctrl+C ends it'
      },
      flags.json === true
    )
    await untilToldToEnd()
    await peer.stop()
  })
}

interface StampFlags extends JsonFlag {
  key: string[]
  out: string
  ruleset?: string
  policy?: string
  hideSeverity?: boolean
}

function stampCommand(): Command {
  return jsonOption(
    new Command('stamp')
      .description('stamp a base kernel for keys of your own; without a manifest no provider boots it')
      .argument('<kernel>', 'the base kernel')
      .requiredOption('--key <key>', 'public log key, as `ishare id` prints it; may be repeated', collect)
      .requiredOption('--out <file>', 'the stamped kernel; must not exist')
      .option('--ruleset <digest>', 'digest of the compiled rules that the kernel takes')
      .option('--policy <file>', 'the policy')
      .option('--hide-severity', 'show the landlord nothing of alerts, not even how grave they are')
  ).action(async (kernel: string, flags: StampFlags) => {
    const { key, out, ruleset, policy } = flags
    const stamped = await stampKernel(kernel, out, {
      serverId: randomBytes(16),
      recipients: key.map((text) => Buffer.from(text, 'base64url')),
      showsSeverity: flags.hideSeverity !== true,
      ...(ruleset === undefined ? {} : { rulesetSha256: bytesOf(ruleset) }),
      policy: policy === undefined ? Buffer.alloc(0) : await readFile(policy)
    })
    printFacts({ kernel: `${stamped.digest} ${out}` }, flags.json === true)
  })
}

function bytesOf(digest: string): Buffer {
  const [, hex] = /^sha256:([0-9a-f]{64})$/.exec(digest) ?? []
  if (hex === undefined) throw new InvalidArgumentError('expected sha256: and 64 hex digits')
  return Buffer.from(hex, 'hex')
}

function showCommand(): Command {
  return jsonOption(
    new Command('show')
      .description('say what a kernel is stamped with, or what a kernel manifest says')
      .argument('<file>', 'a guest kernel, or a manifest (compact JWS)')
  ).action(async (file: string, flags: JsonFlag) => {
    const head = await readHead(file)
    printFacts(
      head.startsWith('\x7fELF') ? await kernelFacts(file) : await manifestFacts(file),
      flags.json === true
    )
  })
}

const HEAD_BYTES = 4

async function readHead(file: string): Promise<string> {
  return (await readText(file)).slice(0, HEAD_BYTES)
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'latin1')
  } catch (cause) {
    throw new ConfigError('ERR_CONFIG_FORMAT', `${file}: cannot be read`, { cause })
  }
}

async function kernelFacts(file: string): Promise<Record<string, unknown>> {
  const stamp = await readStamp(file)
  return stamp === undefined ? { stamp: 'none: a base kernel' } : stampFacts(stamp)
}

function stampFacts({ serverId, recipients, showsSeverity, rulesetSha256, policy }: Stamp) {
  return {
    server: Buffer.from(serverId).toString('hex'),
    logKey: recipients.map((key) => Buffer.from(key).toString('base64url')),
    landlordSees: showsSeverity ? 'how grave alerts are' : 'nothing',
    ruleset: rulesetSha256 === undefined ? 'any' : `sha256:${Buffer.from(rulesetSha256).toString('hex')}`,
    policy: `${policy.length} bytes`
  }
}

async function manifestFacts(file: string): Promise<Record<string, unknown>> {
  const { iss, iat, exp, leaseDigest, kernel, base, stamp } = await readManifest(file)
  const { source, config, patches, kernort, settings, toolchain } = base.inputs
  return {
    factory: iss,
    signed: new Date(iat * 1000).toISOString(),
    until: new Date(exp * 1000).toISOString(),
    lease: leaseDigest,
    kernel: kernel.digest,
    base: base.digest,
    source: `${source.package} ${source.version} ${source.digest}`,
    config,
    patches,
    kernort,
    settings,
    toolchain: Object.values(toolchain),
    server: stamp.serverId,
    logKey: stamp.logKeys,
    landlordSees: stamp.showsSeverity ? 'how grave alerts are' : 'nothing',
    ruleset: stamp.ruleset ?? 'any',
    policy: `${Buffer.from(stamp.policy ?? '', 'base64url').length} bytes`
  }
}

async function readManifest(file: string): Promise<KernelManifest> {
  const { payload } = await verifyKeptDocument('kernel-manifest', (await readText(file)).trim())
  return payload
}

interface VerifyFlags extends JsonFlag {
  rebuild?: boolean
}

function verifyCommand(): Command {
  const verify = new Command('verify')
    .description('build and stamp the kernel of a manifest again, and say whether it comes out the same')
    .argument('<manifest>', 'a kernel manifest (compact JWS)')
    .option('--rebuild', 'build the base kernel anew, even if it is in the cache')
  return cacheOptions(verify).action(async (file: string, flags: VerifyFlags) => {
    const manifest = await readManifest(file)
    await withFactoryOptions(flags, async (options) => {
      const compare = (built: Awaited<ReturnType<typeof ensureKernel>>) =>
        reproduceKernel(manifest, built, tmpdir())
      const { base, kernel, isSame } =
        flags.rebuild === true
          ? await withRebuiltKernel(options, compare)
          : await compare(await ensureKernel(options))
      if (!isSame) process.exitCode = EXIT_FAILURE
      printFacts({ factory: manifest.iss, base: base.made, kernel: kernel.made, isSame }, flags.json === true)
      if (base.said !== base.made) note(`The manifest says that the base kernel is ${base.said}`)
      if (kernel.said !== kernel.made) note(`The manifest says that the kernel is ${kernel.said}`)
    })
  })
}
