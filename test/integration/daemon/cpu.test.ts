import { expect } from 'chai'
import { setTimeout as delay } from 'node:timers/promises'
import { MIB } from '../../../src/constants.ts'
import { allowedCpus } from '../../../soda-host/resources/cpu-balancer.ts'
import { noCgroups } from '../../../soda-host/resources/cgroups.ts'
import { DAEMON_TIMING } from '../../../soda-host/daemon/limits.ts'
import { umlLauncher } from '../../../soda-host/virtual-server/index.ts'
import { requires } from '../../helpers/capabilities.ts'
import { openHost, type OpenedHost } from '../../helpers/daemon/open-host.ts'
import { serverSpec } from '../../helpers/daemon/server-spec.ts'
import { errorOf } from '../../helpers/errors.ts'
import { realGuests, shell } from '../../helpers/guests.ts'
import { allPids, processesOf, readOrEmpty, statusField } from '../../helpers/guest-processes.ts'

const SLICE = { cpu: 1, memoryBytes: 512 * MIB, diskBytes: 512 * MIB, servers: 4 }
const HUNGRY = 'echo up; while :; do :; done'

describe('CPU of living servers', function () {
  this.timeout(60_000)

  before(function () {
    requires(this, 'root', 'uml', 'bubblewrap', 'cgroups')
  })

  async function opened(cpus: readonly number[]): Promise<OpenedHost> {
    return openHost({
      launcher: umlLauncher(),
      artifacts: async () => process.env['ISHARE_ARTIFACTS'] ?? '',
      config: { cpus, slice: SLICE, timing: { ...DAEMON_TIMING, balanceMs: 250 } }
    })
  }

  async function running(
    { host }: OpenedHost,
    script: string,
    limits: Parameters<typeof serverSpec>[1]
  ): Promise<string> {
    const spec = serverSpec(script, limits)
    await host.create(spec)
    await host.start(spec.id)
    for await (const chunk of host.output(spec.id, { offset: 0, follow: true })) if (chunk.length > 0) break
    return spec.id
  }

  it('follows its share when that is changed, and its cap', async () => {
    await using opening = await opened(allowedCpus().slice(0, 1))
    const { host } = opening
    const first = await running(opening, HUNGRY, { limits: { cpu: 0.4 }, mayFreeze: true })
    const second = await running(opening, HUNGRY, { limits: { cpu: 0.4 } })
    const used = async (id: string): Promise<number> => (await host.inspect(id)).usage.cpuSeconds
    const ratio = async (): Promise<number> => {
      const before = [await used(first), await used(second)] as const
      // Until there is enough to compare, however long that takes on a busy machine.
      while ((await used(first)) + (await used(second)) < before[0] + before[1] + 0.8) await delay(50)
      return ((await used(first)) - before[0]) / ((await used(second)) - before[1])
    }
    expect(await ratio()).to.be.within(0.6, 1.7)
    expect((await host.setLimits(second, { cpu: 0.05 })).limits.cpu).to.equal(0.05)
    expect(await ratio()).to.be.greaterThan(3)
    await host.setLimits(second, { cpu: 0.4 })
    await host.setLimits(first, { cpuMax: 0.02 })
    expect(await ratio()).to.be.lessThan(0.5)
    expect((await host.setLimits(first, { cpuMax: null })).limits).to.not.have.property('cpuMax')
    // The owner's wish does the same to those that agreed.
    await host.reclaim({ cpu: 0.02 })
    expect(await ratio()).to.be.lessThan(0.5)
    await host.return()
    expect(await ratio()).to.be.greaterThan(0.5)
    const kinds = []
    for await (const { id, kind } of host.events()) if (id === first) kinds.push(kind)
    expect(kinds).to.deep.equal(['created', 'booting', 'running', 'resized', 'resized'])
  })

  it('gives free what a server gives up, takes it back only while it is free, and never beyond its lease', async () => {
    await using opening = await opened(allowedCpus())
    const { host } = opening
    const { cpu: total } = (await host.capacity()).total
    const first = serverSpec('cat', { limits: { cpu: total / 2 } })
    const second = serverSpec('cat', { limits: { cpu: total } })
    await host.create(first)
    expect(await errorOf(() => host.create(second))).to.have.property('code', 'ERR_SLICE_FULL')
    await host.setLimits(first.id, { cpu: total / 4 })
    expect((await host.capacity()).used.cpu).to.equal(total / 4)
    await host.create({ ...second, limits: { ...second.limits, cpu: total / 2 } })
    await host.setLimits(first.id, { cpu: total / 2 })
    await host.setLimits(first.id, { cpu: 0.05 })
    await host.create(serverSpec('cat', { limits: { cpu: total / 2 - 0.05 } }))
    expect(await errorOf(() => host.setLimits(first.id, { cpu: total / 2 }))).to.have.property(
      'code',
      'ERR_SLICE_FULL'
    )
    expect(await errorOf(() => host.setLimits(first.id, { cpu: total }))).to.have.property(
      'code',
      'ERR_HOST_REQUEST'
    )
    // The same spec is still the same server.
    expect((await host.create(first)).limits.cpu).to.equal(0.05)
  })

  it('moves a hungry server, whole, to a CPU that idles', async function () {
    const [one, two] = allowedCpus()
    if (one === undefined || two === undefined) {
      console.warn('    SKIPPED: one CPU only')
      this.skip()
    }
    await using opening = await opened([one, two])
    const { host } = opening
    // Promised most and idle; the other two share the other CPU, and want all of it.
    await running(opening, 'echo up; cat', { limits: { cpu: 0.3 } })
    const hungry = [
      await running(opening, HUNGRY, { limits: { cpu: 0.1 } }),
      await running(opening, `(while :; do :; done) & ${HUNGRY}`, { limits: { cpu: 0.1 } })
    ]
    expect((await host.list()).map(({ hostCpu }) => hostCpu)).to.deep.equal([one, two, two])
    const moved = async (): Promise<string | undefined> => {
      for (const id of hungry) if ((await host.inspect(id)).hostCpu === one) return id
      return undefined
    }
    let id = await moved()
    for (; id === undefined; id = await moved()) await delay(50)
    const ofMoved = allPids().filter((pid) => readOrEmpty(`/proc/${pid}/cgroup`).includes(`ishare-${id}`))
    const places = ofMoved.map((pid) => statusField(pid, 'Cpus_allowed_list')).filter(Boolean)
    // Keeper, jail, guest kernel, its programs.
    expect(places.length).to.be.greaterThan(4)
    expect(new Set(places)).to.deep.equal(new Set([String(one)]))
  })

  it('moves every task of a guest that forks all the time, also without cgroups', async function () {
    const [one, two] = allowedCpus()
    if (one === undefined || two === undefined) {
      console.warn('    SKIPPED: one CPU only')
      this.skip()
    }
    await using guests = await realGuests('tiny', { cgroups: noCgroups('none, for this test') })
    const { server } = await guests.start(shell('while :; do (sleep 0.01; :) & (:); done'), { hostCpu: one })
    for (const cpu of [two, one]) {
      await server.moveTo(cpu)
      const elsewhere = processesOf(server.record).filter((pid) => {
        const allowed = statusField(pid, 'Cpus_allowed_list')
        return allowed !== '' && allowed !== String(cpu)
      })
      expect(elsewhere).to.deep.equal([])
    }
  })
})
