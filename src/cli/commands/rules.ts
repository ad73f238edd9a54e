import { Command, InvalidArgumentError, Option } from 'commander'
import {
  coverage,
  readRuleFile,
  readRules,
  readSelection,
  readVariables,
  type Coverage,
  type RuleSet,
  type Selection,
  type Service,
  type Variables,
  type VariableTexts
} from '../../../soda-host/kernort/rules/index.ts'
import { collect, jsonOption } from '../options.ts'
import { harmless, note, printFacts, printJson, printTable } from '../output.ts'

interface SetFlags {
  variable?: string[]
  disable?: string[]
  enable?: string[]
  service?: Service[]
  json?: boolean
}

/** Refusals that a person is shown; `--json` has all that are kept. */
const REFUSALS_SHOWN = 200

export function rulesCommand(): Command {
  const check = new Command('check')
    .description('say which rules are understood, and why others are not')
    .argument('<file...>', 'rule files, Snort 2 or Suricata syntax')
  return new Command('rules')
    .description('detection rules for Kernort')
    .addCommand(jsonOption(setOptions(check)).action(checkRules))
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
}

function collectService(text: string, previous: Service[] | undefined): Service[] {
  const [, protocol, port] = /^(tcp|udp)\/(\d{1,5})$/.exec(text) ?? []
  if ((protocol !== 'tcp' && protocol !== 'udp') || Number(port) > 65_535)
    throw new InvalidArgumentError('expected tcp/PORT or udp/PORT')
  return [...(previous ?? []), { protocol, port: Number(port) }]
}

/** A name that ends in PORTS stands for ports, any other for addresses. */
function variablesOf(flags: SetFlags): Variables {
  const texts: { [K in keyof VariableTexts]: Record<string, string> } = { addresses: {}, ports: {} }
  for (const assignment of flags.variable ?? []) {
    const [, name, value] = /^\$?(\w+)=(.*)$/s.exec(assignment) ?? []
    if (name === undefined || value === undefined)
      throw new InvalidArgumentError(`--variable ${assignment}: expected NAME=VALUE`)
    texts[name.endsWith('PORTS') ? 'ports' : 'addresses'][name] = value
  }
  return readVariables(texts)
}

async function readSet(files: readonly string[], flags: SetFlags): Promise<RuleSet> {
  const variables = variablesOf(flags)
  const selection: Selection = readSelection(
    { disable: flags.disable ?? [], enable: flags.enable ?? [], services: flags.service ?? [] },
    variables
  )
  const sources = []
  for (const file of files) sources.push(await readRuleFile(file))
  return readRules(sources, selection)
}

async function checkRules(files: string[], flags: SetFlags): Promise<void> {
  const report = coverage(await readSet(files, flags))
  if (flags.json === true) printJson(report)
  else printCoverage(report)
}

function printCoverage(report: Coverage): void {
  for (const refusal of report.refusals.slice(0, REFUSALS_SHOWN)) {
    const { file, line, column, reason, message, sid } = refusal
    console.log(
      harmless(`${file}:${line}:${column}: ${reason}: ${message}${sid === undefined ? '' : ` [${sid}]`}`)
    )
  }
  if (report.refusals.length > REFUSALS_SHOWN)
    note(`… and ${report.refusals.length - REFUSALS_SHOWN} more; --json has them`)
  printTable(
    ['KEYWORD', 'RULES', 'COMPILED'],
    report.keywords.map(({ keyword, rules, compiled }) => [
      harmless(keyword),
      String(rules),
      String(compiled)
    ])
  )
  const share = report.read === 0 ? 100 : (100 * report.compiled) / report.read
  printFacts(
    {
      rules: report.read,
      compiled: `${report.compiled} (${share.toFixed(2)} %)`,
      ...(report.left === 0 ? {} : { 'left out': report.left }),
      ...Object.fromEntries(
        Object.entries(report.refused).map(([reason, count]) => [`refused, ${reason}`, count])
      )
    },
    false
  )
}
