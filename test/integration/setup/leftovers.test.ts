import { expect } from 'chai'
import { execa } from 'execa'
import { readFileSync } from 'node:fs'
import { rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { locateCgroups } from '../../../soda-host/resources/cgroup-location.ts'
import { command } from '../../../soda-host/switch/commands.ts'
import { requires } from '../../helpers/capabilities.ts'

const ROOT = join(import.meta.dirname, '../../..')
const FIXTURE = join(ROOT, 'test', 'fixtures', 'leftovers.ts')

describe('a run of tests', function () {
  this.timeout(60_000)
  before(function () {
    requires(this, 'root', 'cgroups')
  })

  const run = (environment: Record<string, string>) =>
    execa('mocha', [FIXTURE], {
      cwd: ROOT,
      preferLocal: true,
      localDir: ROOT,
      reject: false,
      env: environment
    })

  it('passes when it leaves nothing', async () => {
    expect((await run({})).exitCode).to.equal(0)
  })

  it('fails when it leaves the namespace of a switch', async () => {
    const { exitCode, stdout } = await run({ LEAVE: 'namespace' })
    const [, name = ''] = /network namespace (soda-\w{8}-0)\n/.exec(stdout) ?? []
    expect(name, stdout).to.not.equal('')
    await command('ip', ['netns', 'delete', name])
    expect(exitCode).to.not.equal(0)
  })

  it('fails when it leaves a cgroup', async () => {
    const own = ['mountinfo', 'cgroup'].map((name) => readFileSync(`/proc/self/${name}`, 'utf8'))
    const { v1, v2 } = locateCgroups(own[0] ?? '', own[1] ?? '')
    const directory = v1.get('cpu') ?? v2 ?? ''
    const { exitCode, stdout } = await run({ LEAVE: 'cgroup', CGROUP: directory })
    const [, path = ''] = /cgroup (\S+-left)/.exec(stdout) ?? []
    expect(path, stdout).to.include(directory)
    await rmdir(path)
    expect(exitCode).to.not.equal(0)
  })
})
