import { expect } from 'chai'
import { hostKnobs, memoryFloorBytes } from '../../../soda-host/resources/limits.ts'

const MIB = 1024 * 1024
const limits = { cpu: 1, memoryBytes: 64 * MIB, diskBytes: 100 * MIB, processesMax: 64, outputBytesMax: 1 }

describe('limits of a server as settings of the host', () => {
  it('turns one CPU into the default weight of both cgroup versions', () => {
    expect(hostKnobs(limits)).to.include({ cpuShares: 1024, cpuWeight: 100, cpuQuotaMicroseconds: undefined })
  })

  it('stays inside the ranges that the kernel takes', () => {
    expect(hostKnobs({ ...limits, cpu: 0.0001 })).to.include({ cpuShares: 2 })
    expect(hostKnobs({ ...limits, cpu: 10_000 })).to.include({ cpuShares: 262_144 })
    expect(hostKnobs({ ...limits, cpuMax: 0.001 }).cpuQuotaMicroseconds).to.equal(1000)
  })

  it('caps only when asked to', () => {
    expect(hostKnobs({ ...limits, cpuMax: 0.5 }).cpuQuotaMicroseconds).to.equal(50_000)
  })

  it('gives the guest all of the memory it was promised, and the host its overhead on top', () => {
    const knobs = hostKnobs({ ...limits, memoryBytes: 64 * MIB - 1 })
    expect(knobs.guestMemoryBytes).to.equal(64 * MIB)
    expect(knobs.memoryFileSystemBytes).to.be.greaterThan(knobs.guestMemoryBytes)
    expect(knobs.memoryMaxBytes).to.be.greaterThan(knobs.guestMemoryBytes)
  })

  it('lets a guest be larger than what it may use now, and bounds it by what it may use', () => {
    const whole = hostKnobs({ ...limits, memoryBytes: 128 * MIB })
    const part = hostKnobs(limits, 128 * MIB)
    expect(part.guestMemoryBytes).to.equal(whole.guestMemoryBytes)
    expect(part.memoryFileSystemBytes).to.equal(whole.memoryFileSystemBytes)
    expect(part.memoryMaxBytes).to.equal(hostKnobs(limits).memoryMaxBytes)
    expect(part.usableMemoryBytes).to.equal(64 * MIB)
    expect(whole.usableMemoryBytes).to.equal(undefined)
  })

  it('leaves a large guest room for its book of pages when it is made small', () => {
    expect(memoryFloorBytes(64 * MIB)).to.equal(34 * MIB)
    expect(memoryFloorBytes(64 * 1024 * MIB)).to.be.greaterThan(1024 * MIB)
  })

  it('grants memory for each process that may be', () => {
    const few = hostKnobs({ ...limits, processesMax: 10 })
    const many = hostKnobs({ ...limits, processesMax: 1000 })
    expect(many.memoryMaxBytes).to.be.greaterThan(few.memoryMaxBytes)
    expect(many.hostProcessesMax - few.hostProcessesMax).to.equal(990)
  })
})
