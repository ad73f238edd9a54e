import { createInterface } from 'node:readline/promises'
import { Command, Option } from 'commander'
import type { OfferQuery } from '../../../idiscover/index.ts'
import type { Config } from '../../config/index.ts'
import type { Limits, Offer, Restart, Verified, Warning } from '../../documents/index.ts'
import { ConfigError } from '../../errors.ts'
import { attachingOf, attachingOptions } from '../detach-keys.ts'
import { EXIT_RUN_FAILED, exitStatusOf, EXIT_REFUSED, EXIT_USAGE, failureLines } from '../exit-status.ts'
import { firstOffer, sourcesOf, withConsumer } from '../consumer.ts'
import { believedFactories, kernelWish } from '../kernel-wish.ts'
import { offerFacts, offerRulesText } from '../offer-text.ts'
import { restartWords, warningWords } from '../life-options.ts'
import { collect, jsonOption, networkOptions, queryOf, wantedOptions, type WantedFlags } from '../options.ts'
import { note, printJson } from '../output.ts'
import { runSession } from '../run-session.ts'

interface Flags extends WantedFlags {
  offer?: string
  in?: string[]
  out?: string
  env?: string[]
  terminal?: boolean
  input: boolean
  accept?: boolean | string
  detach?: boolean
  restart?: Restart
  warn?: Warning
  unwatched?: boolean
  detachKeys?: Uint8Array
  sigProxy?: boolean
  rules?: string[]
  json?: boolean
  quiet?: boolean
}

/** Asked for where neither flag nor rules say less. */
const DEFAULT_LIMITS = { cpu: 1, memoryBytes: 256 * 2 ** 20, diskBytes: 256 * 2 ** 20, durationSeconds: 3600 }
const DEFAULT_IMAGE = 'tiny'

export function runCommand(): Command {
  const command = new Command('run')
    .description("run a program in a virtual server on somebody else's machine")
    .usage('[options] -- PROGRAM [ARG…]')
    .argument('<program...>', 'the program and its arguments, as the guest sees them')
    .option('--offer <place>', 'take the offer of this page (https://…), peer id or multiaddr')
    .option(
      '--in <path>',
      "a file or folder copied to the program's working folder; may be repeated",
      collect
    )
    .option('--out <dir>', 'where the files go that the program leaves in /out ($ISHARE_OUT)')
    .option('-e, --env <name=value>', 'an environment variable; may be repeated', collect)
    .option('-t, --terminal', 'give the program a terminal')
    .option('-n, --no-input', 'do not pass standard input on')
    .option(
      '--restart <policy>',
      'start it again after an end: never, on-failure[:MOST], always',
      restartWords
    )
    .option(
      '--warn <duration[:signal]>',
      'so long before the lease ends say so, and send the program that signal, such as 5m:USR1',
      warningWords
    )
    .option('-d, --detach', 'print the run id when the program has been taken over, and leave')
    .addOption(
      new Option(
        '--accept [digest]',
        'accept the rules and terms without asking; only these, if a digest is given'
      )
    )
    .option(
      '--factories <place>',
      'whose kernels you believe, as peer ids; may be repeated (default: those that the offer names)',
      collect
    )
    .option('--unwatched', 'take an offer that names no factory: its kernel watches and seals nothing')
    .option(
      '--rules <file>',
      "detection rules that the guest's kernel watches by: a rule file, what `ishare rules compile` made, a shipped set " +
        '(intruder, service), or none; may be repeated (default: intruder, which only tells)',
      collect
    )
    .option('-q, --quiet', 'say nothing but what the program says')
    .addHelpText(
      'after',
      `
The exit status is the program's; 128 + N if signal N ended it; 125 if iShare failed.
Ctrl+C lets go of the run and says how to come back; twice stops the program. With -t, Ctrl+P Ctrl+Q lets go (see
--detach-keys). With --sig-proxy, signals are the program's.

Example:
  ishare run --cpu 1 --memory 512M --image debian --in fit.py --in data.csv --out results -- python3 fit.py data.csv`
    )
  // What follows the program's name is the program's, flags too.
  return jsonOption(attachingOptions(wantedOptions(networkOptions(command))))
    .passThroughOptions()
    .action(async (argv: string[], flags: Flags) => {
      try {
        process.exitCode = await run(argv, flags)
      } catch (error) {
        for (const line of failureLines(error)) console.error(line)
        const status = exitStatusOf(error)
        process.exitCode = status === EXIT_USAGE ? EXIT_USAGE : EXIT_RUN_FAILED
      }
    })
}

async function run(argv: string[], flags: Flags): Promise<number> {
  const env = environmentOf(flags)
  return withConsumer({ ...flags }, async (peer, config) => {
    const sources = sourcesOf(flags.offer === undefined ? [] : [flags.offer], config)
    const image = flags.image ?? DEFAULT_IMAGE
    const query = {
      ...queryOf(flags),
      ...factoriesWanted(flags, config),
      image,
      peer: peer.peerId.toString()
    }
    const offer = await firstOffer(peer, sources, query)
    if (!(await accepted(offer, flags))) return EXIT_REFUSED
    const kernel = await kernelWish(offer.payload, config, flags)
    const handle = await peer.services.ishare.runs.submit({
      offer,
      ...(kernel === undefined ? {} : { kernel }),
      limits: limitsOf(offer.payload, flags, kernel?.ruleset?.bytes.length),
      image,
      program: { argv, env, ...(flags.terminal === true ? { terminal: terminalSize() } : {}) },
      ...(flags.restart === undefined ? {} : { restart: flags.restart }),
      ...(flags.warn === undefined ? {} : { warning: flags.warn }),
      inputs: flags.in ?? [],
      ...(flags.out === undefined ? {} : { outDir: flags.out })
    })
    if (flags.json === true) printJson({ type: 'run', runId: handle.runId })
    else if (flags.detach === true) console.log(handle.runId)
    else if (flags.quiet !== true) note(`Run ${handle.runId} on ${offer.payload.iss}`)
    const { ishare } = peer.services
    return runSession(handle, {
      ...(kernel === undefined
        ? {}
        : { alerts: (signal: AbortSignal) => ishare.alerts(handle.runId, { follow: true, signal }) }),
      terminal: flags.terminal === true,
      stdin: flags.input && flags.detach !== true,
      json: flags.json === true,
      quiet: flags.quiet === true || flags.detach === true,
      detachWhenRunning: flags.detach === true,
      ...attachingOf(flags)
    })
  })
}

/** Whoever searches passes over offers that they would not take; of one that they named they are told why not. */
function factoriesWanted({ unwatched, offer }: Flags, config: Config): Pick<OfferQuery, 'factories'> {
  const factories = believedFactories(config)
  const isWanted = unwatched !== true && (factories.length > 0 || offer === undefined)
  return isWanted ? { factories } : {}
}

function terminalSize() {
  return { columns: process.stdout.columns || 80, rows: process.stdout.rows || 24 }
}

function environmentOf(flags: Flags): Record<string, string> {
  const term = process.env['TERM']
  const env: Record<string, string> = flags.terminal === true && term !== undefined ? { TERM: term } : {}
  for (const pair of flags.env ?? []) {
    const [, name, value] = /^([A-Za-z_]\w*)=(.*)$/s.exec(pair) ?? []
    if (name === undefined || value === undefined)
      throw new ConfigError('ERR_CONFIG_VALUE', `--env: expected NAME=VALUE, got ${JSON.stringify(pair)}`)
    env[name] = value
  }
  return env
}

/** What flags do not say is the default, or what the rules allow if that is less; rules lie beside the disk. */
function limitsOf({ rules, slice }: Offer, flags: WantedFlags, rulesetBytes = 0): Limits {
  const { perRun } = rules
  return {
    cpu: flags.cpu ?? Math.min(DEFAULT_LIMITS.cpu, perRun.cpu, slice.cpu),
    memoryBytes: flags.memory ?? Math.min(DEFAULT_LIMITS.memoryBytes, perRun.memoryBytes, slice.memoryBytes),
    diskBytes:
      flags.disk ?? Math.min(DEFAULT_LIMITS.diskBytes, perRun.diskBytes, slice.diskBytes - rulesetBytes),
    durationSeconds: flags.time ?? Math.min(DEFAULT_LIMITS.durationSeconds, perRun.durationSeconds),
    processesMax: perRun.processesMax,
    outboundBitsPerSecond: perRun.outboundBitsPerSecond,
    outputBytesMax: perRun.outputBytesMax
  }
}

/** Show rules and terms; take a flag for an answer, or ask. */
async function accepted(offer: Verified<Offer>, flags: Flags): Promise<boolean> {
  const { digest } = offer.payload.terms
  if (typeof flags.accept === 'string' && flags.accept !== digest)
    throw new ConfigError('ERR_CONFIG_VALUE', `--accept: these terms are not ${flags.accept} but ${digest}`)
  if (flags.accept !== undefined) return true
  for (const [name, value] of Object.entries(offerFacts(offer))) note(`${name.padEnd(10)} ${String(value)}`)
  console.error(`\n${offerRulesText(offer)}\n`)
  if (!process.stdin.isTTY)
    throw new ConfigError(
      'ERR_CONFIG_VALUE',
      'the rules and terms above were not accepted: add --accept to do so'
    )
  const questions = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return /^y(es)?$/i.test((await questions.question('Accept these rules and terms? [y/N] ')).trim())
  } finally {
    questions.close()
  }
}
