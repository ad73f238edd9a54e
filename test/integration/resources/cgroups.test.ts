import { expect } from 'chai'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { allowedCpus } from '../../../soda-host/resources/cpu-balancer.ts'
import { findCgroups, joinFiles, noCgroups, openCgroups } from '../../../soda-host/resources/cgroups.ts'
import type { Cgroups, ServerCgroup } from '../../../soda-host/resources/cgroup-types.ts'
import { hostKnobs } from '../../../soda-host/resources/limits.ts'
import { codeOf } from '../../helpers/errors.ts'
import { requires } from '../../helpers/capabilities.ts'

const MIB = 1024 * 1024
const LIMITS = { cpu: 0.5, memoryBytes: 32 * MIB, diskBytes: 1, processesMax: 10, outputBytesMax: 1 }
const FREEZES = 100
const KNOBS = hostKnobs({ ...LIMITS, cpuMax: 0.5 })

/** A process inside the group, as the launch script puts one there. */
async function joined(group: ServerCgroup, script: string): Promise<ChildProcess> {
  const join = joinFiles(group).map((file) => `echo $$ > ${file}`)
  const child = spawn('sh', ['-c', `${[...join, 'echo in'].join('; ')}; ${script}`], {
    stdio: ['ignore', 'pipe', 'ignore']
  })
  await once(child.stdout, 'data')
  return child
}

function behavesAsGroups(open: () => Promise<Cgroups>): void {
  let cgroups: Cgroups
  let group: ServerCgroup
  const id = `test-cgroups-${process.pid}`

  beforeEach(async () => {
    cgroups = await open()
    group = await cgroups.create(id, KNOBS)
  })

  afterEach(async () => {
    await group.killAll()
    await group.remove()
    for (const path of group.paths) expect(existsSync(path), path).to.equal(false)
  })

  it('is created again without harm, at the paths that it said', async () => {
    expect((await cgroups.create(id, KNOBS)).paths).to.deep.equal(cgroups.pathsOf(id))
  })

  it('kills all that is in it, also what forks all the time, and is found again by its paths', async () => {
    const child = await joined(
      group,
      'for i in 1 2 3 4; do (while :; do sleep 0.01; (sleep 1000 & sleep 0.1) & done) & done; wait'
    )
    const exit = once(child, 'exit')
    const found = cgroups.open(group.paths)
    await found.killAll()
    await exit
    for (const file of joinFiles(group)) expect(readFileSync(file, 'utf8')).to.equal('')
  })

  it('stops all that is in it where it stands, and lets it go on', async function () {
    const child = await joined(group, 'i=0; while :; do i=$((i+1)); echo $i; done')
    const output = child.stdout ?? expect.fail('no output')
    if (!(await group.freeze())) this.skip()
    // Twice is as good as once.
    expect(await group.freeze()).to.equal(true)
    output.resume()
    const before = await group.usage()
    await delay(50)
    expect((await group.usage()).cpuSeconds).to.equal(before.cpuSeconds)
    await group.thaw()
    await once(output, 'data')
    await group.thaw()
  })

  it('stops what starts programs all the time, each time that it is asked', async function () {
    // sh begins each by a vfork, in whose wait no signal reaches it.
    await joined(group, 'for i in 1 2 3 4; do (while :; do /bin/true; done) & done; wait')
    if (!(await group.freeze())) this.skip()
    for (let round = 0; round < FREEZES; round++) {
      await group.thaw()
      await delay(1)
      expect(await group.freeze()).to.equal(true)
    }
    await group.thaw()
  })

  it('kills what is frozen', async function () {
    const child = await joined(group, 'exec sleep 1000')
    const exit = once(child, 'exit')
    if (!(await group.freeze())) this.skip()
    await group.killAll()
    await exit
  })

  it('changes the limits of what runs, in both directions', async () => {
    for (const cpuMax of [undefined, 0.2])
      for (const megabytes of [64, 16, 128])
        await group.limit(
          hostKnobs({ ...LIMITS, memoryBytes: megabytes * MIB, ...(cpuMax !== undefined && { cpuMax }) })
        )
    for (const path of group.paths.filter((each) => existsSync(`${each}/cpu.shares`))) {
      expect(readFileSync(`${path}/cpu.shares`, 'utf8')).to.equal('512\n')
      expect(readFileSync(`${path}/cpu.cfs_quota_us`, 'utf8')).to.equal('20000\n')
    }
  })

  it('changes the limit of memory alone, and says where there is none', async () => {
    for (const bytes of [64 * MIB, 16 * MIB, 128 * MIB]) {
      const isLimited = await group.limitMemory(bytes)
      const files = group.paths.flatMap((path) =>
        ['memory.limit_in_bytes', 'memory.max']
          .map((name) => `${path}/${name}`)
          .filter((file) => existsSync(file))
      )
      expect(isLimited).to.equal(files.length > 0)
      for (const file of files) expect(readFileSync(file, 'utf8')).to.equal(`${bytes}\n`)
    }
  })

  it('moves what runs to another CPU, and what it forks from then on', async function () {
    const child = await joined(group, 'while :; do sleep 0.01; done')
    const [first = 0, second = first] = allowedCpus()
    for (const cpu of [first, second, first]) {
      if (!(await group.placeOn(cpu))) this.skip()
      const status = readFileSync(`/proc/${child.pid ?? 0}/status`, 'utf8')
      expect(status).to.match(new RegExp(`^Cpus_allowed_list:\\s*${cpu}$`, 'm'))
    }
  })

  it('counts CPU time and survives being removed twice', async () => {
    const child = await joined(group, 'i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done')
    await once(child, 'exit')
    const { cpuSeconds, outOfMemoryKills } = await group.usage()
    expect(cpuSeconds).to.be.greaterThan(0)
    expect(outOfMemoryKills).to.equal(0)
    await group.remove()
    await group.remove()
    await group.killAll()
  })
}

describe('cgroups', () => {
  before(function () {
    requires(this, 'root', 'cgroups')
  })

  describe('of version 1', () => {
    before(function () {
      if (findCgroups().v1.size === 0) this.skip()
    })
    const open = async (): Promise<Cgroups> => openCgroups({ ...findCgroups(), v2: undefined })
    behavesAsGroups(open)
    limits(open)
  })

  describe('of version 2', () => {
    before(function () {
      if (findCgroups().v2 === undefined) this.skip()
    })
    const open = async (): Promise<Cgroups> => openCgroups({ v1: new Map(), v2: findCgroups().v2 })
    behavesAsGroups(open)
    limits(open)
  })

  it('refuse to touch a directory that is not ours', async () => {
    const cgroups = await openCgroups()
    for (const path of ['/sys/fs/cgroup', '/sys/fs/cgroup/memory', '/sys/fs/cgroup/ishare-x/../system'])
      expect(await codeOf(async () => cgroups.open([path]))).to.equal('ERR_CGROUP')
  })

  it('do without where there are none, and say so', async () => {
    const none = await openCgroups({ v1: new Map(), v2: undefined })
    expect(none.capability).to.deep.include({ version: 0, controllers: [] })
    expect(none.capability.reason).to.not.equal('')
    const group = await noCgroups('told so').create('any-id-will-do-here', KNOBS)
    await group.killAll()
    await group.remove()
    expect(await group.usage()).to.deep.equal({
      cpuSeconds: undefined,
      memoryPeakBytes: undefined,
      outOfMemoryKills: 0
    })
  })
})

/** What only controllers can do; skipped aloud where the hierarchy has none. */
function limits(open: () => Promise<Cgroups>): void {
  async function within(
    this: Mocha.Context,
    controller: string,
    use: (group: ServerCgroup) => Promise<void>
  ): Promise<void> {
    const cgroups = await open()
    if (!cgroups.capability.controllers.includes(controller)) {
      console.warn(`    SKIPPED: no ${controller} controller here: ${cgroups.capability.reason}`)
      this.skip()
    }
    const group = await cgroups.create(`test-limits-${process.pid}`, KNOBS)
    try {
      await use(group)
    } finally {
      await group.killAll()
      await group.remove()
    }
  }

  it('stops a memory hog at the limit and says that it did', async function () {
    await within.call(this, 'memory', async (group) => {
      const child = await joined(group, 'exec tail /dev/zero')
      const [, signal] = (await once(child, 'exit')) as [number | null, string | null]
      expect(signal).to.equal('SIGKILL')
      const { memoryPeakBytes, outOfMemoryKills } = await group.usage()
      expect(outOfMemoryKills).to.be.greaterThan(0)
      expect(memoryPeakBytes).to.be.at.most(KNOBS.memoryMaxBytes)
    })
  })

  it('bounds the number of processes', async function () {
    await within.call(this, 'pids', async (group) => {
      const child = await joined(group, 'i=0; while [ $i -lt 60 ]; do sleep 1000 & i=$((i+1)); done; wait')
      await once(child, 'exit')
      const [first = ''] = joinFiles(group)
      expect(readFileSync(first, 'utf8').trim().split('\n').length).to.be.at.most(KNOBS.hostProcessesMax)
    })
  })
}
