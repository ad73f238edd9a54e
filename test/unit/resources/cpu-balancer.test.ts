import { expect } from 'chai'
import fc from 'fast-check'
import {
  chooseCpu,
  cpuTimes,
  parseCpuList,
  rebalance,
  type ObservedCpu,
  type ObservedServer
} from '../../../soda-host/resources/cpu-balancer.ts'

describe('choice of a host CPU', () => {
  it('takes the CPU with the least promised', () => {
    const servers = [
      { hostCpu: 0, cpu: 1 },
      { hostCpu: 1, cpu: 0.25 },
      { hostCpu: 1, cpu: 0.25 }
    ]
    expect(chooseCpu([0, 1], servers)).to.equal(1)
    expect(chooseCpu([0, 1], [...servers, { hostCpu: 1, cpu: 1 }])).to.equal(0)
  })

  it('spreads equal servers over all CPUs', () => {
    const servers: { hostCpu: number; cpu: number }[] = []
    for (let i = 0; i < 8; i++) servers.push({ hostCpu: chooseCpu([3, 5, 7, 9], servers), cpu: 0.5 })
    for (const cpu of [3, 5, 7, 9]) expect(servers.filter(({ hostCpu }) => hostCpu === cpu)).to.have.length(2)
  })

  it('ignores servers on CPUs that are not offered', () => {
    expect(chooseCpu([4], [{ hostCpu: 0, cpu: 9 }])).to.equal(4)
  })

  it('is a programmer mistake without any CPU', () => {
    expect(() => chooseCpu([], [])).to.throw(TypeError)
  })

  it('reads how long each CPU was idle, guests of a hypervisor not counted twice', () => {
    const stat = 'cpu  9 9 9 9\ncpu0 1 2 3 40 5 6 7 8 9 10\ncpu12 1 0 0 1 0 0 0 0 1 0\nintr 1\n'
    expect([...cpuTimes(stat)]).to.deep.equal([
      [0, { idle: 45, total: 72 }],
      [12, { idle: 1, total: 2 }]
    ])
    expect(cpuTimes('').size).to.equal(0)
  })

  it('reads the list format of the kernel', () => {
    expect(parseCpuList('0-2,5,8-9\n')).to.deep.equal([0, 1, 2, 5, 8, 9])
    expect(parseCpuList('')).to.deep.equal([])
  })
})

describe('moves of servers between host CPUs', () => {
  const server = (
    id: string,
    hostCpu: number,
    cpu: number,
    used: number,
    isResting = false
  ): ObservedServer => ({ id, hostCpu, cpu, used, isResting })

  /** CPUs on which nothing but these servers runs. */
  function within(cpus: number[], servers: ObservedServer[], others = 0): [ObservedCpu[], ObservedServer[]] {
    const idle = (each: number): number =>
      1 - others - servers.reduce((sum, { hostCpu, used }) => sum + (hostCpu === each ? used : 0), 0)
    return [cpus.map((hostCpu) => ({ hostCpu, idle: Math.max(0, idle(hostCpu)) })), servers]
  }

  it('leaves idle servers, and servers that have all they want, where they are', () => {
    expect(rebalance(...within([0, 1], []))).to.equal(undefined)
    expect(rebalance(...within([0, 1], [server('a', 0, 0.5, 0), server('b', 0, 0.5, 0.1)]))).to.equal(
      undefined
    )
    expect(rebalance(...within([0, 1], [server('a', 0, 0.2, 1), server('b', 1, 0.2, 1)]))).to.equal(undefined)
    expect(rebalance(...within([0], [server('a', 0, 0.5, 0.5), server('b', 0, 0.5, 0.5)]))).to.equal(
      undefined
    )
  })

  it('gives one of two hungry servers the idle CPU beside them', () => {
    const move = rebalance(...within([0, 1], [server('a', 0, 0.5, 0.5), server('b', 0, 0.5, 0.5)]))
    expect(move?.hostCpu).to.equal(1)
  })

  it('sees hunger also where the rest of the machine takes most of both CPUs', () => {
    const servers = [server('a', 0, 0.5, 0.2), server('b', 0, 0.5, 0.2)]
    expect(rebalance(...within([0, 1], servers, 0.6))?.hostCpu).to.equal(1)
  })

  it('sees hunger behind an unequal share', () => {
    const move = rebalance(...within([0, 1], [server('a', 0, 0.75, 0.75), server('b', 0, 0.25, 0.25)]))
    expect(move?.hostCpu).to.equal(1)
  })

  it('spreads guarantees before anybody has used them', () => {
    const servers = [server('a', 0, 1, 0), server('b', 0, 0.5, 0), server('c', 1, 0.25, 0)]
    expect(rebalance(...within([0, 1], servers))).to.deep.equal({ id: 'b', hostCpu: 1 })
  })

  it('moves nobody who has just been moved', () => {
    const servers = [server('a', 0, 0.5, 0.5, true), server('b', 0, 0.5, 0.5, true)]
    expect(rebalance(...within([0, 1], servers))).to.equal(undefined)
  })

  it('brings home a server from a CPU that is given away no more', () => {
    expect(rebalance(...within([1], [server('a', 0, 0.5, 0)]))).to.deep.equal({ id: 'a', hostCpu: 1 })
  })

  it('does not take a full CPU on which everybody has all they want for a hungry one, and back again', () => {
    const servers = [server('a', 0, 0.3, 0.5), server('b', 1, 0.3, 0.4), server('c', 1, 0.3, 0.5)]
    expect(rebalance(...within([0, 1], servers))).to.equal(undefined)
  })

  const anyServers = fc.array(
    fc.record({
      hostCpu: fc.integer({ min: 0, max: 3 }),
      cpu: fc.integer({ min: 1, max: 40 }).map((part) => part / 20),
      /** What it would take of a CPU of its own. */
      wants: fc.integer({ min: 0, max: 10 }).map((part) => part / 10)
    }),
    { maxLength: 12 }
  )

  /** Water-filling by share: what everybody gets who shares a CPU. */
  function observed(servers: { hostCpu: number; cpu: number; wants: number }[]): ObservedServer[] {
    return servers.map(({ hostCpu, cpu }, index) => {
      const used = servers.map(() => 0)
      const here = [...servers.keys()].filter((each) => servers[each]?.hostCpu === hostCpu)
      for (let free = 1, round = 0; round < here.length && free > 1e-9; round++) {
        const hungry = here.filter((each) => (servers[each]?.wants ?? 0) > (used[each] ?? 0) + 1e-9)
        const total = hungry.reduce((sum, each) => sum + (servers[each]?.cpu ?? 0), 0)
        const given = hungry.map((each) =>
          Math.min(
            (servers[each]?.wants ?? 0) - (used[each] ?? 0),
            (free * (servers[each]?.cpu ?? 0)) / total
          )
        )
        for (const [at, each] of hungry.entries()) used[each] = (used[each] ?? 0) + (given[at] ?? 0)
        free -= given.reduce((sum, each) => sum + each, 0)
      }
      return { id: String(index), hostCpu, cpu, used: used[index] ?? 0, isResting: false }
    })
  }

  function overpromised(servers: { hostCpu: number; cpu: number }[]): number {
    const byCpu = [0, 1, 2, 3].map((each) =>
      servers.filter(({ hostCpu }) => hostCpu === each).reduce((sum, { cpu }) => sum + cpu, 0)
    )
    return Math.max(0, ...byCpu.map((promised) => promised - 1))
  }

  it('never makes promises worse, and comes to rest', () => {
    fc.assert(
      fc.property(anyServers, (servers) => {
        let now = servers
        for (let moves = 0; ; moves++) {
          const move = rebalance(...within([0, 1, 2, 3], observed(now)))
          if (move === undefined) break
          expect(moves, 'moves').to.be.lessThan(200)
          const before = overpromised(now)
          now = now.map((each, index) =>
            String(index) === move.id ? { ...each, hostCpu: move.hostCpu } : each
          )
          expect(overpromised(now)).to.be.at.most(before + 1e-6)
        }
      })
    )
  })
})
