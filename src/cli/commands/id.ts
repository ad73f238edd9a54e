import { Command } from 'commander'
import { mkdir } from 'node:fs/promises'
import { readConfig } from '../../config/index.ts'
import { loadOrCreateIdentity, loadOrCreateLogKey } from '../../identity/index.ts'
import { jsonOption, stateOption } from '../options.ts'
import { printFacts } from '../output.ts'

export function idCommand(): Command {
  const command = new Command('id').description(
    'print the id of this peer and the public key of its sealed logs; they are made if there are none'
  )
  return jsonOption(stateOption(command)).action(async (flags: { json?: boolean }) => {
    const { stateDir } = await readConfig({ flags: { ...flags } })
    await mkdir(stateDir, { recursive: true, mode: 0o700 })
    const { id } = await loadOrCreateIdentity(stateDir)
    const { publicKey } = await loadOrCreateLogKey(stateDir)
    printFacts({ peer: id, logKey: Buffer.from(publicKey).toString('base64url') }, flags.json === true)
  })
}
