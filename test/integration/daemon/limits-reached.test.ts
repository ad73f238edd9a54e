import { expect } from 'chai'
import { MIB } from '../../../src/constants.ts'
import type { HostServer } from '../../../irun/host.ts'
import { umlLauncher } from '../../../soda-host/virtual-server/index.ts'
import { requires } from '../../helpers/capabilities.ts'
import { openHost, type OpenedHost } from '../../helpers/daemon/open-host.ts'
import { serverSpec } from '../../helpers/daemon/server-spec.ts'

const HOG = 'tr "\\0" a < /dev/zero | sort'

describe('a program that comes up against a limit', function () {
  this.timeout(120_000)

  let opened: OpenedHost

  before(async function () {
    requires(this, 'root', 'uml', 'bubblewrap')
    opened = await openHost({
      launcher: umlLauncher(),
      artifacts: async () => process.env['ISHARE_ARTIFACTS'] ?? ''
    })
  })

  after(() => opened[Symbol.asyncDispose]())

  async function ended(script: string, changes: Parameters<typeof serverSpec>[1] = {}): Promise<HostServer> {
    const { host } = opened
    const spec = serverSpec(script, { ...changes, limits: { cpu: 1, ...changes.limits } })
    await host.create(spec)
    await host.start(spec.id)
    try {
      return await host.wait(spec.id)
    } finally {
      await host.destroy(spec.id)
    }
  }

  const codes = ({ notices }: HostServer): string[] => notices.map(({ code }) => code)
  const small = { memoryBytes: 32 * MIB }

  it('of memory is told so when it failed for it', async () => {
    const server = await ended(`${HOG} || exit 3`, { limits: small })
    expect([server.state, server.exit]).to.deep.equal(['exited', { kind: 'status', status: 3 }])
    expect(server.reason?.code).to.equal('memory-limit')
    expect(server.reason?.message).to.include('32 MiB')
    expect(codes(server)).to.deep.equal(['memory-limit'])
  })

  it('and gets along all the same has no reason, but a notice', async () => {
    const server = await ended(`${HOG}; exit 0`, { limits: small })
    expect(server.reason).to.equal(undefined)
    expect(codes(server)).to.deep.equal(['memory-limit'])
  })

  it('is told while it runs', async () => {
    const { host } = opened
    const spec = serverSpec('cat /dev/zero > big; exec sleep 1000', { limits: { diskBytes: 16 * MIB } })
    await host.create(spec)
    await host.start(spec.id)
    const server = await host.watch(spec.id, 0)
    expect([server.state, ...codes(server)]).to.deep.equal(['running', 'disk-limit'])
    await host.destroy(spec.id)
  })

  it('of its disk is told so', async () => {
    const server = await ended('dd if=/dev/zero of=big bs=64k', { limits: { diskBytes: 16 * MIB } })
    expect(server.exit).to.deep.equal({ kind: 'status', status: 1 })
    expect(server.reason?.code).to.equal('disk-limit')
  })

  it('of the number of files is told so, though there is room', async () => {
    const server = await ended('i=0; while : > f$i; do i=$((i+1)); done', {
      limits: { diskBytes: 16 * MIB }
    })
    expect(server.exit).to.not.deep.equal({ kind: 'status', status: 0 })
    expect(server.reason?.code).to.equal('files-limit')
  })

  it('of processes is told so', async () => {
    const server = await ended('i=0; while [ $i -lt 100 ]; do sleep 100 & i=$((i+1)); done; exit 9', {
      limits: { processesMax: 40 }
    })
    expect(server.exit).to.not.deep.equal({ kind: 'status', status: 0 })
    expect(server.reason?.code).to.equal('processes-limit')
  })

  it('of output is told so, whatever its status', async () => {
    const server = await ended('head -c 5000 /dev/zero', { limits: { outputBytesMax: 1000 } })
    expect(server.exit).to.deep.equal({ kind: 'status', status: 0 })
    expect(server.reason?.code).to.equal('output-limit')
    expect(server.output).to.deep.equal({ bytes: 1000, discardedBytes: 4000 })
  })

  it('is started again for it with that reason, and the next life begins without', async () => {
    const count = 'n=$(($(cat lives 2>/dev/null || echo 0) + 1)); echo $n > lives; sync'
    const server = await ended(`${count}; [ $n -gt 1 ] || { ${HOG} || exit 3; }; exit 4`, {
      limits: small,
      restart: { policy: 'on-failure', maximum: 1 }
    })
    expect(server.restarts?.last.reason.code).to.equal('memory-limit')
    expect([server.exit, server.reason]).to.deep.equal([{ kind: 'status', status: 4 }, undefined])
    expect(server.notices.map(({ code, cause }) => [code, cause])).to.deep.equal([
      ['memory-limit', undefined],
      ['restarting', 'memory-limit']
    ])
  })

  it('of CPU is not told anything: it gets what it may have', async () => {
    const server = await ended('i=0; while [ $i -lt 5000 ]; do i=$((i+1)); done', { limits: { cpu: 0.1 } })
    expect([server.reason, codes(server)]).to.deep.equal([undefined, []])
  })
})
