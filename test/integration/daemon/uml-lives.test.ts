import { expect } from 'chai'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { hostClient, type HostClient } from '../../../soda-host/client/index.ts'
import type { DaemonConfig } from '../../../soda-host/daemon/index.ts'
import { MIB } from '../../../src/constants.ts'
import type { HostServerSpec } from '../../../irun/host.ts'
import { SUITE_SLICE } from '../../compliance/run-host.suite.ts'
import { requires } from '../../helpers/capabilities.ts'
import { startDaemonProcess, type DaemonProcess } from '../../helpers/daemon/daemon-process.ts'
import { guestProcesses } from '../../helpers/daemon/guest-processes.ts'
import { bytesOf, serverSpec, tarOf, textOf, untar, untilOutput } from '../../helpers/daemon/server-spec.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

/** Counts its lives in a file that only a kept layer remembers; what it wrote last is on the disk. */
const COUNTS = 'n=$(($(cat lives 2>/dev/null || echo 0) + 1)); echo $n > lives; sync; echo life $n'
const PANIC = 'echo 1 > /proc/sys/vm/panic_on_oom; tr "\\0" a < /dev/zero | sort'

/** Soon full. */
const SMALL = { memoryBytes: 32 * MIB }

describe('real guests, one after the other', function () {
  this.timeout(120_000)

  let resources: AsyncDisposableStack
  let config: DaemonConfig
  let daemon: DaemonProcess
  let host: HostClient

  before(async function () {
    requires(this, 'root', 'uml', 'bubblewrap')
    resources = new AsyncDisposableStack()
    const directory = resources.use(await temporaryDirectory()).path
    const bootIdPath = join(directory, 'boot_id')
    writeFileSync(bootIdPath, 'first boot\n')
    config = {
      stateDir: join(directory, 'state'),
      socketPath: join(directory, 'host.sock'),
      slice: { ...SUITE_SLICE, servers: 3 },
      artifactsPath: process.env['ISHARE_ARTIFACTS'] ?? '',
      bootIdPath
    }
    daemon = await startDaemonProcess(config, { guests: 'uml' })
    host = resources.use(hostClient({ socketPath: config.socketPath }))
    await host.capacity()
  })

  afterEach(async () => {
    for (const { id } of await host.list()) await host.destroy(id)
    expect(guestProcesses(config.stateDir)).to.deep.equal([])
  })

  after(async () => {
    await daemon.kill()
    await resources.disposeAsync()
  })

  async function running(
    script: string,
    changes: Parameters<typeof serverSpec>[1] = {}
  ): Promise<HostServerSpec> {
    const spec = serverSpec(script, changes)
    await host.create(spec)
    await host.putFiles(spec.id, tarOf({ given: 'given once\n' }))
    await host.start(spec.id)
    return spec
  }

  const output = async (id: string): Promise<string> =>
    textOf(await bytesOf(host.output(id, { offset: 0, follow: true })), 1)

  const killGuests = (): void => {
    for (const pid of guestProcesses(config.stateDir)) process.kill(Number(pid), 'SIGKILL')
  }

  it('follow a kernel that panics, and find the files of the one before', async () => {
    const script = `${COUNTS}; cat given; echo own > given; [ $n -gt 1 ] || { ${PANIC}; sleep 60; }; cat given > $ISHARE_OUT/r`
    const { id } = await running(script, { restart: { policy: 'on-failure' }, limits: SMALL })
    const server = await host.wait(id)
    expect([server.state, server.exit]).to.deep.equal(['exited', { kind: 'status', status: 0 }])
    expect(server.restarts?.count).to.equal(1)
    expect(server.restarts?.last.reason.code).to.equal('guest-panic')
    expect(server.restarts?.last.reason.message).to.include('Out of memory')
    expect(await output(id)).to.match(/^life 1\ngiven once\nlife 2\n(given once|own)\n$/)
    expect((await untar(host.files(id))).get('r')?.toString()).to.equal('own\n')
  })

  it('end with a panic that comes once more than the policy allows', async () => {
    const restart = { policy: 'on-failure', maximum: 1 } as const
    const { id } = await running(`${COUNTS}; ${PANIC}; sleep 60`, { restart, limits: SMALL })
    const server = await host.wait(id)
    expect([server.state, server.reason?.code, server.restarts?.count]).to.deep.equal([
      'failed',
      'guest-panic',
      1
    ])
    expect(await output(id)).to.equal('life 1\nlife 2\n')
  })

  it('follow one that was killed while it wrote, and what was synced is there', async () => {
    const busy = 'while :; do dd if=/dev/zero of=noise bs=64k count=50 2>/dev/null; rm noise; done'
    const script = `${COUNTS}; if [ $n -eq 1 ]; then (${busy}) & echo busy; wait; fi; read line; echo "got $line"`
    const { id } = await running(script, { restart: { policy: 'always' } })
    await untilOutput(host, id, 'busy')
    killGuests()
    await untilOutput(host, id, 'life 2')
    await host.stdin(id, 0, Buffer.from('one\n'))
    await untilOutput(host, id, 'life 3')
    expect((await host.inspect(id)).restarts).to.deep.include({ count: 2 })
    await host.stdin(id, 4, Buffer.from('two\n'))
    await untilOutput(host, id, 'life 4')
    expect(await outputSoFar(id)).to.equal('life 1\nbusy\nlife 2\ngot one\nlife 3\ngot two\nlife 4\n')
  })

  async function outputSoFar(id: string): Promise<string> {
    return textOf(await bytesOf(host.output(id, { offset: 0, follow: false })), 1)
  }

  it('are told apart when the host has killed one for want of memory', async function () {
    const hog = 'read go; head -c 40m /dev/zero | tail -c 40m | wc -c; sleep 60'
    const { id } = await running(`${COUNTS}; [ $n -gt 1 ] || { ${hog}; }`, {
      restart: { policy: 'on-failure' }
    })
    await untilOutput(host, id, 'life 1')
    if (!leaveLittleMemory(id)) this.skip()
    await host.stdin(id, 0, Buffer.from('go\n'))
    const server = await host.wait(id)
    expect(server.restarts?.last.reason.code).to.equal('guest-out-of-memory')
    expect(server.exit).to.deep.equal({ kind: 'status', status: 0 })
  })

  /** The host's limit comes down to what its guest takes now; false, and said aloud, where there is none. */
  function leaveLittleMemory(id: string): boolean {
    const groups = JSON.parse(
      readFileSync(join(config.stateDir, 'servers', id, 'guest', 'cgroups.json'), 'utf8')
    ) as string[]
    const knob = groups
      .flatMap((path) => [
        [join(path, 'memory.limit_in_bytes'), join(path, 'memory.usage_in_bytes')] as const,
        [join(path, 'memory.max'), join(path, 'memory.current')] as const
      ])
      .find(([limit]) => existsSync(limit))
    if (knob === undefined) {
      console.warn('    SKIPPED: no memory controller here')
      return false
    }
    const [limit, usage] = knob
    writeFileSync(limit, String(Number(readFileSync(usage, 'utf8')) + 2 * MIB))
    return true
  }

  describe('that die while no daemon is there', () => {
    /** `script` ends its first guest a while after its first line of output; only then comes the next daemon. */
    async function unseen(
      script: string,
      changes: Parameters<typeof serverSpec>[1],
      meanwhile: (id: string) => void = () => undefined
    ): Promise<string> {
      const { id } = await running(`${COUNTS}; [ $n -gt 1 ] || { sleep 1; ${script}; sleep 1000; }`, changes)
      await untilOutput(host, id, 'life 1')
      await daemon.kill()
      meanwhile(id)
      while (guestProcesses(config.stateDir).length > 0) await delay(20)
      daemon = await startDaemonProcess(config, { guests: 'uml' })
      return id
    }
    const again = { restart: { policy: 'on-failure' } } as const

    it('of a panic are told so, with its words, and are followed by the next', async () => {
      const id = await unseen(PANIC, { ...again, limits: SMALL })
      const { state, restarts } = await host.wait(id)
      expect([state, restarts?.count]).to.deep.equal(['exited', 1])
      expect(restarts?.last.reason.code).to.equal('guest-panic')
      expect(restarts?.last.reason.message).to.include('Out of memory')
    })

    it('by the hand of their own root are told so', async () => {
      const id = await unseen('poweroff -f', again)
      expect((await host.wait(id)).restarts?.last.reason.code).to.equal('guest-halted')
    })

    it('by a kill end as killed where their policy starts no other', async () => {
      const id = await unseen(':', {}, killGuests)
      const { state, reason } = await host.wait(id)
      expect([state, reason?.code]).to.deep.equal(['failed', 'guest-killed'])
    })

    it('for want of memory are told so', async function () {
      const limit = { isThere: true }
      const hog = 'head -c 40m /dev/zero | tail -c 40m | wc -c'
      const id = await unseen(hog, again, (victim) => {
        limit.isThere = leaveLittleMemory(victim)
        if (!limit.isThere) killGuests()
      })
      if (!limit.isThere) this.skip()
      expect((await host.wait(id)).restarts?.last.reason.code).to.equal('guest-out-of-memory')
    })
  })

  it('follow one whose program was to be started again by hand', async () => {
    const { id } = await running(`trap "echo bye; exit 9" TERM; ${COUNTS}; while :; do sleep 0.05; done`)
    await untilOutput(host, id, 'life 1')
    await host.restart(id)
    await untilOutput(host, id, 'life 2')
    expect(await outputSoFar(id)).to.equal('life 1\nbye\nlife 2\n')
    await host.stop(id)
    expect((await host.wait(id)).exit).to.deep.equal({ kind: 'status', status: 9 })
  })

  it('follow those that the machine took along when it was started again; others end, and say so', async () => {
    const always = await running(`${COUNTS}; read line; echo "got $line"; sleep 1000`, {
      restart: { policy: 'always' }
    })
    const never = await running(`${COUNTS}; sleep 1000`)
    const created = serverSpec('echo only now')
    await host.create(created)
    await host.stdin(always.id, 0, Buffer.from('one\n'))
    await untilOutput(host, always.id, 'got one')
    await untilOutput(host, never.id, 'life 1')
    await daemon.kill()
    killGuests()
    writeFileSync(config.bootIdPath ?? '', 'second boot\n')
    daemon = await startDaemonProcess(config, { guests: 'uml' })
    const ended = await host.wait(never.id)
    expect([ended.state, ended.reason?.code]).to.deep.equal(['failed', 'host-rebooted'])
    await untilOutput(host, always.id, 'life 2')
    await host.stdin(always.id, 4, Buffer.from('two\n'))
    await untilOutput(host, always.id, 'got two')
    const server = await host.inspect(always.id)
    expect(server.restarts?.last.reason.code).to.equal('host-rebooted')
    expect(await outputSoFar(always.id)).to.equal('life 1\ngot one\nlife 2\ngot two\n')
    await host.start(created.id)
    await host.wait(created.id)
    expect(await output(created.id)).to.equal('only now\n')
  })

  it('do not take a process of this boot for one of an earlier boot', async () => {
    const { id } = await running(`${COUNTS}; sleep 1000`, { restart: { policy: 'always' } })
    await untilOutput(host, id, 'life 1')
    await daemon.kill()
    // The guest lives on: as if another process had its pid and start time.
    writeFileSync(config.bootIdPath ?? '', 'third boot\n')
    daemon = await startDaemonProcess(config, { guests: 'uml' })
    await untilOutput(host, id, 'life 2')
    expect((await host.inspect(id)).restarts?.last.reason.code).to.equal('host-rebooted')
  })
})
