/**
 * Attacker: whoever can write to the files of the host's daemon after a server's own kernel was put there.
 * Asset: that a server boots the kernel whose digest its creator has checked, or none.
 * Expected: a changed, swapped or missing file is not booted, and the server says why; nothing of it stays.
 */
import { createHash } from 'node:crypto'
import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { serverSpec } from '../../helpers/daemon/server-spec.ts'
import { fakeRunHost } from '../../helpers/fake-run-host.ts'
import type { OpenedHost } from '../../helpers/daemon/open-host.ts'

describe("adversarial: a server's own kernel on the host's disk", () => {
  let opened: OpenedHost
  before(async () => {
    opened = await fakeRunHost()
  })
  after(() => opened[Symbol.asyncDispose]())

  async function withKernel(): Promise<{ id: string; path: string }> {
    const spec = serverSpec('true', { hasOwnKernel: true })
    await opened.host.create(spec)
    const kernel = await readFile(opened.kernelPath)
    const digest = `sha256:${createHash('sha256').update(kernel).digest('hex')}`
    async function* chunks() {
      yield kernel
    }
    await opened.host.putKernel(spec.id, { digest, chunks: chunks() })
    return { id: spec.id, path: join(opened.directory, 'state/servers', spec.id, 'kernel') }
  }

  it('changed, swapped or taken away is not booted', async () => {
    const deeds: ((path: string) => Promise<void>)[] = [
      async (path) => {
        const bytes = await readFile(path)
        bytes[0] = (bytes[0] ?? 0) ^ 1
        await rm(path)
        await writeFile(path, bytes)
      },
      async (path) => {
        await writeFile(`${path}.new`, 'another kernel')
        await rename(`${path}.new`, path)
      },
      rm
    ]
    for (const deed of deeds) {
      const { id, path } = await withKernel()
      await deed(path)
      await opened.host.start(id)
      const { state, reason } = await opened.host.wait(id)
      expect(state).to.equal('failed')
      expect(reason?.code).to.equal('ERR_KERNEL_DIGEST')
      await opened.host.destroy(id)
    }
  })

  it('is gone when its server has ended, results or not', async () => {
    const { id, path } = await withKernel()
    await opened.host.start(id)
    expect((await opened.host.wait(id)).state).to.equal('exited')
    expect(await readdir(join(path, '..'))).to.not.include('kernel')
  })
})
