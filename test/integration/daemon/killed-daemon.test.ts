import { expect } from 'chai'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { hostClient, type HostClient } from '../../../soda-host/client/index.ts'
import type { DaemonConfig } from '../../../soda-host/daemon/index.ts'
import { fakeArtifacts } from '../../helpers/daemon/fake-artifacts.ts'
import { startDaemonProcess, type DaemonProcess } from '../../helpers/daemon/daemon-process.ts'
import { bytesOf, serverSpec, tarOf, textOf, untar } from '../../helpers/daemon/server-spec.ts'
import { guestProcesses } from '../../helpers/daemon/guest-processes.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'
import { SUITE_SLICE } from '../../compliance/run-host.suite.ts'

describe('a daemon that is killed', function () {
  this.timeout(300_000)

  let resources: AsyncDisposableStack
  let directory: string
  let config: DaemonConfig
  let host: HostClient

  beforeEach(async () => {
    resources = new AsyncDisposableStack()
    directory = resources.use(await temporaryDirectory()).path
    const artifactsPath = await fakeArtifacts(join(directory, 'artifacts'))
    const stateDir = join(directory, 'state')
    config = { stateDir, socketPath: join(directory, 'host.sock'), slice: SUITE_SLICE, artifactsPath }
    host = resources.use(hostClient({ socketPath: config.socketPath }))
  })

  afterEach(() => resources.disposeAsync())

  /** What is left in the state directory of one that has no servers. */
  async function expectNothingLeft(): Promise<void> {
    expect(await host.list()).to.deep.equal([])
    expect((await host.capacity()).used.servers).to.equal(0)
    expect(await readdir(join(config.stateDir, 'servers'))).to.deep.equal([])
    expect(guestProcesses(config.stateDir)).to.deep.equal([])
  }

  /** A daemon that dies where it is told to, and then one that does not. */
  async function daemons(dieBefore: number): Promise<{ hasDied: () => boolean } & AsyncDisposable> {
    let died = false
    let current: DaemonProcess = await startDaemonProcess(config, { dieBefore })
    const restarting = current.ended.then(async (said) => {
      died = said.includes('died before step')
      if (died) current = await startDaemonProcess(config)
    })
    return {
      hasDied: () => died,
      async [Symbol.asyncDispose]() {
        if (current.child.exitCode === null && current.child.signalCode === null) await current.kill()
        await restarting
        await current.kill()
      }
    }
  }

  async function insist(action: () => Promise<void>): Promise<void> {
    try {
      await action()
    } catch {
      // A tar cannot be sent again by the client: its caller does.
      await action()
    }
  }

  /** A run that uses everything; whatever dies, its result is the same. */
  async function wholeRun(): Promise<void> {
    const spec = serverSpec('cat in/a; cat; echo err >&2; cat in/b > "$ISHARE_OUT/b"; exit 5')
    await host.create(spec)
    await insist(() =>
      host.putFiles(spec.id, tarOf({ in: undefined, 'in/a': 'file a\n', 'in/b': 'file b\n' }))
    )
    await host.start(spec.id)
    const output = bytesOf(host.output(spec.id, { offset: 0, follow: true }))
    await host.stdin(spec.id, 0, Buffer.from('typed\n'))
    await host.stdin(spec.id, 6, Buffer.from('more\n'), { end: true })
    const server = await host.wait(spec.id)
    expect(server.state, JSON.stringify(server.reason)).to.equal('exited')
    expect(server.exit).to.deep.equal({ kind: 'status', status: 5 })
    expect(textOf(await output, 1)).to.equal('file a\ntyped\nmore\n')
    expect(textOf(await output, 2)).to.equal('err\n')
    expect((await untar(host.files(spec.id))).get('b')?.toString()).to.equal('file b\n')
    await host.destroy(spec.id)
  }

  /** A run whose program fails once, and is started again; whatever dies, it happens once. */
  async function restartedRun(): Promise<void> {
    const count = 'n=$(($(cat lives 2>/dev/null || echo 0) + 1)); echo $n > lives; echo life $n'
    const spec = serverSpec(`${count}; cat; [ $n -gt 1 ] || exit 3; echo ok > "$ISHARE_OUT/r"`, {
      restart: { policy: 'on-failure' }
    })
    await host.create(spec)
    await host.start(spec.id)
    const output = bytesOf(host.output(spec.id, { offset: 0, follow: true }))
    await host.stdin(spec.id, 0, Buffer.from('typed\n'), { end: true })
    const server = await host.wait(spec.id)
    expect([server.state, server.restarts?.count]).to.deep.equal(['exited', 1])
    expect(server.stdin).to.deep.equal({ takenBytes: 6, ended: true })
    expect(textOf(await output, 1)).to.equal('life 1\ntyped\nlife 2\n')
    expect((await untar(host.files(spec.id))).get('r')?.toString()).to.equal('ok\n')
    await host.destroy(spec.id)
  }

  async function atEveryStep(run: () => Promise<void>, first: number): Promise<void> {
    for (let step = first; ; step++) {
      await using all = await daemons(step)
      try {
        // Known to be there, so that the client waits for the next one.
        await run()
        await expectNothingLeft()
      } catch (error) {
        throw new Error(`with a daemon that died before step ${step}`, { cause: error })
      }
      if (!all.hasDied()) {
        expect(step).to.be.above(20)
        return
      }
    }
  }

  it('loses nothing and leaves nothing, at whatever step of a run it dies', async () => {
    await atEveryStep(wholeRun, 1)
  })

  it('starts a program again once, at whatever step it dies', async () => {
    // Those before the end of the first program are as in any run.
    await atEveryStep(restartedRun, 16)
  })
})
