import { expect } from 'chai'
import { machineFacts } from '../../../soda-host/resources/index.ts'
import { ptraceFact } from '../../../soda-host/resources/machine.ts'
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

  it('look into sbin also for an ordinary user', () => {
    expect(hostPath().split(':')).to.include.members(['/usr/sbin', '/sbin'])
  })

  it('need a directory that is there', async () => {
    expect(await codeOf(() => machineFacts('/no/such/directory'))).to.equal('ENOENT')
  })
})
