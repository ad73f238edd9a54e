import { expect } from 'chai'
import { execa } from 'execa'
import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { umlLauncher } from '../../../soda-host/virtual-server/index.ts'
import { requires } from '../../helpers/capabilities.ts'
import { openHost, type OpenedHost } from '../../helpers/daemon/open-host.ts'
import { bytesOf, serverSpec, tarOf, textOf } from '../../helpers/daemon/server-spec.ts'

const SNAPSHOTS = 4

/**
 * Says what it finds, then appends numbers to a log, each forced to the disk before it is acknowledged, while another
 * program makes and removes files.
 */
const PROGRAM = `echo "begins with $(cat given) $(awk 'NR != $1 { bad = 1 } END { print NR, bad + 0 }' log 2>/dev/null)"
rm -f log
(while :; do mkdir -p d; for j in 1 2 3 4 5 6 7 8; do echo $j > d/$j; done; rm -r d; done) &
i=0; while :; do i=$((i+1)); echo $i | dd of=log oflag=append conv=notrunc,fsync 2>/dev/null; echo "ack $i"; done`

describe('snapshots of real guests', function () {
  this.timeout(180_000)

  const resources = new AsyncDisposableStack()
  let opened: OpenedHost

  before(async function () {
    requires(this, 'root', 'uml', 'bubblewrap')
    const artifacts = async () => process.env['ISHARE_ARTIFACTS'] ?? ''
    opened = resources.use(await openHost({ launcher: umlLauncher(), artifacts }))
  })

  after(() => resources.disposeAsync())

  const linesOf = async (id: string): Promise<string[]> =>
    textOf(await bytesOf(opened.host.output(id, { offset: 0, follow: false })), 1).split('\n')

  /** The number that was acknowledged last since the program began, and there is another one behind it. */
  async function acknowledged(id: string, more: number): Promise<number> {
    for (;;) {
      const lines = await linesOf(id)
      const since = lines.slice(lines.findLastIndex((line) => line.startsWith('begins')) + 1)
      // The last line may be half there.
      const last = since.slice(0, -1).findLast((line) => line.startsWith('ack '))
      if (last !== undefined && Number(last.slice(4)) >= more) return Number(last.slice(4))
      await delay(20)
    }
  }

  /** What it found each time that it began. */
  async function begunWith(id: string, times: number): Promise<string[]> {
    for (;;) {
      const begun = (await linesOf(id)).slice(0, -1).filter((line) => line.startsWith('begins'))
      if (begun.length >= times) return begun
      await delay(20)
    }
  }

  it('come up with all that was acknowledged before they were taken, in an order that holds', async () => {
    const { host, directory } = opened
    const spec = serverSpec(PROGRAM)
    await host.create(spec)
    await host.putFiles(spec.id, tarOf({ given: 'a-given-file' }))
    await host.start(spec.id)
    const taken: { name: string; atLeast: number }[] = []
    for (let index = 0, atLeast = 0; index < SNAPSHOTS; index++) {
      atLeast = await acknowledged(spec.id, atLeast + 5)
      taken.push({ name: `s${index}`, atLeast })
      await host.takeSnapshot(spec.id, `s${index}`)
    }
    for (const [index, { name, atLeast }] of taken.entries()) {
      // A journal is played back, and then nothing is found that needs more than that.
      const copy = join(directory, name)
      await copyFile(join(directory, 'state', 'servers', spec.id, `${name}.snapshot`), copy)
      const { exitCode, stdout } = await execa('e2fsck', ['-fp', copy], { reject: false })
      expect(exitCode, stdout).to.be.at.most(1)
      await host.restore(spec.id, name)
      const begun = await begunWith(spec.id, index + 2)
      const [, count, bad] = /^begins with a-given-file (\d+) (\d)$/.exec(begun.at(-1) ?? '') ?? []
      expect(Number(count), name).to.be.at.least(atLeast)
      expect(bad).to.equal('0')
    }
    await host.destroy(spec.id)
  })
})
