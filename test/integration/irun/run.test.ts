import { randomBytes } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { constants } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { MIB } from '../../../src/constants.ts'
import { codeOf, errorOf } from '../../helpers/errors.ts'
import { EventReader, seenOf, textOf } from '../../helpers/irun/events.ts'
import { openMarket, smallLimits, startNode, type Market } from '../../helpers/irun/market.ts'

describe('iRun between two libp2p nodes', () => {
  let market: Market
  before(async () => {
    market = await openMarket()
  })
  after(() => market[Symbol.asyncDispose]())
  afterEach(async () => {
    expect(await market.host.list()).to.deep.equal([])
    expect(market.errors).to.deep.equal([])
  })

  it('runs a program and brings its output, exit status and receipt', async () => {
    const run = await market.submit('echo hello; echo oops >&2; exit 3')
    const { stdout, stderr, states } = await seenOf(run)
    const { outcome, receipt, files } = await run.done
    expect(stdout.toString()).to.equal('hello\n')
    expect(stderr.toString()).to.equal('oops\n')
    expect(outcome).to.deep.equal({ kind: 'status', status: 3 })
    expect(states).to.deep.equal(['leased', 'staged', 'booting', 'running', 'exited', 'collected', 'receipt'])
    expect(files).to.deep.equal([])
    expect(receipt.payload.used.outputBytes).to.equal(11)
    expect((await market.client.receipt(run.runId))?.token).to.equal(receipt.token)
  })

  it('settles although nobody reads the events', async () => {
    const run = await market.submit('head -c 6000000 /dev/zero')
    expect((await run.done).receipt.payload.used.outputBytes).to.equal(6_000_000)
  })

  it('brings input files to the program and output files back', async () => {
    const inDir = join(market.directory, 'data')
    const content = randomBytes(5 * MIB)
    await mkdir(join(inDir, 'deep'), { recursive: true })
    await writeFile(join(inDir, 'deep', 'in.bin'), content)
    await writeFile(
      join(market.directory, 'script.sh'),
      'cp -r data "$ISHARE_OUT/"; echo done > "$ISHARE_OUT/note"'
    )
    const outDir = join(market.directory, 'results')
    const run = await market.submit('sh script.sh', {
      inputs: [inDir, join(market.directory, 'script.sh')],
      outDir
    })
    const { events } = await seenOf(run)
    const result = await run.done
    expect(result.outcome).to.deep.equal({ kind: 'status', status: 0 })
    expect(result.files.map(({ path }) => path).sort()).to.deep.equal(['data/deep/in.bin', 'note'])
    expect((await readFile(join(outDir, 'data', 'deep', 'in.bin'))).equals(content)).to.equal(true)
    expect(await readFile(join(outDir, 'note'), 'utf8')).to.equal('done\n')
    const phases = new Set(events.flatMap((event) => (event.type === 'progress' ? [event.phase] : [])))
    expect([...phases]).to.deep.equal(['staging', 'collecting'])
  })

  it('passes standard input through, whole and in order', async () => {
    const data = randomBytes(20 * MIB)
    const run = await market.submit('cat', { limits: smallLimits({ outputBytesMax: 64 * MIB }) })
    const seen = seenOf(run)
    for (let at = 0; at < data.length; at += 300_000) await run.writeStdin(data.subarray(at, at + 300_000))
    await run.endStdin()
    expect((await seen).stdout.equals(data)).to.equal(true)
    await run.done
  })

  it('hears the user while the program does not read its input', async () => {
    const run = await market.submit('echo here; exec sleep 1000')
    const reader = new EventReader(run)
    await reader.output('here')
    const writing = run.writeStdin(new Uint8Array(8 * MIB))
    await run.signal(constants.signals.SIGINT)
    expect((await run.done).outcome).to.deep.equal({ kind: 'signal', signal: constants.signals.SIGINT })
    await writing
  })

  it('gives a terminal, and passes its size on', async () => {
    const run = await market.submit(
      'stty size; trap "stty size; exit 0" WINCH; echo armed; while :; do sleep 0.05; done',
      {
        program: {
          argv: [
            'sh',
            '-c',
            'stty size; trap "stty size; exit 0" WINCH; echo armed; while :; do sleep 0.05; done'
          ],
          terminal: { columns: 91, rows: 17 }
        }
      }
    )
    const reader = new EventReader(run)
    await reader.output('17 91')
    await reader.output('armed')
    await run.resize({ columns: 33, rows: 44 })
    await reader.output('44 33')
    expect((await run.done).outcome).to.deep.equal({ kind: 'status', status: 0 })
  })

  it('goes on without the consumer, who finds it again by its id', async () => {
    const run = await market.submit('echo one; read line; echo "two $line"')
    await new EventReader(run).output('one')
    await run.detach()
    expect(await codeOf(() => run.done)).to.equal('ERR_RUN_DETACHED')
    expect(market.client.inspect(run.runId).state).to.be.oneOf(['booting', 'running'])

    const again = await market.client.attach(run.runId)
    await again.writeStdin(Buffer.from('x\n'))
    expect((await seenOf(again)).stdout.toString()).to.equal('two x\n')
    expect((await again.done).outcome).to.deep.equal({ kind: 'status', status: 0 })

    const replay = await market.client.attach(run.runId, { fromStart: true })
    expect((await seenOf(replay)).stdout.toString()).to.equal('one\ntwo x\n')
    expect((await replay.done).receipt.token).to.equal((await again.done).receipt.token)
  })

  it('collects a run that ended while nobody was there', async () => {
    const run = await market.submit('echo result > "$ISHARE_OUT/r"; echo out; read line')
    await new EventReader(run).output('out')
    await run.endStdin()
    await run.detach()
    const [server] = await market.host.list()
    await market.host.stdin(server!.id, 0, new Uint8Array(), { end: true }).catch(() => undefined)
    await market.host.wait(server!.id)
    const result = await (await market.client.attach(run.runId)).done
    expect(result.files).to.deep.equal([{ path: 'r', sizeBytes: 7 }])
    expect(await textOf(market.client.logs(run.runId))).to.equal('out\n')
  })

  it('carries on when the connection breaks, losing and repeating nothing', async () => {
    const count = 40_000
    const run = await market.submit(`i=0; while read line; do echo "$line"; done`)
    const seen = seenOf(run)
    const lines = Array.from({ length: count }, (_, index) => `line ${index}\n`)
    for (let at = 0; at < count; at += 1000) {
      await run.writeStdin(Buffer.from(lines.slice(at, at + 1000).join('')))
      if (at % 10_000 === 5000) await market.consumer.libp2p.hangUp(market.provider.libp2p.peerId)
    }
    await run.endStdin()
    const { stdout, events } = await seen
    expect(stdout.toString()).to.equal(lines.join(''))
    expect(events.some((event) => event.type === 'connection' && event.status === 'lost')).to.equal(true)
    await run.done
  })

  it('stops a program that is cancelled, and still brings its files', async () => {
    const run = await market.submit(
      'trap "echo late > $ISHARE_OUT/late; exit 5" TERM; echo armed; while :; do sleep 0.05; done'
    )
    await new EventReader(run).output('armed')
    await run.cancel()
    const { outcome, cut, files } = await run.done
    expect({ outcome, cut }).to.deep.equal({ outcome: { kind: 'status', status: 5 }, cut: 'stopped' })
    expect(files.map(({ path }) => path)).to.deep.equal(['late'])
  })

  it('stops a run that nobody is attached to', async () => {
    const run = await market.submit('echo here; exec sleep 1000')
    await new EventReader(run).output('here')
    await run.detach()
    await market.client.stop(run.runId)
    expect((await (await market.client.attach(run.runId)).done).cut).to.equal('stopped')
  })

  it('shows the output to a second reader while the first one is attached', async () => {
    const run = await market.submit('echo one; read line; echo two')
    await new EventReader(run).output('one')
    const logs = textOf(market.client.logs(run.runId, { follow: true }))
    await run.writeStdin(Buffer.from('\n'))
    expect(await logs).to.equal('one\ntwo\n')
    await run.done
    expect(await textOf(market.client.logs(run.runId, { follow: true }))).to.equal('one\ntwo\n')
  })

  it('hands a run over to the process that attached last', async () => {
    const run = await market.submit('echo one; read line; echo "got $line"')
    await new EventReader(run).output('one')
    const other = market.newClient()
    const again = await other.attach(run.runId)
    expect(await codeOf(() => run.done)).to.equal('ERR_RUN_DETACHED')
    await again.writeStdin(Buffer.from('it\n'))
    expect((await seenOf(again)).stdout.toString()).to.equal('got it\n')
    await again.done
  })

  it('runs two at a time and refuses the third with the reason', async () => {
    const runs = [await market.submit('echo here; read line'), await market.submit('echo here; read line')]
    const refusal = await errorOf(() => market.submit('true'))
    expect(refusal.code).to.equal('ERR_RUN_REFUSED')
    expect(refusal.reasons?.join()).to.match(/2 runs of this peer now, allowed 2/)
    for (const run of runs) await run.endStdin()
    for (const run of runs) await run.done
    expect(market.client.list()[0]).to.include({ state: 'refused' })
    await (
      await market.submit('true')
    ).done
  })

  it('tells in its list what became of each run', async () => {
    const run = await market.submit('exit 4')
    await run.done
    const [summary] = market.client.list()
    expect(summary).to.include({
      runId: run.runId,
      state: 'receipt',
      image: 'tiny',
      provider: market.provider.identity.id
    })
    expect(summary?.outcome).to.deep.equal({ kind: 'status', status: 4 })
    expect(market.handler.list().find(({ runId }) => runId === run.runId)?.state).to.equal('receipt')
  })

  it('says at once that a provider cannot be reached', async () => {
    await using gone = await startNode()
    const addresses = gone.addresses()
    await gone[Symbol.asyncDispose]()
    expect(await codeOf(() => market.submit('true', { addresses }))).to.equal('ERR_PROVIDER_UNREACHABLE')
    expect(market.client.list()[0]?.state).to.equal('lost')
  })

  it('takes a program that is not there, and one that ends by a signal', async () => {
    const missing = await market.submit('', { program: { argv: ['no-such-program'] } })
    expect((await missing.done).outcome).to.deep.equal({ kind: 'status', status: 127 })
    const killed = await market.submit('kill -KILL $$')
    expect((await killed.done).outcome).to.deep.equal({ kind: 'signal', signal: 9 })
  })

  it('keeps no more output than the lease says, and counts the rest', async () => {
    const run = await market.submit('head -c 100000 /dev/zero', {
      limits: smallLimits({ outputBytesMax: 1000 })
    })
    expect((await seenOf(run)).stdout.length).to.equal(1000)
    expect((await run.done).receipt.payload.used).to.include({
      outputBytes: 1000,
      outputDiscardedBytes: 99_000
    })
  })
})
