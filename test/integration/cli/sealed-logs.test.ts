import { appendFile, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { execa } from 'execa'
import { loadOrCreateLogKey } from '../../../src/identity/index.ts'
import { requires } from '../../helpers/capabilities.ts'
import { buildHarness, SealScript, type Harness } from '../../helpers/sealer.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

const MAIN = join(import.meta.dirname, '../../../src/cli/main.ts')

function ishare(...args: string[]) {
  return execa('node', ['--disable-warning=ExperimentalWarning', MAIN, ...args], { reject: false })
}

describe('Command line, sealed logs', () => {
  let harness: Harness
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>
  let frames: Buffer
  let path: string
  let state: string[]

  before(async function () {
    requires(this, 'libcrypto')
    this.timeout(60_000)
    harness = buildHarness()
    directory = await temporaryDirectory()
    state = ['--state-dir', join(directory.path, 'state')]
    const key = await loadOrCreateLogKey(join(directory.path, 'state'))
    const script = new SealScript('cli', [key]).boot(0).epoch()
    script.record({ kind: 'exec', tails: ['/bin/nc', 'nc\0-l\0'], timeMs: 1000, pid: 9 })
    script.record({ kind: 'alert', fields: { gid: 1, sid: 2, severity: 1 }, tails: ['\u001b[31mshell', ''] })
    script.record({ kind: 'tty', fields: { direction: 2, session: 3 }, tails: ['hello\r\n'] }).frame()
    script.record({ kind: 'shutdown' }).frame('end')
    frames = script.seal(harness)
    path = join(directory.path, 'log')
    await mkdir(path)
    // In two segments, cut where it falls.
    await writeFile(join(path, '00000000.klog'), frames.subarray(0, 500))
    await writeFile(join(path, '00000001.klog'), frames.subarray(500))
  })
  after(async () => {
    harness.remove()
    await directory[Symbol.asyncDispose]()
  })

  it('opens a log, as lines for people or as JSON, of the kinds that are asked for', async () => {
    const lines = (await ishare('open', path, ...state)).stdout.split('\n')
    expect(lines).to.have.length(4)
    expect(lines[0]).to.equal('2023-11-14T22:13:21.000Z exec sh[9] uid 0: /bin/nc: nc -l')
    const json = await ishare('open', path, ...state, '--json', '--kind', 'exec,tty')
    expect(json.stdout.split('\n').map((line) => (JSON.parse(line) as { kind: string }).kind)).to.deep.equal([
      'exec',
      'tty'
    ])
  })

  it('prints alerts, and lets none of what a guest wrote reach the terminal as a command', async () => {
    const { stdout } = await ishare('alerts', path, ...state)
    expect(stdout).to.match(/alert .*severity 1: \uFFFD\[31mshell$/)
  })

  it('lists sessions, replays them and writes them as asciicast', async () => {
    expect((await ishare('sessions', path, ...state)).stdout).to.include('0.0:0.3')
    expect((await ishare('replay', path, ...state)).stdout).to.equal('hello')
    const cast = await ishare('replay', path, '0.0:0.3', ...state, '--cast', '2')
    expect(cast.stdout.split('\n')[1]).to.equal('[0,"o","hello\\r\\n"]')
  })

  it('verifies: whole with exit status 0, else 1 and where', async () => {
    const whole = await ishare('verify', path, ...state)
    expect([whole.exitCode, whole.stdout.split('\n')[0]]).to.deep.equal([
      0,
      'whole: 3 frames, 4 records of server ' + frames.toString('hex', 48, 64)
    ])
    const head = /head (\S+)/.exec(whole.stdout)![1]!
    const cut = join(directory.path, 'cut')
    await writeFile(cut, frames.subarray(0, -200))
    const report = await ishare('verify', cut, ...state, '--anchor', head)
    expect(report.exitCode).to.equal(1)
    expect(report.stdout).to.match(/anchor at byte \d+: .*NOT whole/s)
    expect((await ishare('verify', path, '--no-key')).exitCode).to.equal(0)
  }).timeout(60_000)

  it('follows a log that grows', async () => {
    const growing = join(directory.path, 'growing')
    await writeFile(growing, frames.subarray(0, 900))
    const follower = ishare('open', growing, ...state, '--follow')
    const seen: string[] = []
    for await (const line of follower) {
      seen.push(line)
      if (seen.length === 3) await appendFile(growing, frames.subarray(900))
      if (seen.length === 4) follower.kill('SIGINT')
    }
    expect(seen[3]).to.include('shutdown')
  })
})
