import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Command } from 'commander'
import { grantableDiskBytes, hostClient } from '../../../soda-host/client/index.ts'
import { readConfig, type Config } from '../../config/index.ts'
import { ConfigError, isIShareError } from '../../errors.ts'
import { loadOrCreateIdentity } from '../../identity/index.ts'
import { createPeer } from '../../peer.ts'
import type { ProviderInit } from '../../plugin.ts'
import { defaultRules, parseRules, type AccessRules } from '../../rules/index.ts'
import { collect, jsonOption, networkOptions, sliceWords } from '../options.ts'
import { note, printFacts } from '../output.ts'
import { openOwnFactory, prepareFactory } from '../own-factory.ts'
import { becomeUnprivileged } from '../privileges.ts'
import { backgroundLog, untilToldToEnd } from '../service.ts'

interface Flags {
  json?: boolean
  artifacts?: string
  user?: string
  publicUrl?: string
  link?: string[]
}

const DEFAULT_TERMS = `Use this machine lawfully, attack nobody, and bring no data that you may not share with its owner.
There is no warranty.
`

export function provideCommand(): Command {
  const command = new Command('provide')
    .description('publish a slice of this machine and take runs; needs `ishare host start` beside it')
    .option('--socket-path <path>', 'where the SODA host listens')
    .option('--listen <multiaddr>', 'where to listen; may be repeated', collect)
    .option(
      '--rules-file <file>',
      'access rules as JSON; without it anyone may have the slice, without a network'
    )
    .option('--terms-file <file>', 'what users agree to, as text')
    .option('--labels <label...>', 'labels by which others may look for it')
    .option('--page <host:port>', "serve the offer's page there; port 0 is any")
    .option('--public-url <url>', 'the address under which others reach the page')
    .option('--link <url>', "another provider's page, to be named on ours; may be repeated", collect)
    .option(
      '--factories <place>',
      'whose kernels are booted: own, none, or a factory as multiaddr with its peer id; may be repeated',
      collect
    )
    .option('--artifacts <file>', 'list of what was built, for the own factory (default: that of the cache)')
    .option('--user <account>', 'the account to become when started by root')
  return jsonOption(networkOptions(command)).action(provide)
}

async function provide(flags: Flags): Promise<void> {
  const config = await readConfig({ flags: { ...flags } })
  const { stateDir, listen, bootstrap } = config
  const policy = await readPolicy(config)
  const artifacts = flags.artifacts ?? join(config.cacheDir, 'artifacts.json')
  const hasOwn = await preparesOwnFactory(config, artifacts)
  await becomeUnprivileged(stateDir, flags.user)
  const host = hostClient({ socketPath: config.socketPath })
  const { total } = await host.capacity()
  const identity = await loadOrCreateIdentity(stateDir)
  const factories = await factoriesOf(config, hasOwn, identity.id)
  const provider: ProviderInit = {
    host,
    factories,
    describe: async (signal) => describe(await host.capacity(signal), policy, config),
    ...(config.page === undefined ? {} : { page: { ...config.page, ...pageFlags(flags) } })
  }
  const peer = await createPeer({
    identity,
    listen,
    bootstrap,
    ishare: { stateDir, provider, onError: backgroundLog() }
  })
  const side = peer.services.ishare.provider
  const page = side?.pageUrl
  printFacts(
    {
      peer: identity.id,
      slice: sliceWords(total, total.servers),
      listening: peer.getMultiaddrs().map(String),
      ...(page === undefined ? {} : { page }),
      factory: factories.length === 0 ? 'none: nothing is watched' : factories.map(({ id }) => id),
      offer: side?.offer()?.digest ?? 'not signed yet',
      ready: 'Ctrl+C ends it; programs that run go on, and are found again'
    },
    flags.json === true
  )
  await untilToldToEnd()
  note('Stopping; programs that run go on.')
  await peer.stop()
}

/**
 * True if this provider has a factory of its own: when it is told so, and when nobody has said anything and there is a
 * kernel that can be stamped.
 */
async function preparesOwnFactory({ factories, stateDir }: Config, artifacts: string): Promise<boolean> {
  const isWanted = factories.some(({ kind }) => kind === 'own')
  if (!isWanted && factories.length > 0) return false
  try {
    await prepareFactory(stateDir, artifacts)
    return true
  } catch (error) {
    if (isWanted || !isIShareError(error)) throw error
    note(`No factory of its own, so that kernels seal nothing: ${error.message}`)
    return false
  }
}

async function factoriesOf(
  { factories, stateDir }: Config,
  hasOwn: boolean,
  provider: string
): Promise<NonNullable<ProviderInit['factories']>> {
  const others = factories.filter((factory) => factory.kind === 'peer')
  return hasOwn ? [await openOwnFactory(stateDir, provider), ...others] : others
}

function pageFlags({ publicUrl, link }: Flags) {
  return { ...(publicUrl === undefined ? {} : { publicUrl }), ...(link === undefined ? {} : { links: link }) }
}

interface Policy {
  rules: AccessRules | undefined
  terms: string
}

/** Read while the files of whoever typed the command can still be read. */
async function readPolicy({ rulesFile, termsFile }: Config): Promise<Policy> {
  return {
    rules: rulesFile === undefined ? undefined : parseRules(await readText(rulesFile)),
    terms: termsFile === undefined ? DEFAULT_TERMS : await readText(termsFile)
  }
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    throw new ConfigError('ERR_CONFIG_FORMAT', `${path}: cannot be read`, { cause: error })
  }
}

type Capacity = Awaited<ReturnType<ProviderInit['host']['capacity']>>

function describe({ architecture, total, images }: Capacity, { rules, terms }: Policy, config: Config) {
  const { outboundBitsPerSecond } = config.slice
  const diskBytes = grantableDiskBytes(total.diskBytes)
  return {
    slice: {
      architecture,
      cpu: total.cpu,
      memoryBytes: total.memoryBytes,
      diskBytes,
      outboundBitsPerSecond,
      count: total.servers
    },
    images,
    labels: config.labels,
    rules: rules ?? defaultRules({ ...total, diskBytes }),
    terms: { text: terms }
  }
}
