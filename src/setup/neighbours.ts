/**
 * The main job's second act: two servers on one switch. The visitor cannot reach the web server, whoever asks for
 * it; the owner grants a link; then it can, at that port and no other.
 */
import { SetupError } from '../errors.ts'
import type { Pair } from './break-in.ts'
import { words } from './steps.ts'

const PORT = 8080
/** A refusal is silence: how long the visitor waits for it. */
const PATIENCE_SECONDS = 1
const ENDED = new Set(['exited', 'failed'])
/** Looks until every server runs, or has ended; each takes a while of its own. */
const LOOKS_MAX = 40
const NO_ANSWER = '(no answer, as it must be)'

export interface NeighboursInit {
  /** Show a step and run its command. @returns standard output. @throws ERR_MACHINE when it fails */
  call: (title: string, args: string[]) => Promise<string>
  /** The same for a command that must fail. @returns all that it printed. @throws ERR_MACHINE when it does not */
  callInVain: (title: string, args: string[], answer: string) => Promise<string>
  /** Run a command without showing it; with `{}` also when all else is being interrupted. */
  ask: (args: string[], options?: { signal?: AbortSignal }) => Promise<string>
  /** Flags by which the consumer's commands find their state and the network. */
  consumer: string[]
  /** Flags by which the owner's commands find the SODA host. */
  owner: string[]
  /** A file that the web server serves. */
  file: { path: string; name: string; lines: number }
  /** What the web server is, what its kernel watches by, and what its neighbour has in its pocket. */
  service: { inputs: string[]; rules: string[]; neighbourInputs: string[] }
  /** What happens between the two once they are linked. */
  afterwards: (pair: Pair) => Promise<void>
}

/** How many steps it shows. */
export const NEIGHBOURS_STEPS = 7

/** @throws ERR_MACHINE when a step ends otherwise than it must; neither server is left running then */
export async function neighbours(init: NeighboursInit): Promise<void> {
  const { call, consumer, file, service } = init
  const flagged = (flag: string, values: readonly string[]) => values.flatMap((value) => [flag, value])
  const small = [...words`run --accept --detach --cpu 0.5 --memory 64M --disk 32M --image tiny`, ...consumer]
  const runs: string[] = []
  try {
    const web = [
      ...flagged('--rules', service.rules),
      ...flagged('--in', [file.path, ...service.inputs]),
      ...words`-- sh service ${String(PORT)}`
    ]
    const beside = [...flagged('--in', service.neighbourInputs), ...words`-- sleep 3600`]
    const first = await call(
      'She starts a web server in a second virtual server, and has its kernel watch by rules',
      [...small, ...web]
    )
    runs.push(lastLine(first))
    runs.push(lastLine(await call('… and another one beside it', [...small, ...beside])))
    const [run = '', visitor = ''] = runs
    await init.afterwards(await talk(init, run, visitor))
    await call('She stops both', ['stop', ...consumer, ...runs])
  } catch (error) {
    // What is interrupted here must not run on without anybody who knows of it.
    if (runs.length > 0) await init.ask(['stop', ...consumer, ...runs], {})
    throw error
  } finally {
    await ended(init)
  }
}

async function talk(
  { call, callInVain, ask, consumer, owner, file }: NeighboursInit,
  run: string,
  visitor: string
): Promise<Pair> {
  const to = await running(ask, owner, 'sh')
  const from = await running(ask, owner, 'sleep')
  const ports = await records(ask([...words`switch ports --json`, ...owner]))
  const ipv4 = ports.find(({ id }) => id === to)?.ipv4 ?? ''
  const url = `http://${ipv4}:${PORT}/${file.name}`
  const shell = `wget -q -T ${PATIENCE_SECONDS} -O - ${url} | grep -c ^`
  const question = ['exec', '--no-input', ...consumer, visitor, '--', 'sh', '-c', shell]
  await callInVain('Nobody talks to anybody: the one asks the other in vain', question, NO_ANSWER)
  await call('The owner sees what the switch refused', [...words`switch denials`, ...owner])
  await call('… and grants one link', ['switch', 'link', from, to, `tcp/${PORT}`, ...owner])
  const lines = Number(lastLine(await call('The same question is answered now', question)))
  if (lines !== file.lines)
    throw new SetupError(
      'ERR_MACHINE',
      `the neighbour sent ${lines} lines of ${file.name}, not ${file.lines}`
    )
  return { service: { run, server: to, ipv4, port: PORT }, visitor: { run: visitor, server: from } }
}

/** The server that runs this program. A run is taken over some time before its guest has booted. */
async function running(
  ask: NeighboursInit['ask'],
  owner: readonly string[],
  program: string
): Promise<string> {
  for (let looks = 0; looks < LOOKS_MAX; looks++) {
    const servers = await records(ask([...words`host ps --json`, ...owner]))
    const found = servers.find((server) => server.state === 'running' && server.program?.argv[0] === program)
    if (found?.id !== undefined) return found.id
  }
  throw new SetupError('ERR_MACHINE', `no virtual server runs ${program}: see ishare host ps`)
}

async function ended({ ask, owner }: NeighboursInit): Promise<void> {
  for (let looks = 0; looks < LOOKS_MAX; looks++) {
    const servers = await records(ask([...words`host ps --json`, ...owner], {}))
    if (servers.every(({ state }) => ENDED.has(state ?? ''))) return
  }
  throw new SetupError('ERR_MACHINE', 'a virtual server does not end: see ishare host ps')
}

function lastLine(printed: string): string {
  return printed.trim().split('\n').at(-1) ?? ''
}

/** What is read of the commands' JSON. */
interface Listed {
  id?: string
  state?: string
  ipv4?: string
  program?: { argv: string[] }
}

async function records(printed: Promise<string>): Promise<Listed[]> {
  const lines = (await printed).trim().split('\n').filter(Boolean)
  return lines.map((line) => JSON.parse(line) as Listed)
}
