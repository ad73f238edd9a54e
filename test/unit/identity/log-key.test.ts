import { chmod, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { createLogKey, loadOrCreateLogKey, readLogKey } from '../../../src/identity/index.ts'
import { codeOf } from '../../helpers/errors.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

describe('Log key', () => {
  it('is made once, and is the same from then on', async () => {
    await using directory = await temporaryDirectory()
    const first = await loadOrCreateLogKey(directory.path)
    expect(await loadOrCreateLogKey(directory.path)).to.deep.equal(first)
    expect(await readLogKey(join(directory.path, 'log-key.jwk'))).to.deep.equal(first)
    expect(createLogKey().id).to.not.equal(first.id)
  })

  it('is refused when others can read it, when it is no key, or when its halves differ', async () => {
    await using directory = await temporaryDirectory()
    await loadOrCreateLogKey(directory.path)
    const path = join(directory.path, 'log-key.jwk')
    const jwk = JSON.parse(await readFile(path, 'utf8')) as Record<string, string>
    const other = Buffer.from(createLogKey().publicKey).toString('base64url')
    for (const text of [
      '',
      '{}',
      JSON.stringify({ ...jwk, x: other }),
      JSON.stringify({ ...jwk, d: 'AA' })
    ]) {
      await writeFile(path, text)
      expect(await codeOf(() => readLogKey(path))).to.equal('ERR_IDENTITY_FORMAT')
    }
    await chmod(path, 0o644)
    expect(await codeOf(() => readLogKey(path))).to.equal('ERR_IDENTITY_ACCESS')
    expect(await codeOf(() => readLogKey(join(directory.path, 'none')))).to.equal('ERR_IDENTITY_ACCESS')
  })
})
