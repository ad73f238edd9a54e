import { readFile } from 'node:fs/promises'
import { Command } from 'commander'
import { hostClient } from '../../../soda-host/client/index.ts'
import { readConfig, type Config } from '../../config/index.ts'
import { ConfigError } from '../../errors.ts'
import { loadOrCreateIdentity } from '../../identity/index.ts'
import { createPeer } from '../../peer.ts'
import type { ProviderInit } from '../../plugin.ts'
import { defaultRules, parseRules, type AccessRules } from '../../rules/index.ts'
import { collect, jsonOption, networkOptions, sliceWords } from '../options.ts'
import { note, printFacts } from '../output.ts'
import { becomeUnprivileged } from '../privileges.ts'
import { backgroundLog, untilToldToEnd } from '../service.ts'

interface Flags {
  json?: boolean
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
    .option('--user <account>', 'the account to become when started by root')
  return jsonOption(networkOptions(command)).action(provide)
}

async function provide(flags: Flags): Promise<void> {
  const config = await readConfig({ flags: { ...flags } })
  const { stateDir, listen, bootstrap } = config
  const policy = await readPolicy(config)
  await becomeUnprivileged(stateDir, flags.user)
  const host = hostClient({ socketPath: config.socketPath })
  const { total } = await host.capacity()
  const identity = await loadOrCreateIdentity(stateDir)
  const provider: ProviderInit = {
    host,
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
      offer: side?.offer()?.digest ?? 'not signed yet',
      ready: 'Ctrl+C ends it; programs that run go on, and are found again'
    },
    flags.json === true
  )
  await untilToldToEnd()
  note('Stopping; programs that run go on.')
  await peer.stop()
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
  return {
    slice: {
      architecture,
      cpu: total.cpu,
      memoryBytes: total.memoryBytes,
      diskBytes: total.diskBytes,
      outboundBitsPerSecond,
      count: total.servers
    },
    images,
    labels: config.labels,
    rules: rules ?? defaultRules(total),
    terms: { text: terms },
    factories: []
  }
}
