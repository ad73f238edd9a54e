import { expect } from 'chai'
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, rmdirSync, writeFileSync, existsSync } from 'node:fs'
import { join } from 'node:path'
import type { CgroupCapability } from '../../../soda-host/resources/cgroup-types.ts'
import { findCgroups } from '../../../soda-host/resources/cgroups.ts'
import { requires } from '../../helpers/capabilities.ts'

const FIXTURE = join(import.meta.dirname, '../../fixtures/open-cgroup-v2.ts')

/** Real groups of the kernel; any controller that version 2 has here serves to show the rules. */
describe('parent of the groups of servers on cgroup version 2', () => {
  let controller: string | undefined
  let top: string
  let session: string
  const others: ChildProcess[] = []

  before(function () {
    requires(this, 'root', 'cgroups')
    const own = findCgroups().v2
    const controllers = own === undefined ? '' : readFileSync(join(own, 'cgroup.controllers'), 'utf8').trim()
    if (own === undefined || controllers === '') {
      console.warn('    SKIPPED: no controller on version 2 here')
      this.skip()
    }
    const [first = ''] = controllers.split(' ')
    controller = first
    writeFileSync(join(own, 'cgroup.subtree_control'), `+${first}`)
    top = join(own, `ishare-test-${process.pid}`)
    session = join(top, 'session')
  })

  after(() => {
    const own = findCgroups().v2
    if (own !== undefined && controller !== undefined)
      writeFileSync(join(own, 'cgroup.subtree_control'), `-${controller}`)
  })

  beforeEach(() => {
    mkdirSync(top)
    writeFileSync(join(top, 'cgroup.subtree_control'), `+${controller ?? ''}`)
    mkdirSync(session)
  })

  afterEach(async () => {
    for (const other of others.splice(0)) {
      const exit = once(other, 'exit')
      other.kill('SIGKILL')
      await exit
    }
    for (const directory of [join(session, 'soda-host'), session, top])
      if (existsSync(directory)) rmdirSync(directory)
  })

  /** A process that stays in the group, as a login shell does. */
  async function shareWithOthers(directory: string): Promise<void> {
    const other = spawn('sh', ['-c', `echo $$ > ${directory}/cgroup.procs; echo in; exec sleep 1000`])
    others.push(other)
    await once(other.stdout, 'data')
  }

  function open(own: string, wanted = controller ?? ''): { capability: CgroupCapability; paths: string[] } {
    const script = 'echo $$ > "$1/cgroup.procs"; exec "$2" "$3" "$1" "$4"'
    const result = spawnSync('sh', ['-c', script, 'sh', own, process.execPath, FIXTURE, wanted], {
      encoding: 'utf8'
    })
    expect(result.status, result.stderr).to.equal(0)
    return JSON.parse(result.stdout) as { capability: CgroupCapability; paths: string[] }
  }

  it('is our own group when we are alone in it', () => {
    const { capability, paths } = open(session)
    expect(capability.controllers).to.deep.equal([controller])
    expect(paths[0]).to.match(new RegExp(`^${session}/ishare-`))
  })

  it('is the group above when others share ours, and we stay where we were', async () => {
    await shareWithOthers(session)
    const { capability, paths } = open(session)
    expect(capability).to.include({ version: 2, reason: '' })
    expect(paths[0]).to.match(new RegExp(`^${top}/ishare-`))
    expect(existsSync(join(session, 'soda-host'))).to.equal(false)
    expect(readFileSync(join(session, 'cgroup.procs'), 'utf8').trim().split('\n')).to.have.length(1)
  })

  it('is our own group without limits when nobody above has the controller', async () => {
    const { capability, paths } = open(session, 'no-such-controller')
    expect(capability.missing).to.deep.equal(['no-such-controller'])
    expect(capability.reason).to.include('Delegate=yes')
    expect(paths[0]).to.match(new RegExp(`^${session}/ishare-`))
  })

  it('is the same for a daemon that was started from the leaf of an earlier one', () => {
    const leaf = join(session, 'soda-host')
    mkdirSync(leaf)
    writeFileSync(join(session, 'cgroup.subtree_control'), `+${controller ?? ''}`)
    expect(open(leaf).paths[0]).to.match(new RegExp(`^${session}/ishare-`))
  })
})
