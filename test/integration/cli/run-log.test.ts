import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect } from 'chai'
import { execa } from 'execa'
import { requires } from '../../helpers/capabilities.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

const MAIN = join(import.meta.dirname, '../../../src/cli/main.ts')
const NODE = ['--disable-warning=ExperimentalWarning', MAIN]
const started = (args: readonly string[]) =>
  execa('node', [...NODE, ...args], { reject: false, stdin: 'ignore' })

/** The whole way, for real: host, provider with a factory of its own, a run, its sealed log on the tenant's machine. */
describe('Command line, the sealed log of a run', function () {
  this.timeout(120_000)
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>
  const services: ReturnType<typeof started>[] = []
  const at = (name: string): string => join(directory.path, name)
  const artifacts = process.env['ISHARE_ARTIFACTS'] ?? ''
  let offer: string

  async function service(...args: string[]): Promise<Record<string, unknown>> {
    const running = started([...args, '--json'])
    services.push(running)
    const { value } = await createInterface({ input: running.stdout })[Symbol.asyncIterator]().next()
    return JSON.parse(String(value)) as Record<string, unknown>
  }
  /** The state directory comes first: what follows `--` is the program's. */
  const ishare = ([command = '', ...args]: readonly string[]) =>
    started([command, '--state-dir', at('consumer'), ...args])

  before(async function () {
    requires(this, 'root', 'uml', 'bubblewrap')
    directory = await temporaryDirectory()
    const socket = ['--socket-path', at('host.sock')]
    const slice = ['--slice', 'cpu=1,memory=256M,disk=256M,servers=1']
    await service('host', 'start', ...slice, ...socket, '--state-dir', at('owner'), '--artifacts', artifacts)
    const listen = ['--listen', '/ip4/127.0.0.1/tcp/0']
    const own = ['--factories', 'own', '--artifacts', artifacts, '--state-dir', at('provider')]
    const { listening } = await service('provide', ...socket, ...listen, ...own)
    offer = (listening as string[])[0] ?? ''
  })
  after(async () => {
    for (const running of services.reverse()) {
      running.kill('SIGTERM')
      await running
    }
    await directory[Symbol.asyncDispose]()
  })

  it('is on its tenant’s machine after the run, opens there with the tenant’s key only, and is whole', async () => {
    const run = ['run', '--accept', '--offer', offer, '--memory', '64M', '--disk', '64M', '--image', 'tiny']
    const ran = await ishare([...run, '--', 'sh', '-c', 'echo done'])
    expect(ran.exitCode, ran.stderr).to.equal(0)
    expect(ran.stdout).to.equal('done')
    const verified = await ishare(['verify', 'last'])
    expect(verified.stdout).to.match(
      /^whole: \d+ frames, \d+ records of server [0-9a-f]{32}, 1 known heads\n/
    )
    const records = (await ishare(['open', 'last', '--json'])).stdout
      .split('\n')
      .map((line) => JSON.parse(line) as { kind: string })
    expect(records[0]?.kind).to.equal('boot')
    expect(records.at(-1)?.kind).to.equal('shutdown')
    // The landlord has every file, and not the key.
    await rm(join(at('consumer'), 'log-key.jwk'))
    expect((await ishare(['open', 'last'])).exitCode).to.not.equal(0)
  })

  it('is of a kernel whose manifest the tenant has', async () => {
    const { stdout } = await ishare(['receipt', 'last', '--manifest'])
    const payload = JSON.parse(Buffer.from(stdout.split('.')[1] ?? '', 'base64url').toString()) as {
      base: { digest: string }
    }
    const listed = JSON.parse(await readFile(artifacts, 'utf8')) as { kernel: { digest: string } }
    expect(payload.base.digest).to.equal(listed.kernel.digest)
  })

  it('is not missed by surprise: an offer that names no factory is refused, unless that was said', async () => {
    const socket = ['--socket-path', at('host.sock')]
    const listen = ['--listen', '/ip4/127.0.0.1/tcp/0', '--factories', 'none']
    const { listening } = await service('provide', ...socket, ...listen, '--state-dir', at('bare'))
    const place = (listening as string[])[0] ?? ''
    const run = ['run', '--accept', '--offer', place, '--memory', '64M', '--disk', '64M', '--image', 'tiny']
    const refused = await ishare([...run, '--', 'true'])
    expect(refused.stderr).to.include('ERR_MANIFEST_UNTRUSTED').and.include('--unwatched')
    expect((await ishare([...run, '--unwatched', '--', 'true'])).exitCode).to.equal(0)
    // Whoever looks for offers of a factory does not find it.
    expect((await ishare(['discover', place])).exitCode).to.equal(0)
    const missed = await ishare(['discover', place, '--why', '--factories', place.split('/').at(-1) ?? ''])
    expect(missed.exitCode).to.equal(69)
    expect(missed.stderr).to.include('names no factory')
  })
})
