import { expect } from 'chai'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync
} from 'node:fs'
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { hostClient, type HostClient } from '../../../soda-host/client/index.ts'
import type { DaemonConfig } from '../../../soda-host/daemon/index.ts'
import { readArtifacts } from '../../../soda-host/factory/artifacts.ts'
import { findCgroups } from '../../../soda-host/resources/cgroups.ts'
import { hostKnobs } from '../../../soda-host/resources/limits.ts'
import { SUITE_SLICE } from '../../compliance/run-host.suite.ts'
import { asUser, USER_ID } from '../../helpers/as-user.ts'
import { requires } from '../../helpers/capabilities.ts'
import { startDaemonProcess, type DaemonProcess } from '../../helpers/daemon/daemon-process.ts'
import { bytesOf, framesOf, serverSpec, tarOf, textOf, untar } from '../../helpers/daemon/server-spec.ts'
import { allPids, readOrEmpty, statusOf } from '../../helpers/guest-processes.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

/** For those that are just being reaped. */
const PATIENCE_MS = 3000

/** Files of the factory where the user can read them, as the user's own factory would have made them. */
async function userArtifacts(directory: string): Promise<string> {
  const artifacts = await readArtifacts(process.env['ISHARE_ARTIFACTS'] ?? '')
  const copied = async <T extends { path: string }>(artifact: T, name: string): Promise<T> => {
    const path = join(directory, name)
    await copyFile(artifact.path, path)
    chmodSync(path, 0o755)
    return { ...artifact, path }
  }
  const list = {
    kernel: await copied(artifacts.kernel, 'kernel'),
    initrd: await copied(artifacts.initrd, 'initrd'),
    images: [
      await copied(
        artifacts.images.find(({ name }) => name === 'tiny')!,
        'tiny'
      )
    ]
  }
  const path = join(directory, 'artifacts.json')
  await writeFile(path, JSON.stringify(list), { mode: 0o644 })
  return path
}

/** Groups that belong to the user, as `Delegate=yes` makes them; in each hierarchy that the machine has. */
function delegatedGroups(): { paths: string[] } & Disposable {
  const { v1, v2 } = findCgroups()
  const parents = [...new Set(v1.size > 0 ? v1.values() : [v2 ?? ''])]
  const paths = parents.map((parent) => join(parent, `ishare-test-user-${process.pid}`))
  for (const path of paths) {
    mkdirSync(path)
    // A new cpuset of version 1 has neither CPUs nor memory nodes, and nobody may join it.
    for (const name of ['cpuset.cpus', 'cpuset.mems'])
      if (existsSync(join(path, 'cgroup.clone_children')) && existsSync(join(path, name)))
        writeFileSync(join(path, name), readFileSync(join(dirname(path), name), 'utf8').trim())
    for (const name of ['', 'cgroup.procs', 'cgroup.subtree_control', 'tasks'])
      if (existsSync(join(path, name))) chownSync(join(path, name), USER_ID, USER_ID)
  }
  return {
    paths,
    [Symbol.dispose]() {
      for (const path of paths) {
        if (existsSync(join(path, 'soda-host'))) rmdirSync(join(path, 'soda-host'))
        rmdirSync(path)
      }
    }
  }
}

/** Processes of the user that live. */
function processes(): number[] {
  return allPids().filter((pid) => {
    const status = statusOf(pid)
    return (
      status.get('Uid')?.startsWith(`${USER_ID}\t`) === true && status.get('State')?.startsWith('Z') === false
    )
  })
}

/** Those in a jail. */
function jailed(): number[] {
  return processes().filter((pid) => statusOf(pid).get('Seccomp') === '2')
}

describe('a daemon without root', function () {
  this.timeout(120_000)

  let resources: AsyncDisposableStack
  let config: DaemonConfig
  let checkout: string

  before(function () {
    requires(this, 'root', 'uml', 'bubblewrap', 'cgroups')
  })

  beforeEach(async () => {
    resources = new AsyncDisposableStack()
    const directory = resources.use(await temporaryDirectory()).path
    checkout = join(directory, 'checkout')
    const home = join(directory, 'home')
    for (const path of [checkout, home]) await mkdir(path)
    chownSync(home, USER_ID, USER_ID)
    // As homes are by default.
    chmodSync(home, 0o700)
    config = {
      stateDir: join(home, 'state'),
      socketPath: join(home, 'host.sock'),
      slice: SUITE_SLICE,
      artifactsPath: await userArtifacts(directory)
    }
  })

  afterEach(async () => {
    await resources.disposeAsync()
    for (let waitedMs = 0; waitedMs < PATIENCE_MS && processes().length > 0; waitedMs += 20) await delay(20)
    expect(processes()).to.deep.equal([])
  })

  async function start(
    joinFiles: readonly string[] = []
  ): Promise<{ daemon: DaemonProcess; host: HostClient }> {
    const daemon = resources.use(
      await startDaemonProcess(config, {
        guests: 'uml',
        run: (args) => asUser(args, { at: checkout, joinFiles })
      })
    )
    return { daemon, host: resources.use(hostClient({ socketPath: config.socketPath })) }
  }

  async function outputOf(host: HostClient, id: string): Promise<Buffer> {
    return bytesOf(host.output(id, { offset: 0, follow: true }))
  }

  async function untilSaid(host: HostClient, id: string, word: string): Promise<void> {
    let text = ''
    for await (const chunk of host.output(id, { offset: 0, follow: true })) {
      text += Buffer.from(chunk).toString('latin1')
      if (text.includes(word)) return
    }
    throw new Error(`the program never said ${word}`)
  }

  it('runs a program in a guest, with files in and out', async () => {
    const { host } = await start()
    const spec = serverSpec('id -u; cat in > $ISHARE_OUT/copy; exit 3')
    await host.create(spec)
    await host.putFiles(spec.id, tarOf({ in: 'of a user' }))
    await host.start(spec.id)
    expect((await host.wait(spec.id)).exit).to.deep.equal({ kind: 'status', status: 3 })
    // Root in the guest all the same.
    expect(textOf(await outputOf(host, spec.id), 1)).to.equal('0\n')
    expect((await untar(host.files(spec.id))).get('copy')?.toString()).to.equal('of a user')
    await host.destroy(spec.id)
  })

  it('builds the same jail, but for the uid: no capability, no privilege, filtered, every namespace its own', async () => {
    const { host } = await start()
    const spec = serverSpec('echo up; exec sleep 1000')
    await host.create(spec)
    await host.start(spec.id)
    await untilSaid(host, spec.id, 'up')
    const pids = jailed()
    expect(pids.length).to.be.at.least(3)
    for (const status of pids.map(statusOf).filter(({ size }) => size > 0)) {
      expect(status.get('NoNewPrivs')).to.equal('1')
      for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'])
        expect(status.get(set), `${set} of ${status.get('Name') ?? ''}`).to.equal('0000000000000000')
    }
    const kernel = pids.find((pid) => readOrEmpty(`/proc/${pid}/cmdline`).startsWith('/linux\0'))!
    expect(readdirSync(`/proc/${kernel}/root`).sort()).to.deep.equal([
      'dev',
      'disk',
      'image',
      'initrd',
      'linux',
      'proc',
      'tmp'
    ])
    expect(readOrEmpty(`/proc/${kernel}/net/dev`).split('\n').slice(2).filter(Boolean)).to.have.length(1)
    await host.destroy(spec.id)
    expect(jailed()).to.deep.equal([])
  })

  it('is killed and started again, and its guests never notice', async () => {
    const first = await start()
    const spec = serverSpec('echo up; read word; echo "$word"')
    await first.host.create(spec)
    await first.host.start(spec.id)
    await untilSaid(first.host, spec.id, 'up')
    await first.daemon.kill()
    const { host } = await start()
    const word = Buffer.from('still there\n')
    await host.stdin(spec.id, 0, word)
    expect((await host.wait(spec.id)).exit).to.deep.equal({ kind: 'status', status: 0 })
    const output = framesOf(await outputOf(host, spec.id)).map(({ data }) => data.toString())
    expect(output.join('')).to.equal('up\nstill there\n')
    await host.destroy(spec.id)
  })

  it('sets the limits of the lease where cgroups were delegated to it', async () => {
    using groups = delegatedGroups()
    // Before the groups go, those in them must.
    await using daemons = new AsyncDisposableStack()
    const { host, daemon } = await start(groups.paths.map((path) => join(path, 'cgroup.procs')))
    daemons.use(daemon)
    const spec = serverSpec('echo up; exec sleep 1000')
    await host.create(spec)
    await host.start(spec.id)
    await untilSaid(host, spec.id, 'up')
    const settings = groups.paths
      .map((path) => join(path, `ishare-${spec.id}`))
      .flatMap((path) =>
        ['memory.limit_in_bytes', 'memory.max'].map((name) => readOrEmpty(join(path, name)).trim())
      )
      .filter(Boolean)
    const isLimited = settings.includes(String(hostKnobs(spec.limits).memoryMaxBytes))
    // Where version 2 has no memory controller, groups count and kill only.
    const hasMemory = findCgroups().v1.has('memory') || (await hasController(groups.paths[0] ?? '', 'memory'))
    expect(isLimited).to.equal(hasMemory)
    const procs = groups.paths.map((path) =>
      readFileSync(join(path, `ishare-${spec.id}`, 'cgroup.procs'), 'utf8')
    )
    for (const text of procs) expect(text.trim().split('\n').length).to.be.at.least(3)
    await host.destroy(spec.id)
  })

  async function hasController(path: string, name: string): Promise<boolean> {
    return (await readFile(join(path, 'cgroup.controllers'), 'utf8')).split(/\s+/).includes(name)
  }
})
