import { expect } from 'chai'
import { existsSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { MIB } from '../../../src/constants.ts'
import { hostKnobs, memoryFloorBytes } from '../../../soda-host/resources/limits.ts'
import { umlLauncher } from '../../../soda-host/virtual-server/index.ts'
import { heldMemoryBytes } from '../../../soda-host/virtual-server/memory-image.ts'
import { requires } from '../../helpers/capabilities.ts'
import { openHost, type OpenedHost } from '../../helpers/daemon/open-host.ts'
import { bytesOf, serverSpec, textOf } from '../../helpers/daemon/server-spec.ts'
import { codeOf } from '../../helpers/errors.ts'
import { allPids, readOrEmpty } from '../../helpers/guest-processes.ts'

const CEILING_BYTES = 128 * MIB
const SMALL_BYTES = 48 * MIB
const SLICE = { cpu: 1, memoryBytes: 192 * MIB, diskBytes: 512 * MIB, servers: 4 }
/** For each line that it reads: touch so many MiB and let go of them, then say how much memory there is. */
const TELLS = `while read mib; do
  [ "$mib" = 0 ] || dd if=/dev/zero of=/dev/null bs=\${mib}M count=1 2>/dev/null || echo no room
  sed -n 's/^MemTotal: *\\([0-9]*\\) kB/total \\1/p' /proc/meminfo
done`

describe('memory of living servers', function () {
  this.timeout(120_000)

  const resources = new AsyncDisposableStack()
  let opening: OpenedHost
  let id: string
  let offset: number
  let lines: number

  before(async function () {
    requires(this, 'root', 'uml', 'bubblewrap', 'cgroups')
    opening = resources.use(
      await openHost({
        launcher: umlLauncher(),
        artifacts: async () => process.env['ISHARE_ARTIFACTS'] ?? '',
        config: { slice: SLICE }
      })
    )
  })

  after(() => resources.disposeAsync())

  beforeEach(async () => {
    const spec = serverSpec(TELLS, { limits: { cpu: 0.9, memoryBytes: CEILING_BYTES }, mayFreeze: true })
    ;({ id } = spec)
    offset = 0
    lines = 0
    await opening.host.create(spec)
    await opening.host.start(id)
  })

  afterEach(() => opening.host.destroy(id))

  /** Asks the program; the same one as long as it answers. @returns MiB that its kernel says there are */
  async function touched(mib: number): Promise<number> {
    offset = await opening.host.stdin(id, offset, Buffer.from(`${mib}\n`))
    lines += 1
    for (;;) {
      const text = textOf(await bytesOf(opening.host.output(id, { offset: 0, follow: false })), 1)
      expect(text).to.not.include('no room')
      const totals = [...text.matchAll(/^total (\d+)$/gm)]
      if (totals.length >= lines) return Number(totals.at(-1)?.[1]) / 1024
      await delay(20)
    }
  }

  function processes(): number[] {
    return allPids().filter((pid) => readOrEmpty(`/proc/${pid}/cgroup`).includes(`ishare-${id}`))
  }

  /** What the host has given for the guest's memory. */
  async function held(): Promise<number> {
    for (const pid of processes())
      if (existsSync(`/proc/${pid}/root/linux`) && existsSync(`/proc/${pid}/root/dev/shm`))
        return heldMemoryBytes(pid)
    return expect.fail('no guest is there')
  }

  /** The group's limit, where the machine has one. */
  function groupLimits(): number[] {
    const pid = processes()[0] ?? 0
    const [, path] = /^\d+:memory:(.*)$/m.exec(readOrEmpty(`/proc/${pid}/cgroup`)) ?? []
    const file = `/sys/fs/cgroup/memory${path}/memory.limit_in_bytes`
    return path !== undefined && existsSync(file) ? [Number(readFileSync(file, 'utf8'))] : []
  }

  async function restarted(): Promise<void> {
    for (;;) {
      const { restarts, state } = await opening.host.inspect(id)
      if (restarts?.count === 1 && state === 'running') return
      await delay(20)
    }
  }

  const boundOf = (memoryBytes: number): number =>
    Math.floor(hostKnobs({ ...serverSpec('').limits, memoryBytes }).memoryMaxBytes / 4096) * 4096

  it("falls while a program runs, is the host's again, and rises to what the lease grants", async () => {
    const { host } = opening
    const whole = await touched(80)
    expect(await held()).to.be.greaterThan(80 * MIB)
    const { limits } = await host.setLimits(id, { memoryBytes: SMALL_BYTES })
    expect(limits.memoryBytes).to.equal(SMALL_BYTES)
    expect(await held()).to.be.at.most(SMALL_BYTES)
    for (const limit of groupLimits()) expect(limit).to.equal(boundOf(SMALL_BYTES))
    expect((await host.capacity()).used.memoryBytes).to.equal(SMALL_BYTES)
    expect(whole - (await touched(0))).to.be.closeTo((CEILING_BYTES - SMALL_BYTES) / MIB, 1)
    // Somebody else has it now.
    const other = serverSpec('cat', { limits: { cpu: 0.1, memoryBytes: SLICE.memoryBytes - SMALL_BYTES } })
    await host.create(other)
    expect(await codeOf(() => host.setLimits(id, { memoryBytes: CEILING_BYTES }))).to.equal('ERR_SLICE_FULL')
    await host.destroy(other.id)
    await host.setLimits(id, { memoryBytes: CEILING_BYTES })
    for (const limit of groupLimits()) expect(limit).to.equal(boundOf(CEILING_BYTES))
    expect(await touched(80)).to.equal(whole)
    const { notices } = await host.inspect(id)
    expect(notices.map(({ code, cause }) => [code, cause])).to.deep.equal([
      ['memory-resized', 'given'],
      ['memory-resized', 'given']
    ])
  })

  it('never goes beyond the lease, nor below what a guest can do with', async () => {
    const { host } = opening
    expect(await codeOf(() => host.setLimits(id, { memoryBytes: CEILING_BYTES + MIB }))).to.equal(
      'ERR_HOST_REQUEST'
    )
    const tooLittle = memoryFloorBytes(CEILING_BYTES) - MIB
    expect(await codeOf(() => host.setLimits(id, { memoryBytes: tooLittle }))).to.equal('ERR_HOST_REQUEST')
  })

  it('is what it was made while the server was started again, and can still rise', async () => {
    const { host } = opening
    const whole = await touched(0)
    await host.setLimits(id, { memoryBytes: SMALL_BYTES })
    await host.restart(id, { graceMs: 0 })
    await restarted()
    expect(whole - (await touched(0))).to.be.closeTo((CEILING_BYTES - SMALL_BYTES) / MIB, 1)
    expect(await held()).to.be.at.most(SMALL_BYTES)
    await host.setLimits(id, { memoryBytes: CEILING_BYTES })
    expect(await touched(0)).to.equal(whole)
  })

  it('is taken by the owner who needs it, and given again, of a frozen one when it is thawed', async () => {
    const { host } = opening
    const whole = await touched(80)
    await host.reclaim({ memoryBytes: SMALL_BYTES })
    expect(await held()).to.be.at.most(SMALL_BYTES)
    // What was promised stays promised.
    expect((await host.inspect(id)).limits.memoryBytes).to.equal(CEILING_BYTES)
    await host.return()
    expect(await touched(80)).to.equal(whole)
    await host.freeze(id)
    expect(await codeOf(() => host.setLimits(id, { memoryBytes: SMALL_BYTES }))).to.equal('ERR_SERVER_STATE')
    await host.reclaim({ memoryBytes: SMALL_BYTES })
    expect(await held()).to.be.greaterThan(80 * MIB)
    await host.thaw(id)
    expect(await held()).to.be.at.most(SMALL_BYTES)
    await host.return()
  })
})
