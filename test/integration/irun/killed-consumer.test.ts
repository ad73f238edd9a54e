import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { RunStore } from '../../../irun/run-store.ts'
import { runHandler } from '../../../irun/index.ts'
import type { StoredRun } from '../../../irun/run-store.ts'
import type { ConsumerProcessConfig } from '../../fixtures/irun/consumer-process.ts'
import type { OpenedHost } from '../../helpers/daemon/open-host.ts'
import { sampleOffer, signed } from '../../helpers/documents.ts'
import { fakeRunHost } from '../../helpers/fake-run-host.ts'
import { RULES, startNode } from '../../helpers/irun/market.ts'
import { runConsumer } from '../../helpers/irun/processes.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

const DEATHS: NonNullable<ConsumerProcessConfig['dieAt']>[] = [
  'connecting',
  'answered',
  'leased',
  'staging',
  'staged',
  'booting',
  'running',
  'stdout',
  'exited',
  'collecting',
  'collected',
  'receipt'
]

describe('a consumer that is killed and comes back', function () {
  this.timeout(60_000)
  let resources: AsyncDisposableStack
  let directory: string
  let opened: OpenedHost
  let offer: string

  before(async () => {
    resources = new AsyncDisposableStack()
    directory = resources.use(await temporaryDirectory()).path
    opened = resources.use(await fakeRunHost())
    const provider = resources.use(await startNode())
    const { images } = await opened.host.capacity()
    const { token } = await signed(
      'offer',
      sampleOffer(provider.identity, { images, addresses: provider.addresses(), rules: RULES }),
      provider.identity
    )
    offer = token
    const handler = runHandler(
      {
        registrar: provider.libp2p,
        host: opened.host,
        identity: provider.identity,
        offers: { current: () => [offer] }
      },
      { stateDir: join(directory, 'provider') }
    )
    await handler.start()
    resources.defer(() => handler.stop())
    await writeFile(join(directory, 'in.txt'), 'input')
  })
  after(() => resources.disposeAsync())

  for (const dieAt of DEATHS)
    it(`gets the result, once, after dying at ${dieAt}`, async () => {
      const marker = join(directory, `marker-${dieAt}`)
      const config: ConsumerProcessConfig = {
        identityDir: join(directory, dieAt, 'identity'),
        stateDir: join(directory, dieAt, 'state'),
        offer,
        script: `echo start; echo x >> ${marker}; cat in.txt > "$ISHARE_OUT/out.txt"; sleep 0.3; echo end; exit 6`,
        inputs: [join(directory, 'in.txt')],
        outDir: join(directory, dieAt, 'out')
      }
      const killed = await runConsumer({ ...config, dieAt })
      expect(killed.signal, killed.said).to.equal('SIGKILL')
      // The name of the run, as `list` would tell it.
      using store = new RunStore<StoredRun>(join(config.stateDir, 'consumer.sqlite'))
      const [record] = store.all()
      const again = await runConsumer({ ...config, runId: record!.runId })
      expect(again.result, again.said).to.deep.equal({
        outcome: { kind: 'status', status: 6 },
        files: [{ path: 'out.txt', sizeBytes: 5 }]
      })
      expect(again.stdout).to.equal('start\nend\n')
      expect(await readFile(join(config.outDir, 'out.txt'), 'utf8')).to.equal('input')
      expect(await readFile(marker, 'utf8')).to.equal('x\n')
      expect(await opened.host.list()).to.deep.equal([])
    })
})
