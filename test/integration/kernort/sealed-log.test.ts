import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { hostClient, type HostClient } from '../../../soda-host/client/index.ts'
import type { DaemonConfig } from '../../../soda-host/daemon/index.ts'
import { anchorText, logOpener, readLog, verifyLog, type LogRecord } from '../../../soda-host/logs/index.ts'
import { createLogKey } from '../../../src/identity/index.ts'
import { SUITE_SLICE } from '../../compliance/run-host.suite.ts'
import { requires } from '../../helpers/capabilities.ts'
import { startDaemonProcess, type DaemonProcess } from '../../helpers/daemon/daemon-process.ts'
import { bytesOf, serverSpec } from '../../helpers/daemon/server-spec.ts'
import { codeOf } from '../../helpers/errors.ts'
import { stampedArtifacts } from '../../helpers/stamped-kernel.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

const SECOND_NS = 1_000_000_000
/** Sets the clock an hour ahead. */
const LEAP = 'date -s @$(($(date +%s) + 3600)) > /dev/null'

describe('Sealed log of a virtual server', function () {
  this.timeout(120_000)

  const key = createLogKey()
  const resources = new AsyncDisposableStack()
  let config: DaemonConfig
  let daemon: DaemonProcess
  let host: HostClient

  before(async function () {
    requires(this, 'root', 'uml', 'bubblewrap')
    const directory = resources.use(await temporaryDirectory()).path
    const artifacts = join(directory, 'artifacts')
    await mkdir(artifacts)
    config = {
      stateDir: join(directory, 'state'),
      socketPath: join(directory, 'host.sock'),
      slice: SUITE_SLICE,
      artifactsPath: await stampedArtifacts(artifacts, key)
    }
    daemon = await startDaemonProcess(config, { guests: 'uml' })
    resources.defer(() => daemon.kill())
    host = resources.use(hostClient({ socketPath: config.socketPath }))
    resources.defer(async () => {
      for (const { id } of await host.list()) await host.destroy(id)
    })
  })

  after(() => resources.disposeAsync())

  async function recordsOf(log: Buffer): Promise<LogRecord[]> {
    const records: LogRecord[] = []
    for await (const entry of readLog([log], { opener: await logOpener(key) }))
      if (entry.type === 'record') records.push(entry.record)
    return records
  }

  async function started(script: string): Promise<string> {
    const spec = serverSpec(script)
    await host.create(spec)
    await host.start(spec.id)
    return spec.id
  }

  it('is whole, and tells of the boot, of a clock that was set, and of the end', async () => {
    const id = await started(LEAP)
    const server = await host.wait(id)
    expect(server.state, JSON.stringify(server.reason)).to.equal('exited')
    const log = await bytesOf(host.log(id))
    expect(server.log).to.include({ start: 0, end: log.length })
    const report = await verifyLog([log], { opener: await logOpener(key) })
    expect(report).to.deep.include({ isWhole: true, isEnded: true, findings: [] })
    const { boot, frame, head } = server.log!.head!
    expect(`${boot}:${frame}:${head}`).to.equal(anchorText(report.head!))
    const records = await recordsOf(log)
    expect(records.at(0)).to.deep.include({ kind: 'boot', fields: { abi: 1, bootNumber: 0 } })
    expect(records.at(0)?.tails['commandLine']?.toString()).to.match(/ubd0rc=/)
    expect(records.at(-1)).to.deep.include({ kind: 'shutdown', fields: { reason: 1 } })
    const steps = records.filter(({ kind }) => kind === 'clock')
    expect(steps.map(({ comm, uid }) => [comm, uid])).to.deep.equal([['date', 0]])
    expect(Number(steps[0]?.fields['stepNs']) / SECOND_NS).to.be.within(3598, 3600.1)
  })

  it('opens for nobody but its tenant, whatever files the landlord has', async () => {
    const id = await started('echo a secret of the guest > /dev/console; sh -c "exit 0" "another secret"')
    await host.wait(id)
    const log = await bytesOf(host.log(id))
    const kernel = await readFile(join(config.artifactsPath, '../stamped'))
    for (const word of ['a secret of the guest', 'another secret', 'ubd0rc=', '/bin/sh', 'swapper'])
      expect(log.includes(word), word).to.equal(false)
    const genuine = await recordsOf(log)
    expect(genuine.length).to.be.above(1)
    // The one key that is in the image is public; so is every other that the landlord makes.
    const other = await logOpener(createLogKey())
    expect(kernel.includes(Buffer.from(key.publicKey))).to.equal(true)
    expect(kernel.includes(Buffer.from(key.privateKey))).to.equal(false)
    const report = await verifyLog([log], { opener: other })
    expect(report).to.include({ isWhole: false, records: 0 })
    const cut = await verifyLog([log.subarray(0, -1)], { opener: await logOpener(key) })
    expect(cut.isEnded).to.equal(false)
  })

  it('is read by range, and as it grows', async () => {
    const id = await started(`${LEAP}; cat`)
    const following = bytesOf(host.log(id, { follow: true }))
    for await (const chunk of host.log(id, { follow: true })) if (chunk.length > 0) break
    await host.stdin(id, 0, new Uint8Array(), { end: true })
    await host.wait(id)
    const whole = await bytesOf(host.log(id))
    expect((await following).equals(whole)).to.equal(true)
    const part = await bytesOf(host.log(id, { offset: 100, length: 300 }))
    expect(part.equals(whole.subarray(100, 400))).to.equal(true)
    expect(await bytesOf(host.log(id, { offset: whole.length }))).to.have.length(0)
    expect(await codeOf(() => bytesOf(host.log(id, { offset: whole.length + 1 })))).to.equal(
      'ERR_HOST_REQUEST'
    )
  })

  it('loses nothing while there is no daemon', async () => {
    const id = await started(`${LEAP}; read line; ${LEAP}; sleep 1; ${LEAP}; cat`)
    await host.stdin(id, 0, Buffer.from('go on\n'))
    await daemon.kill()
    daemon = await startDaemonProcess(config, { guests: 'uml' })
    await host.stdin(id, 6, new Uint8Array(), { end: true })
    expect((await host.wait(id)).state).to.equal('exited')
    const log = await bytesOf(host.log(id))
    const report = await verifyLog([log], { opener: await logOpener(key) })
    expect(report).to.deep.include({ isWhole: true, isEnded: true, findings: [] })
    expect((await recordsOf(log)).filter(({ kind }) => kind === 'clock')).to.have.length(3)
  })

  it('holds every boot of a server that is started again, each behind the one before', async () => {
    const spec = serverSpec(`${LEAP}; test -e again || { touch again; exit 1; }`, {
      restart: { policy: 'on-failure' }
    })
    await host.create(spec)
    await host.start(spec.id)
    expect((await host.wait(spec.id)).state).to.equal('exited')
    const log = await bytesOf(host.log(spec.id))
    const report = await verifyLog([log], { opener: await logOpener(key) })
    expect(report).to.deep.include({ isWhole: true, isEnded: true })
    const records = await recordsOf(log)
    expect(records.filter(({ kind }) => kind === 'boot').map(({ boot }) => boot)).to.deep.equal([0, 1])
    expect(records.filter(({ kind }) => kind === 'clock').map(({ boot }) => boot)).to.deep.equal([0, 1])
  })

  it('stays when its server was killed, and goes when that is destroyed', async () => {
    const id = await started(`${LEAP}; sleep 1000`)
    for await (const chunk of host.log(id, { follow: true })) if (chunk.length > 0) break
    await host.stop(id, { graceMs: 0 })
    await host.wait(id)
    const report = await verifyLog([await bytesOf(host.log(id))], { opener: await logOpener(key) })
    expect(report.isWhole).to.equal(true)
    await host.destroy(id)
    expect(await codeOf(() => bytesOf(host.log(id)))).to.equal('ERR_SERVER_UNKNOWN')
  })
})
