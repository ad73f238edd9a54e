import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmod, copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect } from 'chai'
import { temporaryDirectory } from '../../helpers/temporary.ts'

const BOOTSTRAP = join(import.meta.dirname, '../../../src/setup/bootstrap.mjs')

const LOCK = {
  packages: {
    '': { name: 'x' },
    'node_modules/a': { version: '1.0.0' },
    'node_modules/other-machine': { version: '1.0.0', optional: true }
  }
}

/** Stands in for npm: notes how it was called, and installs a `node` that notes what it is to run. */
const NPM = `#!/bin/sh
echo "$@" >> "$ROOT/npm.log"
[ -n "$NPM_STATUS" ] && exit "$NPM_STATUS"
mkdir -p "$ROOT/node_modules/.bin"
printf '%s' '{"packages":{"node_modules/a":{"version":"1.0.0"}}}' > "$ROOT/node_modules/.package-lock.json"
cp "$ROOT/fake-node" "$ROOT/node_modules/.bin/node"
`

/** Stands in for Node 24: a script, run by the Node of this test. */
const NODE = `#!${process.execPath}
const fs = require('node:fs')
fs.appendFileSync(process.env.ROOT + '/node.log', process.argv.slice(2).join(' ') + '\\n')
const does = process.env.NODE_DOES
if (does === 'status') process.exit(7)
if (does === 'signal') process.kill(process.pid, 'SIGKILL')
if (does === 'wait') {
  for (const name of ['SIGTERM', 'SIGHUP', 'SIGINT'])
    process.on(name, () => {
      console.log('ended by ' + name)
      process.exit(42)
    })
  console.log('waiting')
  setInterval(() => {}, 1000)
}
`

/** A checkout with nothing in it but the bootstrap and stand-ins for npm and for Node 24. */
async function makeCheckout(root: string): Promise<void> {
  await mkdir(join(root, 'src/setup'), { recursive: true })
  await mkdir(join(root, 'bin'))
  await copyFile(BOOTSTRAP, join(root, 'src/setup/bootstrap.mjs'))
  await writeFile(join(root, 'package-lock.json'), JSON.stringify(LOCK))
  for (const [name, script] of [
    ['bin/npm', NPM],
    ['fake-node', NODE]
  ] as const) {
    await writeFile(join(root, name), script)
    await chmod(join(root, name), 0o755)
  }
}

function bootstrap(root: string, args: string[], env: Record<string, string> = {}) {
  return spawn(process.execPath, [join(root, 'src/setup/bootstrap.mjs'), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: `${join(root, 'bin')}:/usr/bin:/bin`, ROOT: root, ...env }
  })
}

async function statusAtClose(child: ChildProcess): Promise<number> {
  const [status] = (await once(child, 'close')) as [number]
  return status
}

async function statusOf(...args: Parameters<typeof bootstrap>): Promise<number> {
  const child = bootstrap(...args)
  const [closed] = await Promise.all([statusAtClose(child), text(child.stdout), text(child.stderr)])
  return closed
}

const lines = async (root: string, log: string): Promise<string[]> =>
  (await readFile(join(root, log), 'utf8').catch(() => '')).split('\n').filter(Boolean)

describe('the bootstrap', () => {
  it('installs the packages where there are none, and runs the entry point on their Node', async () => {
    await using root = await temporaryDirectory()
    await makeCheckout(root.path)
    expect(await statusOf(root.path, ['test', 'test/unit/x.test.ts'])).to.equal(0)
    expect(await lines(root.path, 'npm.log')).to.have.length(1)
    expect((await lines(root.path, 'npm.log'))[0]).to.match(/^ci /)
    expect(await lines(root.path, 'node.log')).to.deep.equal([
      `--disable-warning=ExperimentalWarning ${root.path}/src/setup/test.ts test/unit/x.test.ts`
    ])
  })

  it('does not install what is installed, whatever the times of the files', async () => {
    await using root = await temporaryDirectory()
    await makeCheckout(root.path)
    await statusOf(root.path, ['start'])
    await writeFile(join(root.path, 'package-lock.json'), JSON.stringify(LOCK, null, 2))
    await statusOf(root.path, ['start'])
    expect(await lines(root.path, 'npm.log')).to.have.length(1)
    expect(await lines(root.path, 'node.log')).to.have.length(2)
  })

  for (const [what, lock] of Object.entries({
    'a version changed': { ...LOCK.packages, 'node_modules/a': { version: '1.0.1' } },
    'a package was added': { ...LOCK.packages, 'node_modules/b': { version: '1.0.0' } }
  }))
    it(`installs again when ${what}`, async () => {
      await using root = await temporaryDirectory()
      await makeCheckout(root.path)
      await statusOf(root.path, ['start'])
      await writeFile(join(root.path, 'package-lock.json'), JSON.stringify({ packages: lock }))
      await statusOf(root.path, ['start'])
      expect(await lines(root.path, 'npm.log')).to.have.length(2)
    })

  it('installs again after an installation that was cut off', async () => {
    await using root = await temporaryDirectory()
    await makeCheckout(root.path)
    await mkdir(join(root.path, 'node_modules/a'), { recursive: true })
    expect(await statusOf(root.path, ['check'])).to.equal(0)
    expect(await lines(root.path, 'npm.log')).to.have.length(1)
  })

  it('stops with the status of an installation that failed', async () => {
    await using root = await temporaryDirectory()
    await makeCheckout(root.path)
    expect(await statusOf(root.path, ['start'], { NPM_STATUS: '5' })).to.equal(5)
    expect(await lines(root.path, 'node.log')).to.deep.equal([])
  })

  it('ends with the status of what it ran, or with 128 and the signal', async () => {
    await using root = await temporaryDirectory()
    await makeCheckout(root.path)
    expect(await statusOf(root.path, ['test'], { NODE_DOES: 'status' })).to.equal(7)
    expect(await statusOf(root.path, ['test'], { NODE_DOES: 'signal' })).to.equal(137)
  })

  it('knows its verbs, and no others', async () => {
    await using root = await temporaryDirectory()
    await makeCheckout(root.path)
    for (const args of [[], ['../evil'], ['Start']]) expect(await statusOf(root.path, args)).to.equal(64)
    expect(await lines(root.path, 'npm.log')).to.deep.equal([])
  })

  for (const signal of ['SIGTERM', 'SIGHUP', 'SIGINT'] as const)
    it(`passes ${signal} on, waits for the end and leaves nothing running`, async () => {
      await using root = await temporaryDirectory()
      await makeCheckout(root.path)
      const child = bootstrap(root.path, ['start'], { NODE_DOES: 'wait' })
      const closed = statusAtClose(child)
      await once(child.stdout, 'data')
      child.kill(signal)
      const [output, status] = await Promise.all([text(child.stdout), closed])
      expect(output).to.equal(`ended by ${signal}\n`)
      expect(status).to.equal(42)
    })
})
