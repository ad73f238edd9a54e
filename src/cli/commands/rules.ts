import { readFile, writeFile } from 'node:fs/promises'
import { Command, InvalidArgumentError, Option } from 'commander'
import {
  compileRuleset,
  readRuleFile,
  type CompiledRuleset,
  type Coverage,
  type Refusal,
  type Service,
  type VariableTexts
} from '../../../soda-host/kernort/rules/index.ts'
import { replay, type Replay } from '../../../soda-host/kernort/harness/index.ts'
import { readConfig } from '../../config/index.ts'
import { ensurePackages, progressLine } from '../../setup/index.ts'
import { collect, jsonOption } from '../options.ts'
import { harmless, note, printFacts, printJson, printTable } from '../output.ts'

interface SetFlags {
  variable?: string[]
  disable?: string[]
  enable?: string[]
  service?: Service[]
  classification?: string
  thresholds?: string
  json?: boolean
}

interface ReplayFlags {
  rules: string[]
  pcap: string
  ignoreChecksums?: boolean
  midstream?: boolean
}

/** Refusals that a person is shown; `--json` has all that are kept. */
const REFUSALS_SHOWN = 200
const TOP_SHOWN = 20

export function rulesCommand(): Command {
  const check = new Command('check')
    .description('say which rules are understood, and why others are not')
    .argument('<file...>', 'rule files, Snort 2 or Suricata syntax, or shipped sets: intruder, service')
  const compile = new Command('compile')
    .description('make the table that a guest kernel carries')
    .argument('<file...>', 'rule files, Snort 2 or Suricata syntax, or shipped sets: intruder, service')
    .requiredOption('--out <table>', 'where to write it')
  const replayRules = new Command('replay').description(
    'run a capture through the detection engine and count the alerts by signature id'
  )
  const top = new Command('top')
    .description('run a capture through the detection engine and say which rules cost most')
    .addOption(new Option('--count <rules>', 'how many to show').argParser(Number).default(TOP_SHOWN))
  return new Command('rules')
    .description('detection rules for Kernort')
    .addCommand(jsonOption(setOptions(check)).action(checkRules))
    .addCommand(jsonOption(setOptions(compile)).action(compileRules))
    .addCommand(jsonOption(setOptions(captureOptions(replayRules))).action(replayCapture))
    .addCommand(jsonOption(setOptions(captureOptions(top))).action(topRules))
}

/** A rule set, and traffic to try it on. */
function captureOptions(command: Command): Command {
  return command
    .requiredOption('--rules <file>', 'a rule file; may be repeated', collect)
    .requiredOption('--pcap <file>', 'a pcap or pcapng file')
    .option('--ignore-checksums', 'do not drop packets with wrong checksums')
    .option('--midstream', 'follow TCP connections whose beginning is missing')
    .option('--cache-dir <dir>', 'where the compiled engine is kept')
}

/** What makes a set out of files. */
function setOptions(command: Command): Command {
  return command
    .option(
      '--variable <name=value>',
      'HOME_NET=10.0.0.0/8, HTTP_PORTS=[80,8080] …; may be repeated',
      collect
    )
    .option('--disable <what>', 'SID, GID:SID, group:FILE or re:TEXT; may be repeated', collect)
    .option('--enable <what>', 'take it even if commented out or disabled; may be repeated', collect)
    .addOption(
      new Option('--service <protocol/port>', 'only rules for such a service; may be repeated').argParser(
        collectService
      )
    )
    .option('--classification <file>', 'a classification.config')
    .option('--thresholds <file>', 'a threshold.config: suppressions and rates')
}

function collectService(text: string, previous: Service[] | undefined): Service[] {
  const [, protocol, port] = /^(tcp|udp)\/(\d{1,5})$/.exec(text) ?? []
  if ((protocol !== 'tcp' && protocol !== 'udp') || Number(port) > 65_535)
    throw new InvalidArgumentError('expected tcp/PORT or udp/PORT')
  return [...(previous ?? []), { protocol, port: Number(port) }]
}

/** A name that ends in PORTS stands for ports, any other for addresses. */
function variablesOf(flags: SetFlags): VariableTexts {
  const texts: { [K in keyof VariableTexts]: Record<string, string> } = { addresses: {}, ports: {} }
  for (const assignment of flags.variable ?? []) {
    const [, name, value] = /^\$?(\w+)=(.*)$/s.exec(assignment) ?? []
    if (name === undefined || value === undefined)
      throw new InvalidArgumentError(`--variable ${assignment}: expected NAME=VALUE`)
    texts[name.endsWith('PORTS') ? 'ports' : 'addresses'][name] = value
  }
  return texts
}

async function compileFiles(files: readonly string[], flags: SetFlags): Promise<CompiledRuleset> {
  const sources = []
  for (const file of files) sources.push(await readRuleFile(file))
  const textOf = async (file: string | undefined): Promise<string> =>
    file === undefined ? '' : readFile(file, 'latin1')
  return compileRuleset(sources, {
    variables: variablesOf(flags),
    selection: { disable: flags.disable ?? [], enable: flags.enable ?? [], services: flags.service ?? [] },
    classification: await textOf(flags.classification),
    thresholds: await textOf(flags.thresholds)
  })
}

async function checkRules(files: string[], flags: SetFlags): Promise<void> {
  const { coverage, table } = await compileFiles(files, flags)
  if (flags.json === true) {
    printJson({ ...coverage, tableBytes: table.bytes.length, digest: table.digest })
    return
  }
  printRefusals(coverage.refusals)
  printTable(
    ['KEYWORD', 'RULES', 'COMPILED'],
    coverage.keywords.map(({ keyword, rules, compiled }) => [
      harmless(keyword),
      String(rules),
      String(compiled)
    ])
  )
  printFacts(factsOf(coverage), false)
}

async function compileRules(files: string[], flags: SetFlags & { out: string }): Promise<void> {
  const { coverage, table } = await compileFiles(files, flags)
  await writeFile(flags.out, table.bytes)
  const facts = { digest: table.digest, bytes: table.bytes.length }
  if (flags.json === true) printJson({ ...facts, ...coverage, keywords: undefined })
  else {
    printRefusals(coverage.refusals)
    printFacts({ ...factsOf(coverage), ...facts }, false)
  }
}

async function replayCapture(flags: SetFlags & ReplayFlags): Promise<void> {
  const { coverage, alerts, counters } = await replayed(flags)
  if (flags.json === true) {
    printJson(alerts)
    return
  }
  printRefusals(coverage.refusals)
  printTable(
    ['SID', 'ALERTS'],
    alerts.map(({ sid, count }) => [String(sid), String(count)])
  )
  printFacts(Object.fromEntries(Object.entries(counters).filter(([, value]) => value > 0)), false)
}

async function topRules(flags: SetFlags & ReplayFlags & { count: number }): Promise<void> {
  const { uses } = await replayed(flags)
  if (flags.json === true) {
    printJson(uses)
    return
  }
  const all = uses.reduce((sum, { steps }) => sum + steps, 0)
  printTable(
    ['SID', 'TRIED', 'MATCHED', 'STEPS', 'SHARE'],
    uses.slice(0, flags.count).map(({ sid, tried, matched, steps }) => {
      const share = all === 0 ? 0 : (100 * steps) / all
      return [sid, tried, matched, steps, `${share.toFixed(1)} %`].map(String)
    })
  )
}

async function replayed(flags: SetFlags & ReplayFlags): Promise<Replay & { coverage: Coverage }> {
  const { coverage, table } = await compileFiles(flags.rules, flags)
  const { cacheDir } = await readConfig({ flags: { ...flags } })
  const stop = new AbortController()
  const onInterrupt = () => stop.abort()
  process.once('SIGINT', onInterrupt)
  try {
    await ensurePackages({ signal: stop.signal })
    const result = await replay(table.bytes, flags.pcap, {
      cacheDir,
      progress: progressLine(),
      signal: stop.signal,
      ignoresChecksums: flags.ignoreChecksums === true,
      picksUpMidstream: flags.midstream === true
    })
    return { coverage, ...result }
  } finally {
    process.off('SIGINT', onInterrupt)
  }
}

function printRefusals(refusals: readonly Refusal[]): void {
  for (const { file, line, column, reason, message, sid } of refusals.slice(0, REFUSALS_SHOWN)) {
    const who = sid === undefined ? '' : ` [${sid}]`
    console.log(harmless(`${file}:${line}:${column}: ${reason}: ${message}${who}`))
  }
  const more = refusals.length - REFUSALS_SHOWN
  if (more > 0) note(`… and ${more} more; --json has them`)
}

function factsOf(coverage: Coverage): Record<string, unknown> {
  const { read, compiled, left, refused } = coverage
  const share = read === 0 ? 100 : (100 * compiled) / read
  return {
    rules: read,
    compiled: `${compiled} (${share.toFixed(2)} %)`,
    ...(left === 0 ? {} : { 'left out': left }),
    ...Object.fromEntries(Object.entries(refused).map(([reason, count]) => [`refused, ${reason}`, count]))
  }
}
