import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { execa } from 'execa'
import type { HostServer } from '../../../irun/host.ts'
import { MIB } from '../../../src/constants.ts'
import { serverSpec } from '../../helpers/daemon/server-spec.ts'
import { fakeRunHost } from '../../helpers/fake-run-host.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

const ISHARE = join(import.meta.dirname, '../../../src/cli/ishare')

function ishare(...args: string[]) {
  return execa(ISHARE, args, { reject: false, stdin: 'ignore', timeout: 60_000 })
}

describe('the command line', function () {
  this.timeout(60_000)

  it('explains itself, and each command, with status 0', async () => {
    for (const args of [['--help'], ['run', '--help'], ['host', 'start', '--help']]) {
      const { exitCode, stdout } = await ishare(...args)
      expect(exitCode).to.equal(0)
      expect(stdout).to.include('Usage: ishare')
    }
  })

  it('answers wrong usage with status 64 and says what is wrong', async () => {
    for (const args of [
      ['no-such-command'],
      ['run'],
      ['discover', '--cpu', 'x'],
      ['host', 'start', '--slice', 'x']
    ]) {
      const { exitCode, stderr } = await ishare(...args)
      expect(exitCode, args.join(' ')).to.equal(64)
      expect(stderr).to.include('error:')
    }
  })

  it('refuses ways outside that make no sense, before a host is started', async () => {
    await using directory = await temporaryDirectory()
    const state = ['--state-dir', directory.path, '--socket-path', join(directory.path, 'host.sock')]
    const cases: [words: string[], status: number, says: string][] = [
      [['--uplink', 'internet'], 64, 'expected none, nat, pasta, or dedicated:'],
      [['--uplink', 'dedicated:../../etc'], 64, 'expected none, nat, pasta, or dedicated:'],
      [['--uplink', 'dedicated:sixteen-letters-'], 64, 'expected none, nat, pasta, or dedicated:'],
      [['--publish', '203.0.113.5:20-10'], 64, 'expected an address of this machine and ports'],
      [['--publish', '203.0.113.256:1-2'], 64, 'expected an address of this machine and ports'],
      [['--uplink', 'nat', '--slice', 'bandwidth=10M', '--dns', '1.1.1.1', '::1'], 64, 'ERR_CONFIG_VALUE'],
      [['--uplink', 'nat'], 64, 'the slice has no bandwidth']
    ]
    for (const [words, status, says] of cases) {
      const { exitCode, stderr } = await ishare('host', 'start', ...state, ...words)
      expect(exitCode, `${words.join(' ')}: ${stderr}`).to.equal(status)
      expect(stderr, words.join(' ')).to.include(says)
    }
    expect(await readdir(directory.path)).to.deep.equal([])
  })

  it('keeps one identity per state directory', async () => {
    await using directory = await temporaryDirectory()
    const first = await ishare('id', '--json', '--state-dir', directory.path)
    const second = await ishare('id', '--json', '--state-dir', directory.path)
    expect(first.stdout).to.match(/^\{"peer":"12D3KooW\w{44}","logKey":"[\w-]{43}"\}$/)
    expect(second.stdout).to.equal(first.stdout)
  })

  it('changes what a server may use, and takes the machine back, in whole or in part', async () => {
    await using opened = await fakeRunHost()
    const { host, socketPath } = opened
    const spec = serverSpec('exec sleep 1000', { limits: { memoryBytes: 128 * MIB }, mayFreeze: true })
    await host.create(spec)
    await host.start(spec.id)
    const call = async (...words: string[]): Promise<string> => {
      const { exitCode, stdout, stderr } = await ishare('host', ...words, '--socket-path', socketPath)
      expect(exitCode, stderr).to.equal(0)
      return stdout
    }
    const told = JSON.parse(await call('resize', spec.id, '--memory', '64M', '--json')) as HostServer
    expect(told.limits.memoryBytes).to.equal(64 * MIB)
    expect(await call('resize', spec.id, '--memory', '96M')).to.match(/limits\s+cpu 0.25, memory 96 MiB/)
    await call('reclaim', '--memory', '48M', '--cpu', '0.1')
    expect((await host.capacity()).reclaim).to.deep.equal({ cpu: 0.1, memoryBytes: 48 * MIB })
    await call('return')
    const { exitCode, stderr } = await ishare(
      ...['host', 'resize', spec.id, '--memory', '256M', '--socket-path', socketPath]
    )
    expect(exitCode).to.not.equal(0)
    expect(stderr).to.include('more is for a new lease')
  })

  it('says how to start a SODA host where none answers', async () => {
    await using directory = await temporaryDirectory()
    const { exitCode, stderr } = await ishare(
      'host',
      'info',
      '--socket-path',
      join(directory.path, 'none.sock')
    )
    expect(exitCode).to.equal(69)
    expect(stderr).to.include('ERR_HOST_UNREACHABLE').and.include('ishare host start')
  })

  it('says where to look when it was not told', async () => {
    await using directory = await temporaryDirectory()
    const { exitCode, stderr } = await ishare('run', '--accept', '--state-dir', directory.path, '--', 'true')
    expect(exitCode).to.equal(125)
    expect(stderr).to.include('ERR_OFFER_NOT_FOUND').and.include('--bootstrap')
  })

  it('takes options of exec on either side of the run, and leaves the rest to the program', async () => {
    await using directory = await temporaryDirectory()
    const state = ['--state-dir', directory.path]
    for (const args of [
      ['exec', '-t', ...state, 'last', '--', 'sh', '-t', '--json'],
      ['exec', 'last', '-t', ...state, '--', 'sh', '-c', 'true']
    ]) {
      const { exitCode, stderr } = await ishare(...args)
      expect(exitCode, args.join(' ')).to.equal(125)
      expect(stderr).to.include('ERR_RUN_UNKNOWN')
    }
  })

  it('tells facts of the machine as JSON lines', async () => {
    const { stdout } = await ishare('doctor', '--json')
    const names = stdout.split('\n').map((line) => (JSON.parse(line) as { name: string }).name)
    expect(names).to.include.members(['privileges', 'cgroups', 'ptrace', 'user-namespaces', 'disk'])
    expect(names).to.include.members(['network-switch', 'uplink-nat', 'uplink-dedicated', 'uplink-pasta'])
  })
})
