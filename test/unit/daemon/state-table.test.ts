import { expect } from 'chai'
import { DatabaseSync } from 'node:sqlite'
import { join } from 'node:path'
import { StateTable } from '../../../soda-host/daemon/state-table.ts'
import type { ServerRecord } from '../../../soda-host/daemon/server-record.ts'
import { serverSpec } from '../../helpers/daemon/server-spec.ts'
import { errorOf } from '../../helpers/errors.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

describe('the state table', () => {
  let resources: AsyncDisposableStack
  let path: string

  beforeEach(async () => {
    resources = new AsyncDisposableStack()
    path = join(resources.use(await temporaryDirectory()).path, 'state.sqlite')
  })

  afterEach(() => resources.disposeAsync())

  function record(): ServerRecord {
    return {
      spec: serverSpec('true'),
      imageDigest: `sha256:${'0'.repeat(64)}`,
      slot: 0,
      published: [],
      state: 'created',
      createdAtMs: 1,
      notices: [],
      limitsReached: [],
      boots: 0,
      base: { outputBytes: 0, stdinBytes: 0, cpuSeconds: 0 },
      frozenBy: [],
      outputSeenBytes: 0,
      outputKeptBytes: 0,
      stdin: { takenBytes: 0, ended: false },
      log: { file: 0, fileStart: 0, at: 0 },
      logRange: { start: 0, end: 0 },
      usage: { cpuSeconds: 0, memoryPeakBytes: 0 },
      snapshots: [],
      isDoomed: false
    }
  }

  it('gives back what was written, to the next one that opens it', () => {
    const first = record()
    const next: ServerRecord = {
      ...first,
      state: 'running',
      process: { pid: 1, startTime: '2', cgroups: ['/c'] }
    }
    {
      using table = new StateTable(path)
      table.insert(first)
      table.commit(next, 'running')
      table.note({ ...next, stdin: { takenBytes: 9, ended: false } })
    }
    using table = new StateTable(path)
    expect(table.all()).to.deep.equal([{ ...next, stdin: { takenBytes: 9, ended: false } }])
    expect(table.events(0, 10).map(({ sequence, kind }) => [sequence, kind])).to.deep.equal([
      [1, 'created'],
      [2, 'running']
    ])
  })

  it('keeps a second daemon out while it is open, and says why', async () => {
    using _table = new StateTable(path)
    const error = await errorOf(() => new StateTable(path))
    expect(error.code).to.equal('ERR_HOST_STATE')
    expect(error.message).to.include('another daemon')
  })

  it('refuses a file of a newer version, and leaves it as it is', async () => {
    new StateTable(path)[Symbol.dispose]()
    const database = new DatabaseSync(path)
    database.exec('PRAGMA user_version = 99')
    database.close()
    const error = await errorOf(() => new StateTable(path))
    expect(error.message).to.include('version 99')
    expect(error.code).to.equal('ERR_HOST_STATE')
  })

  it('refuses a record that does not read', async () => {
    new StateTable(path)[Symbol.dispose]()
    const database = new DatabaseSync(path)
    database.exec(`INSERT INTO servers (id, spec, record) VALUES ('x', '{}', '{"state": "flying"}')`)
    database.close()
    using table = new StateTable(path)
    expect((await errorOf(() => table.all())).code).to.equal('ERR_HOST_STATE')
  })

  it('never gives the number of an event twice, and forgets old ones', () => {
    using table = new StateTable(path)
    const one = record()
    table.insert(one)
    table.remove(one.spec.id)
    table.insert(one)
    const numbers = table.events(0, 10).map(({ sequence }) => sequence)
    expect(numbers).to.deep.equal([1, 2, 3])
    expect(table.events(2, 10).map(({ sequence }) => sequence)).to.deep.equal([3])
    expect(table.events(0, 1).length).to.equal(1)
  })
})
