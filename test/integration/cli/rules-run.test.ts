import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { expect } from 'chai'
import { execa } from 'execa'
import { hostClient, type HostClient } from '../../../soda-host/client/index.ts'
import { requires } from '../../helpers/capabilities.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

const MAIN = join(import.meta.dirname, '../../../src/cli/main.ts')
const started = (args: readonly string[]) =>
  execa('node', ['--disable-warning=ExperimentalWarning', MAIN, ...args], { reject: false, stdin: 'ignore' })
type Command = ReturnType<typeof started>

const PORT = 8080
const RULE = `alert tcp any any -> any ${PORT} (msg:"somebody knocks"; content:"open sesame"; sid:4711; priority:1;)`
const INTRUDER = 'mkdir -p /etc/cron.d; echo "* * * * * root sh" > /etc/cron.d/job'
const SERVE = `echo ready; while :; do nc -l -p ${PORT} > /dev/null; done`

/** The whole way, for real: a rule file on the tenant's machine, a packet of a neighbour, a line on the terminal. */
describe('Command line, a run with rules of its own', function () {
  this.timeout(180_000)
  const resources = new AsyncDisposableStack()
  let directory = ''
  let host: HostClient
  let run: string[]
  const at = (name: string): string => join(directory, name)

  async function service(...args: string[]): Promise<Record<string, unknown>> {
    const running = started([...args, '--json'])
    resources.defer(() => end(running, 'SIGTERM'))
    const { value } = await createInterface({ input: running.stdout })[Symbol.asyncIterator]().next()
    return JSON.parse(String(value)) as Record<string, unknown>
  }
  const ishare = ([command = '', ...args]: readonly string[]) =>
    started([command, '--state-dir', at('consumer'), ...args])
  const serverOf = async (program: string): Promise<string> =>
    (await host.list()).find(({ program: { argv } }) => argv[0] === program)?.id ?? ''

  before(async function () {
    requires(this, 'root', 'uml', 'bubblewrap', 'nftables')
    directory = resources.use(await temporaryDirectory()).path
    await writeFile(at('own.rules'), `${RULE}\n`)
    const artifacts = ['--artifacts', process.env['ISHARE_ARTIFACTS'] ?? '']
    const socket = ['--socket-path', at('host.sock')]
    const slice = ['--slice', 'cpu=1,memory=256M,disk=256M,servers=2']
    await service('host', 'start', ...slice, ...socket, ...artifacts, '--state-dir', at('owner'))
    host = resources.use(hostClient({ socketPath: at('host.sock') }))
    resources.defer(async () => {
      for (const { id } of await host.list()) await host.destroy(id)
    })
    const listen = ['--listen', '/ip4/127.0.0.1/tcp/0', '--factories', 'own', '--state-dir', at('provider')]
    const { listening } = await service('provide', ...socket, ...artifacts, ...listen)
    const small = ['--cpu', '0.4', '--memory', '64M', '--disk', '64M', '--image', 'tiny']
    run = ['run', '--accept', '--offer', (listening as string[])[0] ?? '', ...small]
  })
  after(() => resources.disposeAsync())

  it('tells at once, on the terminal it was started from, what a neighbour sends; and so when attached again, after a restart', async () => {
    const rules = ['--rules', at('own.rules'), '--restart', 'always', '--no-input']
    const session = ishare([...run, ...rules, '--', 'sh', '-c', SERVE])
    const [output, told] = [new Lines(session.stdout), new Lines(session.stderr)]
    await output.next('ready')
    const runId = (await told.next('Run ')).split(' ')[1] ?? ''
    const neighbour = (await ishare([...run, '--detach', '--', 'sleep', '3600'])).stdout.trim()
    const [watched, beside] = [await serverOf('sh'), await serverOf('sleep')]
    await host.putLink({ from: beside, to: watched, protocol: 'tcp', port: PORT })
    const { ipv4 } = (await host.ports()).find(({ id }) => id === watched) ?? {}
    const knock = async (words: string): Promise<void> => {
      const script = `echo ${words} | nc -w 1 ${ipv4} ${PORT}; :`
      const { exitCode, stderr } = await ishare(['exec', '--no-input', neighbour, '--', 'sh', '-c', script])
      expect(exitCode, stderr).to.equal(0)
    }
    await knock('good morning')
    await knock('open sesame')
    const alert = await told.next('ALERT')
    expect(alert).to.match(/^ALERT \d{4}-\S+ \[1:4711:0\] severity 1: somebody knocks/)
    await end(session, 'SIGKILL')

    // Another guest of the same server has the rules too.
    await host.restart(watched)
    const attached = ishare(['attach', '--no-input', runId])
    const [outputAgain, toldAgain] = [new Lines(attached.stdout), new Lines(attached.stderr)]
    await outputAgain.next('ready')
    expect(await toldAgain.next('ALERT')).to.equal(alert)
    await knock('open sesame')
    expect(await toldAgain.next('ALERT'))
      .to.include('somebody knocks')
      .and.not.equal(alert)
    await end(attached, 'SIGKILL')
    expect((await ishare(['stop', runId, neighbour])).exitCode).to.equal(0)
  })

  it('watches by the shipped set where nobody says otherwise, beside others where it is named, and by nothing if so said', async () => {
    const alertsOf = async (...rules: string[]): Promise<string[]> => {
      const { exitCode, stderr } = await ishare([...run, ...rules, '--no-input', '--', 'sh', '-c', INTRUDER])
      expect(exitCode, stderr).to.equal(0)
      return stderr.split('\n').filter((line) => line.startsWith('ALERT'))
    }
    const beside = ['--rules', 'intruder', '--rules', at('own.rules')]
    for (const rules of [[], ['--rules', 'intruder'], beside]) {
      const [alert = '', ...more] = await alertsOf(...rules)
      expect(alert).to.match(/\[1:4800030:\d+\] severity 1: Kernort: what starts by itself is changed/)
      expect(more).to.deep.equal([])
    }
    expect(await alertsOf('--rules', 'none')).to.deep.equal([])
    expect(await alertsOf('--rules', at('own.rules'))).to.deep.equal([])
  })
})

async function end(command: Command, signal: NodeJS.Signals): Promise<void> {
  command.kill(signal)
  await command
}

/** What a command prints, from its beginning on. */
class Lines {
  readonly #lines: AsyncIterator<string>

  constructor(input: Readable) {
    this.#lines = createInterface({ input })[Symbol.asyncIterator]()
  }

  /** The next line that begins so. */
  async next(beginning: string): Promise<string> {
    for (;;) {
      const line = await this.#lines.next()
      if (line.done === true) throw new Error(`it ended without ${beginning}`)
      if (line.value.startsWith(beginning)) return line.value
    }
  }
}
