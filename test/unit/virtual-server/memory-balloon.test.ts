import { expect } from 'chai'
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { orderMemory } from '../../../soda-host/virtual-server/memory-balloon.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

const MIB = 1024 * 1024
const USABLE_BYTES = 48 * MIB
const State = { working: 0, done: 1, stuck: 2, broken: 3 } as const
const HASTE = { stillMs: 300, wholeMs: 2000 }

function report(usableBytes: number, state: number, hasKilled = false): Buffer {
  const record = Buffer.alloc(16)
  record.writeBigUInt64LE(BigInt(usableBytes), 0)
  record.writeUInt32LE(state, 8)
  record.writeUInt32LE(hasKilled ? 1 : 0, 12)
  return record
}

/** A guest kernel that does what the test says at each order. @returns what came of it, and the orders */
async function ordered(
  obey: (socket: Socket, order: { insists: boolean; number: number }) => void
): Promise<{ outcome: string; orders: { usableBytes: number; insists: boolean }[] }> {
  await using directory = await temporaryDirectory()
  const path = join(directory.path, 'balloon.sock')
  const orders: { usableBytes: number; insists: boolean }[] = []
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.on('data', (bytes) => {
      for (let at = 0; at < bytes.length; at += 16) {
        const order = {
          usableBytes: Number(bytes.readBigUInt64LE(at)),
          insists: bytes.readUInt32LE(at + 8) === 1
        }
        orders.push(order)
        obey(socket, { ...order, number: orders.length })
      }
    })
  })
  server.listen(path)
  await once(server, 'listening')
  try {
    return { outcome: await orderMemory(path, USABLE_BYTES, HASTE), orders }
  } finally {
    server.close()
  }
}

describe('orders about the memory of a guest', () => {
  it('are gentle, and one is enough for a guest that has what is asked of it', async () => {
    const { outcome, orders } = await ordered((socket) => {
      socket.write(report(56 * MIB, State.working))
      socket.write(report(USABLE_BYTES, State.done))
    })
    expect(outcome).to.equal('given')
    expect(orders).to.deep.equal([{ usableBytes: USABLE_BYTES, insists: false }])
  })

  it('are given again while the guest finds a little more each time', async () => {
    const { outcome, orders } = await ordered((socket, { number }) =>
      socket.write(report(USABLE_BYTES + (3 - number) * MIB, number < 3 ? State.stuck : State.done))
    )
    expect(outcome).to.equal('given')
    expect(orders).to.have.length(3)
  })

  it('insist once nothing more comes, and tell what that has cost', async () => {
    const { outcome, orders } = await ordered((socket, { insists }) =>
      socket.write(report(USABLE_BYTES, insists ? State.done : State.stuck, insists))
    )
    expect(outcome).to.equal('forced')
    const first = orders.findIndex(({ insists }) => insists)
    expect(first).to.be.greaterThan(0)
    expect(orders.slice(first).every(({ insists }) => insists)).to.equal(true)
  })

  it('are understood however the answer is cut', async () => {
    const { outcome } = await ordered((socket) => {
      const bytes = Buffer.concat([report(50 * MIB, State.working), report(USABLE_BYTES, State.done)])
      const [first, second] = [bytes.subarray(0, 21), bytes.subarray(21)]
      socket.write(first, () => setImmediate(() => socket.write(second)))
    })
    expect(outcome).to.equal('given')
  })

  const refusals: Record<string, (socket: Socket) => void> = {
    'says nothing': () => undefined,
    'hangs up': (socket) => socket.destroy(),
    'never has anything': (socket) => void socket.write(report(USABLE_BYTES + 9 * MIB, State.stuck)),
    'cannot give memory back to its host': (socket) => void socket.write(report(0, State.broken)),
    'sends what means nothing': (socket) => void socket.write(Buffer.alloc(70_001, 0xff))
  }
  for (const [what, obey] of Object.entries(refusals))
    it(`give up a guest that ${what}`, async () => {
      expect((await ordered(obey)).outcome).to.equal('refused')
    })

  it('do not wait without end for one that promises a little more all the time', async () => {
    const timers: NodeJS.Timeout[] = []
    const { outcome } = await ordered((socket) => {
      let left = 4000
      timers.push(setInterval(() => socket.write(report((left -= 1) * MIB, State.working)), 10))
    })
    for (const timer of timers) clearInterval(timer)
    expect(outcome).to.equal('refused')
  })

  it('reach nobody where no guest kernel listens', async () => {
    await using directory = await temporaryDirectory()
    expect(await orderMemory(join(directory.path, 'balloon.sock'), USABLE_BYTES, HASTE)).to.equal('refused')
  })
})
