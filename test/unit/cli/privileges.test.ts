import { link, lstat, mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { giveDirectory, peerAccount } from '../../../src/cli/privileges.ts'
import { requires } from '../../helpers/capabilities.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

describe('the account of peers', () => {
  it('is never root, by name or by number', async () => {
    for (const name of ['root', '0', '0:0']) {
      const error = await peerAccount(name).then(
        () => undefined,
        (reason: unknown) => reason
      )
      expect(error).to.have.property('code', 'ERR_CONFIG_VALUE')
    }
  })

  it('is taken by number as it stands', async () => {
    expect(await peerAccount('1234:99')).to.deep.equal({ uid: 1234, gid: 99 })
  })

  it('names an account that the machine does not have', async () => {
    const error = await peerAccount('no-such-account').then(
      () => undefined,
      (reason: unknown) => reason
    )
    expect(error).to.have.property('message').that.includes('no-such-account')
  })

  it('gets its directory, but nothing that links in it lead to', async function () {
    requires(this, 'root')
    await using directory = await temporaryDirectory()
    const outside = join(directory.path, 'outside')
    const state = join(directory.path, 'state')
    await mkdir(state)
    await writeFile(outside, '')
    await writeFile(join(state, 'own'), '')
    await symlink(outside, join(state, 'symbolic'))
    await link(outside, join(state, 'hard'))
    await giveDirectory(state, { uid: 61_420, gid: 61_420 })
    expect((await lstat(join(state, 'own'))).uid).to.equal(61_420)
    expect((await lstat(outside)).uid).to.equal(0)
  })
})
