import { expect } from 'chai'
import { chooseCpu, parseCpuList } from '../../../soda-host/resources/cpu-balancer.ts'

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

  it('reads the list format of the kernel', () => {
    expect(parseCpuList('0-2,5,8-9\n')).to.deep.equal([0, 1, 2, 5, 8, 9])
    expect(parseCpuList('')).to.deep.equal([])
  })
})
