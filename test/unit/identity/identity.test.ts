import { chmod, mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { expect } from 'chai'
import {
  createIdentity,
  identityOf,
  loadOrCreateIdentity,
  peerIdOf,
  peerIdOfJwk,
  publicJwkOf
} from '../../../src/identity/index.ts'
import { codeOf } from '../../helpers/errors.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

describe('identity: the key file', () => {
  it('makes a key that only its owner can read, and finds it again', async () => {
    await using dir = await temporaryDirectory()
    const state = join(dir.path, 'deep', 'state')
    const first = await loadOrCreateIdentity(state)
    const again = await loadOrCreateIdentity(state)
    expect(again.id).to.equal(first.id)
    expect(first.id).to.equal(peerIdFromPrivateKey(first.privateKey).toString())
    expect((await stat(join(state, 'identity.jwk'))).mode & 0o777).to.equal(0o600)
    expect((await stat(state)).mode & 0o777).to.equal(0o700)
    expect(await readdir(state)).to.deep.equal(['identity.jwk'])
  })

  it('gives all of many that start at once the same key', async () => {
    await using dir = await temporaryDirectory()
    const identities = await Promise.all(Array.from({ length: 8 }, () => loadOrCreateIdentity(dir.path)))
    expect(new Set(identities.map(({ id }) => id)).size).to.equal(1)
    expect(await readdir(dir.path)).to.deep.equal(['identity.jwk'])
  })

  for (const mode of [0o640, 0o604, 0o620, 0o777])
    it(`refuses a key file of mode ${mode.toString(8)}`, async () => {
      await using dir = await temporaryDirectory()
      await loadOrCreateIdentity(dir.path)
      await chmod(join(dir.path, 'identity.jwk'), mode)
      expect(await codeOf(() => loadOrCreateIdentity(dir.path))).to.equal('ERR_IDENTITY_ACCESS')
    })

  it('follows no link and reads no directory in place of the file', async () => {
    await using dir = await temporaryDirectory()
    await loadOrCreateIdentity(join(dir.path, 'real'))
    await mkdir(join(dir.path, 'linked'))
    await symlink(join(dir.path, 'real', 'identity.jwk'), join(dir.path, 'linked', 'identity.jwk'))
    expect(await codeOf(() => loadOrCreateIdentity(join(dir.path, 'linked')))).to.equal('ERR_IDENTITY_ACCESS')
    await mkdir(join(dir.path, 'folder', 'identity.jwk'), { recursive: true })
    expect(await codeOf(() => loadOrCreateIdentity(join(dir.path, 'folder')))).to.equal('ERR_IDENTITY_ACCESS')
  })

  it('never writes over a file that holds no key, and never repeats what is in it', async () => {
    await using dir = await temporaryDirectory()
    const path = join(dir.path, 'identity.jwk')
    const whole = await loadOrCreateIdentity(join(dir.path, 'other')).then(() =>
      readFile(join(dir.path, 'other', 'identity.jwk'), 'utf8')
    )
    const jwk = JSON.parse(whole) as Record<string, string>
    const broken = [
      '',
      whole.slice(0, 40),
      '[]',
      'null',
      JSON.stringify({ ...jwk, d: jwk['d']!.slice(0, 20) }),
      JSON.stringify({ ...jwk, x: Buffer.alloc(32).toString('base64url') }),
      ' '.repeat(5000)
    ]
    for (const text of broken) {
      await writeFile(path, text, { mode: 0o600 })
      const error: unknown = await loadOrCreateIdentity(dir.path).catch((e: unknown) => e)
      expect(error).to.have.property('code', 'ERR_IDENTITY_FORMAT')
      expect(String(error)).to.not.include(jwk['d']!.slice(0, 12))
      expect((error as Error).cause).to.equal(undefined)
      expect(await readFile(path, 'utf8')).to.equal(text)
    }
  })
})

describe('identity: the peer id', () => {
  it('holds the public key', async () => {
    const { id, privateKey } = await createIdentity()
    const jwk = publicJwkOf(id)
    expect(Buffer.from(jwk.x, 'base64url').equals(privateKey.publicKey.raw)).to.equal(true)
    expect(peerIdOfJwk(jwk)).to.equal(id)
    expect(peerIdOf(id).toString()).to.equal(id)
  })

  it('is refused when it is another kind of key, another spelling or no id at all', async () => {
    const secp = peerIdFromPrivateKey(await generateKeyPair('secp256k1'))
    const { peerId, id } = await createIdentity()
    const bad = [
      secp.toString(),
      peerId.toCID().toString(),
      `${id}1`,
      id.slice(0, -1),
      '',
      '1'.repeat(100_000),
      '../x'
    ]
    for (const text of bad)
      expect(await codeOf(() => publicJwkOf(text)), text.slice(0, 80)).to.equal('ERR_IDENTITY_FORMAT')
    expect(await codeOf(() => peerIdOfJwk({ kty: 'OKP', crv: 'Ed25519', x: 'AA' }))).to.equal(
      'ERR_IDENTITY_FORMAT'
    )
  })

  it('is made of Ed25519 keys only', async () => {
    expect(await codeOf(async () => identityOf(await generateKeyPair('secp256k1')))).to.equal(
      'ERR_IDENTITY_FORMAT'
    )
  })
})
