import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import type { RunHost } from '../../../irun/index.ts'
import { MIB } from '../../../src/constants.ts'
import { HostError } from '../../../src/errors.ts'
import { codeOf } from '../../helpers/errors.ts'
import { seenOf } from '../../helpers/irun/events.ts'
import { hostWith, openMarket } from '../../helpers/irun/market.ts'

/** A host whose daemon is away for the first calls of each kind, and breaks off its output once. */
function troubled(host: RunHost, failures: number): RunHost {
  const left = new Map<string, number>()
  function isAway(name: string): boolean {
    const count = left.get(name) ?? failures
    left.set(name, count - 1)
    return count > 0
  }
  const away = () => new HostError('ERR_HOST_UNREACHABLE', 'the daemon is away')
  const guard =
    <A extends unknown[], R>(name: string, method: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      if (isAway(name)) throw away()
      return method(...args)
    }
  return hostWith(host, {
    putFiles: guard('putFiles', host.putFiles.bind(host)),
    start: guard('start', host.start.bind(host)),
    inspect: guard('inspect', host.inspect.bind(host)),
    wait: guard('wait', host.wait.bind(host)),
    destroy: guard('destroy', host.destroy.bind(host)),
    async stdin(...args) {
      // Taken, but the answer is lost.
      const offset = await host.stdin(...args)
      if (isAway('stdin')) throw away()
      return offset
    },
    async *output(id, options) {
      if (isAway('output')) throw away()
      let count = 0
      for await (const chunk of host.output(id, options)) {
        yield chunk
        count += 1
        if (count === 3 && isAway('output later')) throw away()
      }
    }
  })
}

describe('a run on a host that comes and goes', function () {
  this.timeout(60_000)

  it('comes to its result, with input and output whole', async () => {
    await using market = await openMarket({ host: (host) => troubled(host, 2) })
    const input = Buffer.alloc(3 * MIB, 'some input\n')
    await writeFile(join(market.directory, 'in.txt'), 'from a file\n')
    const run = await market.submit('cat in.txt; cat; echo end > "$ISHARE_OUT/end"', {
      inputs: [join(market.directory, 'in.txt')]
    })
    const seen = seenOf(run)
    for (let at = 0; at < input.length; at += 100_000) await run.writeStdin(input.subarray(at, at + 100_000))
    await run.endStdin()
    const { stdout } = await seen
    expect(stdout.equals(Buffer.concat([Buffer.from('from a file\n'), input]))).to.equal(true)
    expect((await run.done).files).to.deep.equal([{ path: 'end', sizeBytes: 4 }])
  })

  it('is refused for now, and leaves nothing, when the host cannot be asked', async () => {
    await using market = await openMarket({
      host: (host) =>
        hostWith(host, {
          capacity: async () => {
            throw new HostError('ERR_HOST_UNREACHABLE', 'the daemon is away')
          }
        })
    })
    expect(await codeOf(() => market.submit('true'))).to.equal('ERR_RUN_REFUSED')
    expect(market.client.list()[0]?.failure?.code).to.equal('ERR_RUN_BUSY')
    expect(market.handler.list()).to.deep.equal([])
  })

  it('ends as failed when the host has lost the server', async () => {
    await using market = await openMarket()
    const run = await market.submit('echo here; exec sleep 1000')
    for await (const event of run.events) if (event.type === 'stdout') break
    const [server] = await market.host.list()
    await market.host.destroy(server!.id)
    expect((await run.done).outcome).to.deep.equal({ kind: 'failed', code: 'ERR_SERVER_UNKNOWN' })
  })

  it('sweeps servers that no run owns, when the provider starts', async () => {
    await using market = await openMarket()
    const run = await market.submit('echo here; exec sleep 1000')
    for await (const event of run.events) if (event.type === 'stdout') break
    await run.detach()
    await market.handler.stop()
    const [server] = await market.host.list()
    const orphan = `${server!.id.slice(0, 13)}${'0'.repeat(32)}`
    const { owner, limits, image, program, expiresAtMs, keepUntilMs } = server!
    const spec = { owner, limits, image, program, expiresAtMs, keepUntilMs }
    await market.host.create({ ...spec, id: orphan })
    await market.host.create({ ...spec, id: 'somebody-elses-server' }).catch(() => undefined)
    await market.handler.start()
    while ((await market.host.list()).some(({ id }) => id === orphan))
      await new Promise((done) => setTimeout(done, 20))
    expect((await market.host.list()).map(({ id }) => id)).to.include(server!.id)
    await market.client.stop(run.runId)
    const again = await market.client.attach(run.runId)
    expect((await again.done).cut).to.equal('stopped')
  })
})
