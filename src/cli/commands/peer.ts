import { Command } from 'commander'
import { readConfig } from '../../config/index.ts'
import { loadOrCreateIdentity } from '../../identity/index.ts'
import { createPeer } from '../../peer.ts'
import { collect, jsonOption, networkOptions } from '../options.ts'
import { printFacts } from '../output.ts'
import { becomeUnprivileged } from '../privileges.ts'
import { backgroundLog, untilToldToEnd } from '../service.ts'

interface Flags {
  json?: boolean
  user?: string
}

export function peerCommand(): Command {
  const start = new Command('start')
    .description('run a peer that others can start from; it lends nothing')
    .option('--listen <multiaddr>', 'where to listen; may be repeated', collect)
    .option('--user <account>', 'the account to become when started by root')
  const action = async (flags: Flags) => {
    const { stateDir, listen, bootstrap } = await readConfig({ flags: { ...flags } })
    await becomeUnprivileged(stateDir, flags.user)
    const identity = await loadOrCreateIdentity(stateDir)
    const peer = await createPeer({
      identity,
      listen,
      bootstrap,
      ishare: { stateDir, onError: backgroundLog() }
    })
    printFacts(
      { peer: identity.id, listening: peer.getMultiaddrs().map(String), ready: 'Ctrl+C ends it' },
      flags.json === true
    )
    await untilToldToEnd()
    await peer.stop()
  }
  return new Command('peer')
    .description('run a peer without lending anything')
    .addCommand(jsonOption(networkOptions(start)).action(action))
}
