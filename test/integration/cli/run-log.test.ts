import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { requires } from '../../helpers/capabilities.ts'
import { CommandLine } from '../../helpers/command-line.ts'

/** The whole way, for real: host, provider with a factory of its own, a run, its sealed log on the tenant's machine. */
describe('Command line, the sealed log of a run', function () {
  this.timeout(120_000)
  let world: CommandLine

  before(async function () {
    requires(this, 'root', 'uml', 'bubblewrap')
    world = await CommandLine.open('cpu=1,memory=256M,disk=256M,servers=1')
  })
  after(() => world[Symbol.asyncDispose]())

  it('is on its tenant’s machine after the run, opens there with the tenant’s key only, and is whole', async () => {
    const ran = await world.ishare(world.run([], 'sh', '-c', 'echo done'))
    expect(ran.exitCode, ran.stderr).to.equal(0)
    expect(ran.stdout).to.equal('done')
    const verified = await world.ishare(['verify', 'last'])
    expect(verified.stdout).to.match(
      /^whole: \d+ frames, \d+ records of server [0-9a-f]{32}, 1 known heads\n/
    )
    const records = (await world.ishare(['open', 'last', '--json'])).stdout
      .split('\n')
      .map((line) => JSON.parse(line) as { kind: string })
    expect(records[0]?.kind).to.equal('boot')
    expect(records.at(-1)?.kind).to.equal('shutdown')
    // The landlord has every file, and not the key.
    await rm(join(world.at('consumer'), 'log-key.jwk'))
    expect((await world.ishare(['open', 'last'])).exitCode).to.not.equal(0)
  })

  it('is of a kernel whose manifest the tenant has', async () => {
    const { stdout } = await world.ishare(['receipt', 'last', '--manifest'])
    const payload = JSON.parse(Buffer.from(stdout.split('.')[1] ?? '', 'base64url').toString()) as {
      base: { digest: string }
    }
    const listed = JSON.parse(await readFile(process.env['ISHARE_ARTIFACTS'] ?? '', 'utf8')) as {
      kernel: { digest: string }
    }
    expect(payload.base.digest).to.equal(listed.kernel.digest)
  })

  it('is not missed by surprise: an offer that names no factory is refused, unless that was said', async () => {
    const listen = ['--listen', '/ip4/127.0.0.1/tcp/0', '--factories', 'none']
    const state = ['--state-dir', world.at('bare')]
    const { listening } = await world.service('provide', ...world.socket, ...listen, ...state)
    const place = (listening as string[])[0] ?? ''
    const run = ['run', '--accept', '--offer', place, '--memory', '64M', '--disk', '64M', '--image', 'tiny']
    const refused = await world.ishare([...run, '--', 'true'])
    expect(refused.stderr).to.include('ERR_MANIFEST_UNTRUSTED').and.include('--unwatched')
    expect((await world.ishare([...run, '--unwatched', '--', 'true'])).exitCode).to.equal(0)
    // Whoever looks for offers of a factory does not find it.
    expect((await world.ishare(['discover', place])).exitCode).to.equal(0)
    const missed = await world.ishare([
      'discover',
      place,
      '--why',
      '--factories',
      place.split('/').at(-1) ?? ''
    ])
    expect(missed.exitCode).to.equal(69)
    expect(missed.stderr).to.include('names no factory')
  })
})
