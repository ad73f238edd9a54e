/**
 * The main job, `npm start`: the whole thread once, for real, on this machine.
 *
 * A SODA host, a bootstrap peer and a provider start as processes of their own; a consumer finds the offer, accepts
 * its rules, runs a program in a virtual server and takes its results home. Nothing is left running, and the exit
 * status is 0 only if the result is right.
 */
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { SetupError } from '../errors.ts'
import { breakIn, BREAK_IN_STEPS } from './break-in.ts'
import { neighbours, NEIGHBOURS_STEPS } from './neighbours.ts'
import { fit, readMagnitudes, type Fit } from './gutenberg-richter.ts'
import { ishare, ServiceProcess } from './service-process.ts'
import { Steps, words } from './steps.ts'

const ROOT = join(import.meta.dirname, '../..')
const EXAMPLE = join(ROOT, 'examples/earthquakes')
const NETWORKS = ['nc', 'ci']
const CATALOGUE = 'usgs-week-2018-02.csv'
const PROGRAM = 'gutenberg_richter.py'
/** Steps of the first act. */
const STEPS = 8
const LOOPBACK = '/ip4/127.0.0.1/tcp/0'

/** What the second act's web server is, and what its kernel watches by. */
const SERVICE = ['cgi-bin', 'stations.txt', 'service'].map((name) => `examples/break-in/${name}`)
const RULES = 'examples/break-in/service.rules'
const INTRUDER = 'examples/break-in/intruder'

/** A file of this repository, as a user in the checkout would write it. */
function written(path: string): string {
  return relative(process.cwd(), join(ROOT, path))
}

function here(name: string): string {
  return written(`examples/earthquakes/${name}`)
}

/**
 * @param artifacts - path of the file that lists kernel, initrd and images
 * @throws ERR_MACHINE when a step fails or the result is wrong
 */
export async function mainJob(artifacts: string, signal: AbortSignal): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'ishare-start-'))
  // Virtual servers run under uids of their own and must be able to walk to their files.
  await chmod(directory, 0o711)
  try {
    await perform(directory, artifacts, signal)
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
  console.log('\nThe result is right, and nothing is left running.')
}

async function perform(directory: string, artifacts: string, signal: AbortSignal): Promise<void> {
  const steps = new Steps(STEPS + NEIGHBOURS_STEPS + BREAK_IN_STEPS, { T: directory })
  // Programs in guests may draw on terminals; not on this one.
  const say = (line: string) => steps.line(stripVTControlCharacters(line).replaceAll('\r', ''))
  const at = (name: string) => join(directory, name)
  const startService = (title: string, args: string[]) => {
    steps.next(title, args)
    return ServiceProcess.start(args, say, signal)
  }
  const call = (title: string, args: string[]) => {
    steps.next(title, args)
    return ishare(args, say, signal)
  }
  const callInVain = async (title: string, args: string[], answer: string) => {
    steps.next(title, args)
    const lines: string[] = []
    const onLine = (line: string) => {
      lines.push(line)
      say(line)
    }
    const outcome = await ishare(args, onLine, signal).then(
      () => 'succeeded',
      (error: unknown) => error
    )
    signal.throwIfAborted()
    if (outcome === 'succeeded') throw new SetupError('ERR_MACHINE', `ishare ${args.join(' ')}: succeeded`)
    say(answer)
    return lines.join('\n')
  }

  const socket = at('soda-host.sock')
  await using _host = await startService(
    'The owner starts the SODA host, the only part with privileges',
    words`host start --slice cpu=2,memory=1G,disk=1G,servers=2
      --state-dir ${at('owner')} --socket-path ${socket} --artifacts ${artifacts}`
  )
  await using bootstrap = await startService(
    'Somebody runs a peer through which others meet',
    words`peer start --state-dir ${at('meeting-point')} --listen ${LOOPBACK}`
  )
  const meeting = bootstrap.fact('listening')
  steps.define('MEET', meeting)
  await using _provider = await startService(
    'The owner publishes a slice of the machine, and its rules',
    words`provide --rules-file ${here('rules.json')} --terms-file ${here('terms.txt')} --labels earth-science
      --page 127.0.0.1:0 --listen ${LOOPBACK} --bootstrap ${meeting}
      --state-dir ${at('provider')} --socket-path ${socket} --artifacts ${artifacts}`
  )

  const consumer = words`--bootstrap ${meeting} --state-dir ${at('consumer')}`
  const wanted = words`--cpu 1 --memory 256M --image debian --label earth-science`
  await call('A researcher looks for a machine', [...words`discover --first`, ...wanted, ...consumer])
  await call('… reads its rules and terms', [...words`offer show`, ...wanted, ...consumer])
  await call('… accepts them, and runs a program there', [
    ...words`run --accept --in ${here(PROGRAM)} --in ${here(CATALOGUE)} --out ${at('results')}`,
    ...wanted,
    ...consumer,
    ...words`-- python3 ${PROGRAM} ${CATALOGUE}`,
    ...NETWORKS
  ])
  await call('… and has it in writing what was used', words`receipt last --state-dir ${at('consumer')}`)
  await call(
    '… and what its kernel has sealed, which nobody else can read, and from which nothing is missing',
    words`verify last --state-dir ${at('consumer')}`
  )
  console.log('\nWhat the program brought home:')
  say(await checked(at('results')))

  const sides = { consumer, owner: words`--socket-path ${socket}` }
  await neighbours({
    call,
    callInVain,
    ask: (args, options = { signal }) => ishare(args, () => undefined, options.signal),
    ...sides,
    service: {
      inputs: SERVICE.map(written),
      rules: ['intruder', written(RULES)],
      neighbourInputs: [written(INTRUDER)]
    },
    afterwards: (pair) =>
      breakIn(
        {
          ...{ call, callInVain, say, ...sides },
          announce: (title, args) => steps.next(title, args),
          directories: {
            ...{ consumer: at('consumer'), host: at('owner/host') },
            ...{ landlord: at('landlord'), cut: at('cut') }
          }
        },
        pair
      ),
    file: { path: here(PROGRAM), name: PROGRAM, lines: await linesOf(PROGRAM) }
  })
}

async function linesOf(name: string): Promise<number> {
  return (await readFile(join(EXAMPLE, name), 'utf8')).trimEnd().split('\n').length
}

async function checked(results: string): Promise<string> {
  const text = await readFile(join(results, 'gutenberg-richter.json'), 'utf8')
  const got = JSON.parse(text) as Fit
  const expected = fit(await readMagnitudes(join(EXAMPLE, CATALOGUE), NETWORKS))
  for (const key of ['events', 'eventsComplete', 'magnitudeOfCompleteness', 'bValue'] as const)
    if (Math.abs(got[key] - expected[key]) > 1e-6)
      throw new SetupError(
        'ERR_MACHINE',
        `${key}: the virtual server says ${got[key]}, this machine ${expected[key]}`
      )
  return text
}
