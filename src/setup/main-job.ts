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
import { SetupError } from '../errors.ts'
import { fit, readMagnitudes, type Fit } from './gutenberg-richter.ts'
import { ishare, ServiceProcess } from './service-process.ts'
import { Steps } from './steps.ts'

const ROOT = join(import.meta.dirname, '../..')
const EXAMPLE = join(ROOT, 'examples/earthquakes')
const NETWORKS = ['nc', 'ci']
const CATALOGUE = 'usgs-week-2018-02.csv'
const PROGRAM = 'gutenberg_richter.py'
const LOOPBACK = '/ip4/127.0.0.1/tcp/0'

/** Paths as a user in the checkout would write them. */
function here(path: string): string {
  return relative(process.cwd(), path) || '.'
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
  const steps = new Steps(7)
  const say = (line: string) => steps.line(line)
  const at = (name: string) => join(directory, name)
  const socket = at('soda-host.sock')

  const startService = (title: string, args: string[]) => {
    steps.next(title, args)
    return ServiceProcess.start(args, say, signal)
  }
  const call = (title: string, args: string[]) => {
    steps.next(title, args)
    return ishare(args, say, signal)
  }

  await using _host = await startService('The owner starts the SODA host, the only part with privileges', [
    'host',
    'start',
    '--state',
    at('host'),
    '--socket',
    socket,
    '--artifacts',
    artifacts,
    '--slice',
    'cpu=2,memory=1G,disk=1G,servers=2'
  ])
  await using bootstrap = await startService('Somebody runs a peer through which others meet', [
    'peer',
    'start',
    '--state',
    at('bootstrap'),
    '--listen',
    LOOPBACK
  ])
  const meeting = ['--bootstrap', bootstrap.fact('listening')]
  await using _provider = await startService('The owner publishes a slice of the machine and its rules', [
    'provide',
    '--state',
    at('provider'),
    '--socket',
    socket,
    '--listen',
    LOOPBACK,
    ...meeting,
    '--page',
    '127.0.0.1:0',
    '--label',
    'earth-science',
    '--rules',
    here(join(EXAMPLE, 'rules.json')),
    '--terms',
    here(join(EXAMPLE, 'terms.txt'))
  ])

  const consumer = ['--state', at('consumer'), ...meeting]
  const wanted = ['--cpu', '1', '--memory', '256M', '--image', 'debian']
  await call('A researcher looks for a machine', [
    'discover',
    ...consumer,
    ...wanted,
    '--label',
    'earth-science',
    '--first'
  ])
  await call('… and reads its rules', ['offer', 'show', ...consumer, ...wanted])
  await call('… accepts them, and runs a program there', [
    'run',
    ...consumer,
    ...wanted,
    '--accept',
    '--name',
    'b-value',
    '--in',
    here(join(EXAMPLE, PROGRAM)),
    '--in',
    here(join(EXAMPLE, CATALOGUE)),
    '--out',
    at('results'),
    '--',
    'python3',
    PROGRAM,
    CATALOGUE,
    ...NETWORKS
  ])
  await call('The provider has signed what was used', ['receipt', '--state', at('consumer'), 'b-value'])
  console.log('\nThe program brought home:')
  say(await checked(at('results')))
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
