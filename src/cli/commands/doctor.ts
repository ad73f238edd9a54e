import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { styleText } from 'node:util'
import { Command } from 'commander'
import { machineFacts, type FactStatus } from '../../../soda-host/resources/index.ts'
import { readConfig } from '../../config/index.ts'
import { EXIT_UNAVAILABLE } from '../exit-status.ts'
import { jsonOption, stateOption } from '../options.ts'
import { printJson } from '../output.ts'

const MARK: Record<FactStatus, string> = {
  ok: styleText('green', 'ok  '),
  warn: styleText('yellow', 'warn'),
  fail: styleText('red', 'fail')
}

/** The directory, or the one above it that is there: it will be made there. */
function existing(directory: string): string {
  return existsSync(directory) ? directory : existing(dirname(directory))
}

export function doctorCommand(): Command {
  const command = new Command('doctor').description(
    'say what this machine can and cannot do, and what to do about it'
  )
  return jsonOption(stateOption(command)).action(async (flags: { json?: boolean }) => {
    const { stateDir } = await readConfig({ flags: { ...flags } })
    const facts = await machineFacts(existing(stateDir))
    if (flags.json === true) for (const fact of facts) printJson(fact)
    else
      for (const { name, status, found, advice } of facts) {
        console.log(`${MARK[status]}  ${name.padEnd(20)} ${found}`)
        if (advice !== '') console.log(`${' '.repeat(27)}→ ${advice}`)
      }
    const failed = facts.filter(({ status }) => status === 'fail')
    if (failed.length === 0) return
    if (flags.json !== true)
      console.log(
        `\nThis machine cannot lend virtual servers yet: ${failed.map((fact) => fact.name).join(', ')}.`
      )
    process.exitCode = EXIT_UNAVAILABLE
  })
}
