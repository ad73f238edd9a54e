import { expect } from 'chai'
import { spawnSync } from 'node:child_process'
import { chmod, mkdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { startDaemon } from '../../../soda-host/daemon/index.ts'
import { SUITE_SLICE } from '../../compliance/run-host.suite.ts'
import { requires } from '../../helpers/capabilities.ts'
import { fakeArtifacts } from '../../helpers/daemon/fake-artifacts.ts'
import { quietLog } from '../../helpers/daemon/quiet-log.ts'
import { errorOf } from '../../helpers/errors.ts'
import { fakeLauncher } from '../../helpers/fake-launcher.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

const NOBODY = 65_534
const PEER_GROUP = 54_321
const OTHER_GROUP = 54_322

describe('who may connect to the host', () => {
  before(function () {
    requires(this, 'root')
  })

  /** perl is on every Debian, and where everybody may run it. */
  function canConnect(socketPath: string, gid: number): boolean {
    const script = `use IO::Socket::UNIX; exit(IO::Socket::UNIX->new(Peer => $ARGV[0]) ? 0 : 1)`
    const { status, error } = spawnSync('perl', ['-e', script, socketPath], { uid: NOBODY, gid })
    if (error !== undefined) throw error
    return status === 0
  }

  it('is the group that was named, and nobody else', async () => {
    await using directory = await temporaryDirectory()
    const socketPath = join(directory.path, 'run', 'host.sock')
    await using _daemon = await startDaemon(
      {
        stateDir: join(directory.path, 'state'),
        socketPath,
        socketGroup: PEER_GROUP,
        slice: SUITE_SLICE,
        artifactsPath: await fakeArtifacts(join(directory.path, 'artifacts'))
      },
      { launcher: fakeLauncher(), log: quietLog }
    )
    expect(canConnect(socketPath, PEER_GROUP)).to.equal(true)
    expect(canConnect(socketPath, OTHER_GROUP)).to.equal(false)
    const { uid, gid, mode } = await stat(socketPath)
    expect([uid, gid, mode & 0o777]).to.deep.equal([0, PEER_GROUP, 0o660])
    // The directory alone would keep others out, too.
    await chmod(socketPath, 0o666)
    expect(canConnect(socketPath, OTHER_GROUP)).to.equal(false)
  })

  it('is told at the start when guests could not get to their files', async () => {
    await using directory = await temporaryDirectory()
    const closed = join(directory.path, 'closed')
    await mkdir(closed, { mode: 0o700 })
    const error = await errorOf(async () =>
      startDaemon(
        {
          stateDir: join(closed, 'state'),
          socketPath: join(directory.path, 'host.sock'),
          slice: SUITE_SLICE,
          artifactsPath: await fakeArtifacts(join(directory.path, 'artifacts'))
        },
        { launcher: fakeLauncher(), log: quietLog }
      )
    )
    expect(error.message).to.include(`${closed} is closed to others`)
  })
})
