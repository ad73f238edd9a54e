/**
 * The main job's second act: two servers on one switch. The visitor cannot reach the web server, whoever asks for
 * it; the owner grants a link; then it can, at that port and no other.
 */
import { SetupError } from '../errors.ts'
import { words } from './steps.ts'

const PORT = 8080
/** A refusal is silence: how long the visitor waits for it. */
const PATIENCE_SECONDS = 1

export interface NeighboursInit {
  /** Show a step and run its command. @returns standard output. @throws ERR_MACHINE when it fails */
  call: (title: string, args: string[]) => Promise<string>
  /** The same for a command that must fail. @throws ERR_MACHINE when it does not */
  callInVain: (title: string, args: string[]) => Promise<void>
  /** Run a command without showing it. */
  ask: (args: string[]) => Promise<string>
  /** Flags by which the consumer's commands find their state and the network. */
  consumer: string[]
  /** Flags by which the owner's commands find the SODA host. */
  owner: string[]
  /** A file that the web server serves. */
  file: { path: string; name: string; lines: number }
}

/** How many steps it shows. */
export const NEIGHBOURS_STEPS = 7

/** @throws ERR_MACHINE when a step ends otherwise than it must */
export async function neighbours(init: NeighboursInit): Promise<void> {
  const { call, callInVain, consumer, owner, file } = init
  const small = [...words`run --accept --detach --cpu 0.5 --memory 64M --disk 32M --image tiny`, ...consumer]
  const web = await runIdOf(
    call('She starts a web server in a second virtual server', [
      ...small,
      ...words`--in ${file.path} -- httpd -f -p ${String(PORT)} -h .`
    ])
  )
  const visitor = await runIdOf(call('… and another one beside it', [...small, ...words`-- sleep 3600`]))
  const [from, to] = [await serverOf(init, 'sleep'), await serverOf(init, 'httpd')]
  const url = `http://${await addressOf(init, to)}:${PORT}/${file.name}`
  const fetch = ['exec', '--no-input', ...consumer, visitor, '--', 'sh', '-c']
  const shell = `wget -q -T ${PATIENCE_SECONDS} -O - ${url} | grep -c ^`
  await callInVain('Nobody talks to anybody: the one asks the other in vain', [...fetch, shell])
  await call('The owner sees what the switch refused', [...words`switch denials`, ...owner])
  const link = words`${from} ${to} tcp/${String(PORT)}`
  await call('… and grants one link', [...words`switch link`, ...link, ...owner])
  const lines = Number(await call('The same question is answered now', [...fetch, shell]))
  if (lines !== file.lines)
    throw new SetupError(
      'ERR_MACHINE',
      `the neighbour sent ${lines} lines of ${file.name}, not ${file.lines}`
    )
  await call('She stops both', ['stop', ...consumer, web, visitor])
}

async function runIdOf(printed: Promise<string>): Promise<string> {
  return (await printed).trim().split('\n').at(-1) ?? ''
}

/** The id of the living server that runs the program. */
async function serverOf({ ask, owner }: NeighboursInit, program: string): Promise<string> {
  const servers = await records(ask([...words`host ps --json`, ...owner]))
  const found = servers.find(({ state, program: p }) => state === 'running' && argvOf(p)[0] === program)
  return String(found?.['id'])
}

async function addressOf({ ask, owner }: NeighboursInit, server: string): Promise<string> {
  const ports = await records(ask([...words`switch ports --json`, ...owner]))
  return String(ports.find(({ id }) => id === server)?.['ipv4'])
}

async function records(printed: Promise<string>): Promise<Record<string, unknown>[]> {
  return (await printed)
    .trim()
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}

function argvOf(program: unknown): unknown[] {
  return (program as { argv: unknown[] }).argv
}
