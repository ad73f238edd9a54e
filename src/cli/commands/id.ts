import { Command } from 'commander'
import { mkdir } from 'node:fs/promises'
import { readConfig } from '../../config/index.ts'
import { loadOrCreateIdentity } from '../../identity/index.ts'
import { jsonOption, stateOption } from '../options.ts'
import { printFacts } from '../output.ts'

export function idCommand(): Command {
  const command = new Command('id').description('print the id of this peer; it is made if there is none')
  return jsonOption(stateOption(command)).action(async (flags: { json?: boolean }) => {
    const { stateDir } = await readConfig({ flags: { ...flags } })
    await mkdir(stateDir, { recursive: true, mode: 0o700 })
    const { id } = await loadOrCreateIdentity(stateDir)
    printFacts({ peer: id }, flags.json === true)
  })
}
