import { expect } from 'chai'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { joinFiles, openCgroups } from '../../../soda-host/resources/cgroups.ts'
import type { ServerCgroup } from '../../../soda-host/resources/cgroup-types.ts'
import { diskDevice, diskRateFact } from '../../../soda-host/resources/disk-share.ts'
import { hostKnobs } from '../../../soda-host/resources/limits.ts'
import { requires } from '../../helpers/capabilities.ts'
import { codeOf } from '../../helpers/errors.ts'
import { realGuests, shell } from '../../helpers/guests.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

const KIB = 1024
const MIB = 1024 * KIB
const RATE_BYTES = 512 * KIB
const KNOBS = hostKnobs({ cpu: 1, memoryBytes: 64 * MIB, diskBytes: 1, processesMax: 20, outputBytesMax: 1 })
/** Past the page cache, to the disk each time; tells each 64 KiB that it got. */
const READS = 'while :; do dd if="$0" of=/dev/null bs=64k count=4 iflag=direct 2>/dev/null; echo; done'

describe('the rate of a server at the disk', function () {
  this.timeout(60_000)

  const resources = new AsyncDisposableStack()
  let directory: string
  let device: string

  before(async function () {
    requires(this, 'root', 'cgroups')
    directory = resources.use(await temporaryDirectory()).path
    const { capability } = await openCgroups()
    const found = diskDevice(directory)
    if (found === undefined || diskRateFact(capability.controllers, found).status !== 'ok') {
      console.warn('    SKIPPED: no disk here that groups can have a rate of')
      this.skip()
    }
    device = found
  })

  after(() => resources.disposeAsync())

  async function group(name: string): Promise<ServerCgroup> {
    const made = await (await openCgroups()).create(`test-rate-${process.pid}-${name}`, KNOBS)
    resources.defer(async () => {
      await made.killAll()
      await made.remove()
    })
    return made
  }

  function reader(of: ServerCgroup, path: string): ChildProcess {
    const join = joinFiles(of).map((file) => `echo $$ > ${file}`)
    return spawn('sh', ['-c', `${join.join('; ')}; ${READS}`, path], { stdio: ['ignore', 'pipe', 'ignore'] })
  }

  async function lines(child: ChildProcess, count: number): Promise<void> {
    for (let seen = 0; seen < count;) seen += ((await once(child.stdout!, 'data')) as [Buffer])[0].length
  }

  it('holds a group that reads back, beside one that has none, and is lifted again', async () => {
    const path = join(directory, 'file')
    await writeFile(path, Buffer.alloc(MIB), { flush: true })
    const [slow, fast] = [await group('slow'), await group('fast')]
    expect(await slow.limitDisk(device, RATE_BYTES)).to.equal(true)
    const [held, free] = [reader(slow, path), reader(fast, path)]
    let freeReads = 0
    free.stdout?.on('data', (bytes: Buffer) => (freeReads += bytes.length))
    const READS_HELD = 6
    await lines(held, READS_HELD)
    expect(freeReads).to.be.greaterThan(3 * READS_HELD)
    await slow.limitDisk(device, undefined)
    await lines(held, 30)
  })

  it('is refused for what is no disk', async () => {
    const made = await group('none')
    expect(await codeOf(() => made.limitDisk('255:254', RATE_BYTES))).to.equal('ERR_CGROUP')
  })

  it('is that of its limits, from before the guest boots, and changes with them', async function () {
    requires(this, 'uml', 'bubblewrap')
    await using guests = await realGuests()
    const { limits } = await guests.spec()
    const { server } = await guests.start(shell('cat'), {
      limits: { ...limits, diskBytesPerSecond: RATE_BYTES }
    })
    const told = (): string[] =>
      server.record.cgroups
        .flatMap((path) => ['blkio.throttle.read_bps_device', 'io.max'].map((name) => join(path, name)))
        .filter((file) => existsSync(file))
        .map((file) => readFileSync(file, 'utf8'))
    expect(told().join('')).to.include(`${device} `).and.to.include(String(RATE_BYTES))
    await server.setLimits({ ...limits, diskBytesPerSecond: 2 * RATE_BYTES })
    expect(told().join('')).to.include(String(2 * RATE_BYTES))
    await server.setLimits(limits)
    expect(told().join('')).to.not.include(device)
  })
})
