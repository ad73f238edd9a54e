import { readdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { execa } from 'execa'
import { requires } from '../../helpers/capabilities.ts'

const START = join(import.meta.dirname, '../../../src/setup/start.ts')

async function startDirectories(): Promise<string[]> {
  return (await readdir(tmpdir())).filter((name) => name.startsWith('ishare-start-'))
}

/** The main job as a user has it, in a process of its own. */
describe('the main job', function () {
  this.timeout(180_000)

  let earlier: string[]

  beforeEach(async () => {
    earlier = await startDirectories()
  })

  before(function () {
    requires(this, 'root', 'uml', 'bubblewrap', 'cgroups')
  })

  it('runs a real program in a virtual server of another peer and leaves nothing behind', async () => {
    const { exitCode, stdout, all } = await execa(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', START],
      {
        reject: false,
        all: true,
        timeout: 170_000
      }
    )
    expect(exitCode, all).to.equal(0)
    expect(stdout).to.include('747 earthquakes, 292 of them at or above Mc 1.1')
    expect(stdout).to.match(/alert .*special characters of a shell in a search/)
    expect(stdout).to.include('The result is right')
    expect(await startDirectories()).to.deep.equal(earlier)
  })

  it('leaves nothing behind when it is interrupted in the middle', async () => {
    const child = execa(process.execPath, ['--disable-warning=ExperimentalWarning', START], {
      reject: false,
      timeout: 170_000
    })
    for await (const line of child.iterable()) if (line.includes('publishes a slice')) child.kill('SIGINT')
    const { exitCode } = await child
    expect(exitCode).to.equal(130)
    expect(await startDirectories()).to.deep.equal(earlier)
  })

  it('leaves nothing behind when nobody reads what it says any more', async () => {
    const child = execa(process.execPath, ['--disable-warning=ExperimentalWarning', START], {
      reject: false,
      timeout: 170_000
    })
    for await (const line of child.iterable()) if (line.includes('publishes a slice')) break
    await child
    expect(await startDirectories()).to.deep.equal(earlier)
  })
})
