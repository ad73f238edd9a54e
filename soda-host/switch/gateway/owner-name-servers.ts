import { readFile } from 'node:fs/promises'
import { isWithin, parseIpv4, parseRange } from './ipv4.ts'

/** The second is what systemd-resolved asks, where the first names only itself. */
const FILES = ['/etc/resolv.conf', '/run/systemd/resolve/resolv.conf']
const LOOPBACK = [parseRange('127.0.0.0/8')]
const SERVERS_MAX = 3

/** DNS servers that this machine asks, without those that nobody but itself can reach. */
export async function ownerNameServers(files: readonly string[] = FILES): Promise<string[]> {
  for (const file of files) {
    const servers = nameServersIn(await readFile(file, 'utf8').catch(() => ''))
    if (servers.length > 0) return servers
  }
  return []
}

/** @param text - resolv.conf(5) */
function nameServersIn(text: string): string[] {
  const found = text.split('\n').map((line) => /^\s*nameserver\s+(\S+)/.exec(line)?.[1] ?? '')
  return found.filter((server) => isReachable(server)).slice(0, SERVERS_MAX)
}

function isReachable(server: string): boolean {
  const address = parseIpv4(server)
  return address !== undefined && !isWithin(address, LOOPBACK)
}
