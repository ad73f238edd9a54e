import { join } from 'node:path'
import { Command } from 'commander'
import { readConfig } from '../../config/index.ts'
import { ageIdentity, ageRecipient, readLogKey } from '../../identity/index.ts'
import { stateOption } from '../options.ts'

interface Flags {
  key?: string
  stateDir?: string
  config?: string
}

export function keyCommand(): Command {
  const exported = new Command('export')
    .description(
      'print the private key that opens sealed logs and dumps, for other tools: keep it to yourself'
    )
    .requiredOption('--age', 'as an identity file of the `age` tool')
    .option('--key <file>', 'the private key (default: log-key.jwk in the state directory)')
  return new Command('key')
    .description('the key that opens what is sealed for you')
    .addCommand(stateOption(exported).action(exportKey))
}

async function exportKey(flags: Flags): Promise<void> {
  const { stateDir } = await readConfig({ flags: { stateDir: flags.stateDir, config: flags.config } })
  const { publicKey, privateKey } = await readLogKey(flags.key ?? join(stateDir, 'log-key.jwk'))
  console.log(`# public key: ${ageRecipient(publicKey)}\n${ageIdentity(privateKey)}`)
}
