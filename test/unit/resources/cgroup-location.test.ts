import { expect } from 'chai'
import { locateCgroups } from '../../../soda-host/resources/cgroup-location.ts'

describe('location of our own cgroups', () => {
  it('finds version 2 of a systemd machine', () => {
    const mounts = '35 24 0:30 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n'
    const { v1, v2 } = locateCgroups(mounts, '0::/system.slice/soda-host.service\n')
    expect(v2).to.equal('/sys/fs/cgroup/system.slice/soda-host.service')
    expect(v1.size).to.equal(0)
  })

  it('finds every controller of version 1, also where two share a hierarchy', () => {
    const mounts = [
      '30 25 0:26 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct',
      '31 25 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory',
      '32 25 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw'
    ].join('\n')
    const { v1, v2 } = locateCgroups(mounts, '5:cpu,cpuacct:/\n4:memory:/user/me\n3:blkio:/\n0::/\n')
    expect(Object.fromEntries(v1)).to.deep.equal({
      cpu: '/sys/fs/cgroup/cpu,cpuacct',
      cpuacct: '/sys/fs/cgroup/cpu,cpuacct',
      memory: '/sys/fs/cgroup/memory/user/me'
    })
    expect(v2).to.equal('/sys/fs/cgroup/unified')
  })

  it('translates paths in a container, where only a part of the hierarchy is mounted', () => {
    const mounts = '90 80 0:30 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n'
    expect(locateCgroups(mounts, '0::/docker/abc/inner\n').v2).to.equal('/sys/fs/cgroup/inner')
    expect(locateCgroups(mounts, '0::/docker/abc\n').v2).to.equal('/sys/fs/cgroup')
    // A sibling whose name merely starts alike is not below the root of the mount.
    expect(locateCgroups(mounts, '0::/docker/abcdef\n').v2).to.equal('/sys/fs/cgroup')
  })

  it('undoes the escapes of mountinfo', () => {
    const mounts = '35 24 0:30 / /mnt/c\\040group rw - cgroup2 none rw\n'
    expect(locateCgroups(mounts, '0::/\n').v2).to.equal('/mnt/c group')
  })

  it('answers nothing where nothing is mounted, or for text that is no such table', () => {
    for (const text of ['', '\n\n', 'x', ' - ', '1 2 3 - cgroup2']) {
      const { v1, v2 } = locateCgroups(text, '0::/\n1:memory:/\nrubbish\n')
      expect([v1.size, v2]).to.deep.equal([0, undefined])
    }
  })
})
