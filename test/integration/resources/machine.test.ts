import { expect } from 'chai'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { machineFacts } from '../../../soda-host/resources/index.ts'
import { isHostKernelAtLeast } from '../../../soda-host/resources/host-kernel.ts'
import { diskScheduler, diskShareFact } from '../../../soda-host/resources/disk-share.ts'
import { limitFacts, ptraceFact, seccompFact } from '../../../soda-host/resources/machine.ts'
import { findProgram, hostPath } from '../../../soda-host/resources/host-programs.ts'
import { codeOf } from '../../helpers/errors.ts'
import { requires } from '../../helpers/capabilities.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

describe('facts of the machine', () => {
  it('have distinct names, and advice exactly where something is amiss', async () => {
    await using directory = await temporaryDirectory()
    const facts = await machineFacts(directory.path)
    expect(new Set(facts.map(({ name }) => name)).size).to.equal(facts.length)
    for (const { name, status, found, advice } of facts) {
      expect(found, name).to.not.equal('')
      expect(advice === '', name).to.equal(status === 'ok')
    }
  })

  it('say that the jail works where it does', async function () {
    requires(this, 'root', 'bubblewrap')
    await using directory = await temporaryDirectory()
    const facts = await machineFacts(directory.path)
    expect(facts.find(({ name }) => name === 'jail')).to.include({ status: 'ok' })
    expect(facts.find(({ name }) => name === 'privileges')).to.include({ status: 'ok' })
  })

  it('tell of a program that is not there, and what to install', async () => {
    await using directory = await temporaryDirectory()
    const path = process.env['PATH']
    process.env['PATH'] = '/nowhere'
    try {
      expect(findProgram('bwrap')).to.equal(undefined)
      const facts = await machineFacts(directory.path)
      expect(facts.find(({ name }) => name === 'program-bwrap')).to.deep.include({
        status: 'fail',
        advice: 'apt-get install bubblewrap'
      })
      expect(facts.find(({ name }) => name === 'jail')).to.include({ status: 'fail' })
    } finally {
      process.env['PATH'] = path
    }
  })

  it('know which settings of Yama stop guest kernels', () => {
    const statuses = [undefined, '0', '1', '2', '3'].map((scope) => ptraceFact(scope).status)
    expect(statuses).to.deep.equal(['ok', 'ok', 'ok', 'fail', 'fail'])
  })

  it('know a kernel that cannot filter system calls', () => {
    expect(seccompFact('kill_process kill_thread trap errno user_notif trace log allow').status).to.equal(
      'ok'
    )
    for (const actions of [undefined, '', 'kill trap errno trace allow'])
      expect(seccompFact(actions).status).to.equal('fail')
  })

  it('say of every limit whether it is kept, with root and without, with cgroups and without', () => {
    const warned = (controllers: string[], isRoot: boolean, countsByNamespace = true) =>
      limitFacts({ controllers, isRoot, countsByNamespace })
        .filter(({ status }) => status === 'warn')
        .map(({ name }) => name)
    const all = ['cpu', 'memory', 'pids']
    expect(warned(all, true)).to.deep.equal([])
    expect(warned(all, false)).to.deep.equal(['limit-uid'])
    // Processes of a uid are counted, where the uid is the server's own or its namespace has a count.
    expect(warned([], true, false)).to.deep.equal(['limit-cpu', 'limit-memory'])
    expect(warned([], false)).to.deep.equal(['limit-uid', 'limit-cpu', 'limit-memory'])
    expect(warned([], false, false)).to.deep.equal([
      'limit-uid',
      'limit-cpu',
      'limit-memory',
      'limit-processes'
    ])
    expect(warned(['memory', 'pids'], false, false)).to.deep.equal(['limit-uid', 'limit-cpu'])
  })

  it('say that the disk is shared by weight only where its scheduler does that', () => {
    for (const controllers of [['io'], ['blkio', 'cpu']])
      expect(diskShareFact(controllers, 'bfq').status).to.equal('ok')
    for (const [controllers, scheduler] of [
      [['io'], 'mq-deadline'],
      [['cpu'], 'bfq'],
      [['blkio'], undefined]
    ] as const)
      expect(diskShareFact(controllers, scheduler))
        .to.include({ status: 'warn' })
        .and.to.have.property('advice')
        .not.equal('')
    expect(diskScheduler('/proc')).to.equal(undefined)
  })

  it('compare versions of kernels as numbers', () => {
    const isAtLeast = (version: string) => isHostKernelAtLeast([5, 14], version)
    expect(
      ['5.14.0', '5.15.167-generic', '6.1.0-28-amd64', '6.18-rc1', '10.0'].map(isAtLeast)
    ).to.not.include(false)
    expect(['5.9.0', '5.13.19', '4.19.0', '', 'strange'].map(isAtLeast)).to.not.include(true)
  })

  it('stand in the guide, each limit with a row', async () => {
    const guide = await readFile(join(import.meta.dirname, '../../../docs/guides/without-root.md'), 'utf8')
    for (const { name } of limitFacts({ controllers: [], isRoot: false, countsByNamespace: false }))
      expect(guide).to.include(`\`${name}\``)
    expect(guide).to.include('`limit-disk-share`')
  })

  it('look into sbin also for an ordinary user', () => {
    expect(hostPath().split(':')).to.include.members(['/usr/sbin', '/sbin'])
  })

  it('need a directory that is there', async () => {
    expect(await codeOf(() => machineFacts('/no/such/directory'))).to.equal('ENOENT')
  })
})
