/**
 * Attacker: nobody, or anybody who has links made in great number.
 * Asset: what a change costs, and that links are what they are however many there are.
 * Expected: the ten-thousandth link is the same few elements as the first, one transaction, and the kernel holds exactly
 * what was asked for.
 */
import { expect } from 'chai'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { inside, namespacePath } from '../../../soda-host/switch/commands.ts'
import { Switch, type Link, type PortSpec } from '../../../soda-host/switch/index.ts'
import { requires } from '../../helpers/capabilities.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

const SERVERS = 101
const LINKS = 10_000

const idOf = (n: number): string => `one-of-many-servers-${n}`
/** The last of them is between two servers that have no other. */
function linkOf(n: number): Link {
  if (n === LINKS - 1) return { from: idOf(SERVERS), to: idOf(SERVERS + 1), protocol: 'tcp', port: 1 }
  const from = n % SERVERS
  const round = Math.floor(n / SERVERS)
  const to = (from + 1 + (round % (SERVERS - 1))) % SERVERS
  return { from: idOf(from), to: idOf(to), protocol: 'tcp', port: 1 + round }
}

/** A while, or until it is so. */
async function heardSoon(heard: Promise<void>, waitMs: number): Promise<void> {
  const waited = new AbortController()
  await Promise.race([heard, delay(waitMs, undefined, { signal: waited.signal }).catch(() => undefined)])
  waited.abort()
}

describe('ten thousand links', function () {
  this.timeout(120_000)
  let undo: AsyncDisposableStack
  let network: Switch
  let stateDir: string
  const ports: PortSpec[] = Array.from({ length: SERVERS + 2 }, (_, n) => ({ id: idOf(n), slot: 1000 + n }))

  before(async function () {
    requires(this, 'root', 'nftables')
    undo = new AsyncDisposableStack()
    stateDir = undo.use(await temporaryDirectory()).path
    network = await Switch.open({ stateDir, ports, links: [] })
    undo.defer(() => network.close())
  })
  after(async () => {
    await (undo as AsyncDisposableStack | undefined)?.disposeAsync()
  })

  const elementsIn = async (family: string, set: string): Promise<number> => {
    const text = await inside(network.namespace, 'nft', ['-j', '-n', 'list', 'set', family, 'soda', set])
    const { nftables } = JSON.parse(text) as { nftables: { set?: { elem?: unknown[] } }[] }
    return nftables.flatMap(({ set: found }) => found?.elem ?? []).length
  }
  /** What the kernel tells of the next transaction: a line an element, and one at its end. */
  const transactionOf = async (change: () => Promise<void>): Promise<string[]> => {
    const monitor = spawn('nsenter', [`--net=${namespacePath(network.namespace)}`, '--', 'nft', 'monitor'], {
      stdio: ['ignore', 'pipe', 'inherit']
    })
    const ended = once(monitor, 'exit')
    const lines = createInterface({ input: monitor.stdout })[Symbol.asyncIterator]()
    const next = async (): Promise<string> => {
      const { value, done } = await lines.next()
      if (done === true) throw new Error('nft monitor ended')
      return value
    }
    const tell = (name: string): Promise<string> =>
      inside(network.namespace, 'nft', [`add table inet ${name}; delete table inet ${name}`])
    try {
      // It hears of changes only once it has read all there is: until then one that means nothing is made again, ever more
      // rarely, since each makes it read anew.
      let isListening = false
      const heard = next().then(() => {
        isListening = true
      })
      for (let waitMs = 100; !isListening; waitMs *= 2) {
        await tell('nobody')
        await heardSoon(heard, waitMs)
      }
      await tell('fence')
      while (!(await next()).includes('delete table inet fence'));
      await next()
      await change()
      const transaction: string[] = []
      for (let line = ''; !line.startsWith('# new generation'); transaction.push(line)) line = await next()
      return transaction
    } finally {
      monitor.kill('SIGKILL')
      await ended
    }
  }

  it('are exactly so many elements, and the last of them is made of as many as the first', async () => {
    const last = linkOf(LINKS - 1)
    const added = (lines: string[]): string[] =>
      lines
        .filter((line) => line.startsWith('add element'))
        .map((line) => line.split(' ').slice(0, 5).join(' '))
    const first = added(await transactionOf(() => network.addLink(last)))
    expect(first.toSorted()).to.deep.equal([
      'add element bridge soda pairs',
      'add element bridge soda pairs',
      'add element inet soda linked',
      'add element inet soda links'
    ])
    await network.removeLink(last)
    expect(await elementsIn('inet', 'links')).to.equal(0)
    const others = Array.from({ length: LINKS - 1 }, (_, n) => linkOf(n))
    network = await Switch.open({ stateDir, ports, links: others })
    expect(await elementsIn('inet', 'links')).to.equal(LINKS - 1)
    const tenThousandth = added(await transactionOf(() => network.addLink(last)))
    expect(tenThousandth.toSorted()).to.deep.equal(first.toSorted())
    expect(await elementsIn('inet', 'links')).to.equal(LINKS)
    expect(new Set(others.map(({ from, to }) => `${from} ${to}`)).size + 1).to.equal(
      await elementsIn('inet', 'linked')
    )
    const removed = (await transactionOf(() => network.removeLink(last))).filter((line) =>
      line.startsWith('delete element')
    )
    expect(removed).to.have.length(first.length)
    expect(await elementsIn('inet', 'links')).to.equal(LINKS - 1)
  })
})
