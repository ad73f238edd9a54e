import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { runClient, type RunClient } from '../../../irun/index.ts'
import { loadOrCreateIdentity } from '../../../src/identity/index.ts'
import type { ProviderProcessConfig } from '../../fixtures/irun/provider-process.ts'
import type { OpenedHost } from '../../helpers/daemon/open-host.ts'
import { sampleOffer, signed } from '../../helpers/documents.ts'
import { fakeRunHost } from '../../helpers/fake-run-host.ts'
import { seenOf } from '../../helpers/irun/events.ts'
import { RULES, smallLimits, startNode, type Node } from '../../helpers/irun/market.ts'
import { keepProvider } from '../../helpers/irun/processes.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

/** Where a run stands at the provider when its peer is killed. */
const DEATHS: [string, NonNullable<ProviderProcessConfig['die']>][] = [
  ['accepted, before the server is made', { at: 'create', when: 'before' }],
  ['accepted, when the server is made and no lease is signed', { at: 'create', when: 'after' }],
  ['leased, before files are staged', { at: 'putFiles', when: 'before' }],
  ['leased, when files are staged', { at: 'putFiles', when: 'after' }],
  ['booting, before the host was told', { at: 'start', when: 'before' }],
  ['booting, when the host was told', { at: 'start', when: 'after' }],
  ['running, in the middle of its output', { at: 'output', when: 'after' }],
  ['running, with input under way', { at: 'stdin', when: 'before' }],
  ['running, with input taken', { at: 'stdin', when: 'after' }],
  ['running, when the program has ended', { at: 'watch', when: 'after' }],
  ['exited, in the middle of its files', { at: 'files', when: 'after' }],
  ['collected, before the server is destroyed', { at: 'destroy', when: 'before' }],
  ['collected, when the server is destroyed', { at: 'destroy', when: 'after' }]
]

describe('a provider that is killed and started again', function () {
  this.timeout(60_000)
  let resources: AsyncDisposableStack
  let directory: string
  let opened: OpenedHost
  let node: Node

  before(async () => {
    resources = new AsyncDisposableStack()
    opened = resources.use(await fakeRunHost())
    node = resources.use(await startNode())
  })
  after(() => resources.disposeAsync())

  let client: RunClient
  let perTest: AsyncDisposableStack
  beforeEach(async () => {
    perTest = new AsyncDisposableStack()
    directory = perTest.use(await temporaryDirectory()).path
    client = perTest.use(
      runClient(
        { identity: node.identity, openStream: node.openStream },
        { stateDir: join(directory, 'consumer'), limits: { reconnectMsMin: 20, reconnectMsMax: 200 } }
      )
    )
  })
  afterEach(() => perTest.disposeAsync())

  for (const [state, die] of DEATHS)
    it(`brings the result, once, when it dies while the run is ${state}`, async () => {
      const identityDir = join(directory, 'identity')
      const identity = await loadOrCreateIdentity(identityDir)
      const { images } = await opened.host.capacity()
      const offer = await signed('offer', sampleOffer(identity, { images, rules: RULES }), identity)
      const provider = perTest.use(
        await keepProvider({
          identityDir,
          stateDir: join(directory, 'provider'),
          socketPath: opened.socketPath,
          port: 0,
          offer: offer.token,
          die
        })
      )
      const marker = join(directory, 'marker')
      await writeFile(join(directory, 'in.txt'), 'input')
      const run = await client.submit({
        offer,
        addresses: provider.addresses,
        limits: smallLimits(),
        image: 'tiny',
        program: {
          argv: [
            'sh',
            '-c',
            'echo start; echo x >> "$MARKER"; cat in.txt > "$ISHARE_OUT/out.txt"; cat; exit 6'
          ],
          env: { MARKER: marker }
        },
        inputs: [join(directory, 'in.txt')],
        outDir: join(directory, 'out')
      })
      const seen = seenOf(run)
      await run.writeStdin(Buffer.from('typed\n'))
      await run.endStdin()
      expect((await seen).stdout.toString()).to.equal('start\ntyped\n')
      const { outcome, files } = await run.done
      expect(outcome).to.deep.equal({ kind: 'status', status: 6 })
      expect(files).to.deep.equal([{ path: 'out.txt', sizeBytes: 5 }])
      expect(await readFile(join(directory, 'out', 'out.txt'), 'utf8')).to.equal('input')
      expect(await readFile(marker, 'utf8')).to.equal('x\n')
      expect(provider.deaths()).to.equal(1)
      expect(await opened.host.list()).to.deep.equal([])
    })
})
