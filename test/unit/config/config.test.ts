import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { readConfig, type ConfigSources } from '../../../src/config/index.ts'
import { createIdentity } from '../../../src/identity/index.ts'
import { errorOf } from '../../helpers/errors.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

/** Nothing of the machine that runs the test. */
const bare: ConfigSources = { env: {}, home: '/home/ann', isRoot: false }

describe('config', () => {
  it('has a default for everything, in the directories of the XDG specification', async () => {
    const config = await readConfig(bare)
    expect(config).to.deep.include({
      stateDir: '/home/ann/.local/state/ishare',
      cacheDir: '/home/ann/.cache/ishare',
      socketPath: '/home/ann/.local/state/ishare/soda-host.sock',
      bootstrap: [],
      labels: []
    })
    expect(config).to.not.have.any.keys('page', 'rulesFile', 'termsFile')
    const env = {
      XDG_STATE_HOME: '/s',
      XDG_CACHE_HOME: '/c',
      XDG_RUNTIME_DIR: '/r',
      XDG_CONFIG_HOME: 'relative'
    }
    expect(await readConfig({ ...bare, env })).to.deep.include({
      stateDir: '/s/ishare',
      cacheDir: '/c/ishare',
      socketPath: '/r/ishare/soda-host.sock'
    })
  })

  it('uses the directories of the system for root', async () => {
    await using dir = await temporaryDirectory()
    const file = join(dir.path, 'empty.json')
    await writeFile(file, '{}')
    expect(await readConfig({ ...bare, isRoot: true, home: '/root', file })).to.deep.include({
      stateDir: '/var/lib/ishare',
      socketPath: '/run/ishare/soda-host.sock',
      cacheDir: '/root/.cache/ishare'
    })
  })

  it('takes flags before the environment before the file', async () => {
    await using dir = await temporaryDirectory()
    const file = join(dir.path, 'config.json')
    await writeFile(
      file,
      JSON.stringify({
        slice: { cpu: 3, memory: '3G', disk: '3G' },
        labels: ['file'],
        rulesFile: 'rules.json'
      })
    )
    const config = await readConfig({
      ...bare,
      env: {
        ISHARE_CONFIG: file,
        ISHARE_SLICE_MEMORY: '2G',
        ISHARE_SLICE_CPU: '2',
        ISHARE_LABELS: 'a, b',
        ISHARE_STATE_DIR: ''
      },
      flags: { sliceCpu: '1.5', page: '[::1]:8080', unrelated: true }
    })
    expect(config.slice).to.deep.include({ cpu: 1.5, memoryBytes: 2 * 1024 ** 3, diskBytes: 3 * 1024 ** 3 })
    expect(config).to.deep.include({ labels: ['a', 'b'], page: { host: '::1', port: 8080 } })
    expect(config.rulesFile).to.equal(join(dir.path, 'rules.json'))
    expect(config.stateDir).to.equal('/home/ann/.local/state/ishare')
  })

  it('finds the file of the account by itself', async () => {
    await using dir = await temporaryDirectory()
    await mkdir(join(dir.path, '.config/ishare'), { recursive: true })
    await writeFile(join(dir.path, '.config/ishare/config.json'), '{"slice":{"servers":7}}')
    expect((await readConfig({ ...bare, home: dir.path })).slice.servers).to.equal(7)
  })

  it('names source, setting, expected and got', async () => {
    await using dir = await temporaryDirectory()
    const file = join(dir.path, 'config.json')
    const cases: [ConfigSources, RegExp][] = [
      [
        { flags: { sliceMemory: 'lots' } },
        /^--slice-memory: expected a size such as 512M or 2G, got "lots"$/
      ],
      [
        { env: { ISHARE_SLICE_MEMORY: '1K' } },
        /^ISHARE_SLICE_MEMORY in the environment: expected a size of at least 32M.*got "1K"$/
      ],
      [
        { flags: { sliceServers: '1.5' } },
        /^--slice-servers: expected a whole number from 1 to 4096, got "1.5"$/
      ],
      [{ flags: { listen: ['/ip4/300.0.0.1/tcp/1'] } }, /^--listen: expected a multiaddr/],
      [
        { env: { ISHARE_BOOTSTRAP: '/ip4/127.0.0.1/tcp/1' } },
        /^ISHARE_BOOTSTRAP in the environment: expected a multiaddr that ends with \/p2p\//
      ],
      [{ flags: { page: '127.0.0.1:99999' } }, /^--page: expected an address/],
      [{ flags: { page: '[1.2.3.4]:80' } }, /^--page: expected an address/],
      [
        { flags: { sliceBandwidth: 'fast' } },
        /^--slice-bandwidth: expected a rate in bits such as 10M or 1G, got "fast"$/
      ],
      [{ flags: { sliceBandwidth: -1 } }, /^--slice-bandwidth: expected a rate in bits such as 10M, got -1$/],
      [{ flags: { labels: 7 } }, /^--labels: expected a list, got 7$/],
      [{ flags: { labels: ['Bad Label'] } }, /^--labels: expected labels/],
      [
        { flags: { socketPath: `/${'x'.repeat(120)}` } },
        /^--socket-path: expected a path of at most 107 bytes/
      ],
      [{ flags: { stateDir: '' } }, /^--state-dir: expected a path, got ""$/],
      [{ flags: { stateDir: true } }, /^--state-dir: expected a path, got true$/],
      [{ file: file }, /^slice\.memoryBytes in .*config\.json: expected one of stateDir/]
    ]
    await writeFile(file, '{"slice":{"memoryBytes":1}}')
    for (const [sources, message] of cases) {
      const error = await errorOf(() => readConfig({ ...bare, ...sources }))
      expect(error).to.have.property('code', 'ERR_CONFIG_VALUE')
      expect(error.message).to.match(message)
    }
  })

  it('refuses a file that is not there though named, or is no JSON object', async () => {
    await using dir = await temporaryDirectory()
    const file = join(dir.path, 'config.json')
    expect(await errorOf(() => readConfig({ ...bare, file }))).to.have.property('code', 'ERR_CONFIG_FORMAT')
    for (const text of ['', '{', '[]', 'null', '"x"']) {
      await writeFile(file, text)
      expect(await errorOf(() => readConfig({ ...bare, file })), text).to.have.property(
        'code',
        'ERR_CONFIG_FORMAT'
      )
    }
    await writeFile(file, '{"__proto__":{"stateDir":"/evil"},"labels":"x"}')
    expect(await errorOf(() => readConfig({ ...bare, file }))).to.have.property('code', 'ERR_CONFIG_VALUE')
  })

  it('takes rates in bits a second, and a page that is off', async () => {
    const config = await readConfig({ ...bare, flags: { sliceBandwidth: '10M', page: 'off' } })
    expect(config.slice.outboundBitsPerSecond).to.equal(10_000_000)
    expect(config).to.not.have.property('page')
  })

  it('takes addresses of peers to start from', async () => {
    const { id } = await createIdentity()
    const addresses = [`/ip4/127.0.0.1/tcp/4001/p2p/${id}`, `/dns4/example.org/tcp/4001/p2p/${id}`]
    expect((await readConfig({ ...bare, flags: { bootstrap: addresses } })).bootstrap).to.deep.equal(
      addresses
    )
  })
})
