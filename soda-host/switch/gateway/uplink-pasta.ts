/**
 * pasta: what leaves the gateway becomes the sockets of one process of the owner's machine. The
 * machine needs no forwarding and no address for it. What it must not do by default, and is told: lead to the
 * machine's loopback by the gateway's address, or open any port on either side. Nothing can be published through it,
 * because a new port would mean a new process, and so the end of all connections.
 */
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import {
  isAlive,
  type ProcessIdentity,
  processGone,
  startTimeOf
} from '../../virtual-server/process-identity.ts'
import { namespacePath } from '../commands.ts'
import { UPLINK } from './ruleset.ts'
import type { Uplink, UplinkContext } from './uplink.ts'

const CLOSED = ['-t', 'none', '-u', 'none', '-T', 'none', '-U', 'none', '--no-map-gw']
/**
 * `--runas 0`: it may enter a namespace that is root's only as root. It gives up everything but CAP_SYS_ADMIN in there
 * and the right to bind low ports, and sees no file.
 */
const SANDBOX = ['--runas', '0', '--mtu', '1500']
const QUIET = ['--no-dhcp', '--no-dhcpv6', '--no-ndp', '--no-ra', '--ipv4-only', '--quiet']

export async function openPasta({ gateway, host, stateDir }: UplinkContext): Promise<Uplink> {
  const pidFile = pidFileIn(stateDir)
  if ((await runningPasta(pidFile)) === undefined) {
    const place = ['--config-net', '--ns-ifname', UPLINK, '--netns-only', '--pid', pidFile]
    const target = ['--netns', namespacePath(gateway.netns)]
    await host.run('pasta', [...place, ...SANDBOX, ...CLOSED, ...QUIET, ...target])
  }
  return {
    record: { kind: 'pasta' },
    arriving: (publishedAddress) => publishedAddress,
    update: () => Promise.resolve()
  }
}

/** The interface goes with the process. */
export async function closePasta({ stateDir }: UplinkContext): Promise<void> {
  const running = await runningPasta(pidFileIn(stateDir))
  if (running !== undefined) {
    process.kill(running.pid, 'SIGTERM')
    await processGone(running)
  }
  await rm(pidFileIn(stateDir), { force: true })
}

function pidFileIn(stateDir: string): string {
  return join(stateDir, 'pasta.pid')
}

/** The file may be old and the number somebody else's by now: our pasta names the file. */
async function runningPasta(pidFile: string): Promise<ProcessIdentity | undefined> {
  const pid = Number(await readFile(pidFile, 'utf8').catch(() => ''))
  const startTime = pid > 0 ? startTimeOf(pid) : undefined
  if (startTime === undefined) return undefined
  const words = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0')
  return words.includes(pidFile) && isAlive({ pid, startTime }) ? { pid, startTime } : undefined
}
