/**
 * Attacker: root in a guest that is to give memory back, and holds on to it.
 * Asset: the memory that the host was to have again, and the neighbours.
 * Outcome: what holds it is ended by the guest's own kernel, or the whole guest is by the host; within a bounded time the
 * memory is the host's, and the neighbours notice nothing.
 */
import { expect } from 'chai'
import { hostKnobs } from '../../../soda-host/resources/limits.ts'
import { noCgroups } from '../../../soda-host/resources/cgroups.ts'
import { heldMemoryBytes } from '../../../soda-host/virtual-server/memory-image.ts'
import type { MemoryOutcome } from '../../../soda-host/virtual-server/types.ts'
import { requires } from '../../helpers/capabilities.ts'
import { leftoversOf } from '../../helpers/guest-processes.ts'
import { realGuests, shell, type Guest, type Guests } from '../../helpers/guests.ts'

const MIB = 1024 * 1024
const CEILING_BYTES = 128 * MIB
const SMALL_BYTES = 48 * MIB

describe('a guest that is to give memory back', function () {
  this.timeout(120_000)

  const resources = new AsyncDisposableStack()
  let guests: Guests
  let neighbour: Guest

  before(async function () {
    requires(this, 'root', 'uml', 'bubblewrap')
    guests = resources.use(await realGuests())
    neighbour = await guests.start(shell('while read line; do echo "alive $line"; done'))
  })

  after(() => resources.disposeAsync())

  let words = 0
  afterEach(async () => {
    words += 1
    await neighbour.server.stdin(neighbour.listener.stdinTakenBytes, Buffer.from(`${words % 10}\n`))
    await neighbour.listener.until((seen) => seen.text('stdout').includes(`alive ${words % 10}`))
  })

  /** One that says `held` when it holds what it wants. */
  async function holder(script: string, within: Guests = guests): Promise<Guest> {
    const { limits } = await within.spec()
    const guest = await within.start(shell(script), { limits: { ...limits, memoryBytes: CEILING_BYTES } })
    await guest.listener.until((seen) => seen.text('stdout').includes('held'))
    return guest
  }

  /** Asked to do with less, it does. */
  async function shrunk({ server }: Guest): Promise<MemoryOutcome> {
    const outcome = await server.setMemory(SMALL_BYTES)
    expect(await heldMemoryBytes(server.record.pid)).to.be.at.most(SMALL_BYTES)
    return outcome
  }

  /** Asked to do with less, it is gone, and all that it had with it. */
  async function endsOfIt({ server, spec }: Guest): Promise<void> {
    expect(await server.setMemory(SMALL_BYTES)).to.equal('refused')
    expect((await server.ended).kind).to.be.oneOf(['panic', 'killed', 'out-of-memory'])
    expect(await leftoversOf(spec)).to.deep.equal([])
  }

  // sort keeps all of a line, and waits for its end.
  const EATS = '(dd if=/dev/zero bs=1M count=45 2>/dev/null; echo held >&2; sleep 1000) | tr "\\0" a | sort'

  it('loses the program that holds it, and goes on', async () => {
    const guest = await holder(`{ ${EATS} >/dev/null; } 2>&1 & cat`)
    expect(await shrunk(guest)).to.equal('forced')
    await guest.server.stdin(0, Buffer.from('still here\n'))
    await guest.listener.until((seen) => seen.text('stdout').includes('still here'))
  })

  it('gives up its caches without losing anything', async () => {
    const guest = await holder(
      'dd if=/dev/zero of=/work/big bs=1M count=40 2>/dev/null; cat /work/big > /dev/null; echo held; cat'
    )
    expect(await shrunk(guest)).to.equal('given')
  })

  const TMPFS = `mkdir /work/t; mount -t tmpfs -o size=100m none /work/t
dd if=/dev/zero of=/work/t/big bs=1M count=90 2>/dev/null; echo held; while :; do sleep 1; done`

  it('ends when it keeps it where no program can be ended for it', async () => {
    await endsOfIt(await holder(TMPFS))
  })

  it('is bounded by its group from then on, whatever its kernel has said', async function () {
    const guest = await holder('echo held; cat')
    await guest.server.setMemory(SMALL_BYTES)
    const { memoryPeakBytes } = await guest.server.usage()
    expect(memoryPeakBytes).to.be.at.most(
      hostKnobs({ ...guest.spec.limits, memoryBytes: SMALL_BYTES }).memoryMaxBytes
    )
  })

  it('has no more of it where the machine has no cgroups either', async () => {
    await using apart = await realGuests('tiny', { cgroups: noCgroups('none, for this test') })
    await endsOfIt(await holder(TMPFS, apart))
  })
})
