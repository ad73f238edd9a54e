/** Captures put onto the cable of a real guest: its kernel tells what the engine tells in user space. */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect } from 'chai'
import { replay, type AlertCount } from '../../../soda-host/kernort/harness/index.ts'
import { compileRuleset, readRuleFile, type Table } from '../../../soda-host/kernort/rules/index.ts'
import type { LogRecord } from '../../../soda-host/logs/index.ts'
import { namespacePath } from '../../../soda-host/switch/commands.ts'
import { Switch } from '../../../soda-host/switch/index.ts'
import { requires } from '../../helpers/capabilities.ts'
import { captureOf, readFrames } from '../../helpers/captures.ts'
import { cacheDir } from '../../helpers/engine.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'
import { watchedGuest } from '../../helpers/watched-guest.ts'

const runFile = promisify(execFile)
const VECTORS = join(import.meta.dirname, '../../vectors/ids')
const PEER = join(import.meta.dirname, '../../fixtures/switch/peer.pl')
const GUEST_BYTES = 96 * 1024 * 1024
const NETWORK_FD = 20
const ETHERTYPE_IPV4 = 0x0800
const ETHERNET_BYTES = 14
const FRAME_BYTES_MAX = 1514
/** On a busy machine the guest's seconds are longer than the capture's. */
const OF_TIME = /\b(threshold|detection_filter|xbits)\s*:/
/** Captures that many frames long are enough. */
const FRAMES_MAX = 400
/** Of one case: no more than 15 alerts are told of one packet, and rules of other cases match it too. */
const RULES_MAX = 5
const CASES = 40

/** In a table: docs/formats/ruleset.md. */
const DIGEST_AT = 16
const SECTION_COUNT_AT = 68

/** What one case gives to the whole. */
interface Sample {
  name: string
  frames: Buffer[]
  rules: string
  expected: number[]
}

describe('Packets in the guest kernel', function () {
  this.timeout(120_000)

  it('raise the alerts that they raise in user space: the captures of this repository', async function () {
    requires(this, 'root', 'uml')
    const names = readdirSync(VECTORS, { withFileTypes: true }).filter((entry) => entry.isDirectory())
    await check(
      await samples(
        names.map(({ name }) => join(VECTORS, name)),
        names.length
      )
    )
  })

  it(`raise the alerts that they raise in user space: ${CASES} of all cases`, async function () {
    requires(this, 'root', 'uml', 'cases')
    const root = process.env['ISHARE_IDS_CASES'] ?? ''
    const index = JSON.parse(await readFile(join(root, 'index.json'), 'utf8')) as {
      name: string
      midstream: boolean
    }[]
    const usable = index.filter(({ midstream }) => !midstream).map(({ name }) => join(root, name))
    const chosen = await samples(usable, CASES)
    expect(chosen).to.have.length(CASES)
    await check(chosen)
  })
})

describe('Rules of a guest kernel', function () {
  this.timeout(60_000)

  const { table } = compileRuleset([
    { file: 'one.rules', text: 'alert ip any any -> any any (msg:"any"; sid:1;)' }
  ])

  async function consoleOf(bytes: Buffer, digest: string): Promise<string> {
    try {
      await using watched = await watchedGuest({ rules: { bytes, digest } })
      return watched.guest.console()
    } catch (error) {
      return String(error)
    }
  }

  it('are refused when they are not those of its stamp', async function () {
    requires(this, 'uml')
    const other = Buffer.from(table.bytes)
    other[other.length - 1] = (other.at(-1) ?? 0) ^ 1
    expect(await consoleOf(other, table.digest)).to.match(/panic.*does not have the rules/)
  })

  it('are refused when they are damaged, whoever has stamped them', async function () {
    requires(this, 'uml')
    const damaged = Buffer.from(table.bytes)
    damaged.writeUInt32LE(0xffff_fff0, SECTION_COUNT_AT)
    const named = Buffer.from(damaged)
    named.fill(0, DIGEST_AT, DIGEST_AT + 32)
    const digest = createHash('sha256').update(named).digest('hex')
    expect(await consoleOf(damaged, digest)).to.match(/panic.*are damaged: sections/)
  })
})

/** The first `count` of the cases that a cable of Ethernet and IPv4 can carry, and that alert in user space. */
async function samples(folders: readonly string[], count: number): Promise<Sample[]> {
  const found: Sample[] = []
  for (const folder of folders) {
    if (found.length === count) break
    const frames = await readFrames(join(folder, 'input.pcap'))
    if (frames === undefined || frames.length > FRAMES_MAX || !frames.every(isCarried)) continue
    const expected = JSON.parse(await readFile(join(folder, 'expected.json'), 'utf8')) as AlertCount[]
    const { text } = await readRuleFile(join(folder, 'rules.rules'))
    const alike = found.filter((sample) => contentsOf(sample.rules) === contentsOf(text)).length
    if (OF_TIME.test(text) || alike > 5) continue
    const { table, coverage } = compileRuleset([{ file: folder, text }])
    if (coverage.compiled > RULES_MAX) continue
    const options = { cacheDir, guestMemoryBytes: GUEST_BYTES }
    const { alerts } = await replay(table.bytes, join(folder, 'input.pcap'), options)
    if (alerts.length === 0 || alerts.length !== expected.length) continue
    const number = (sid: number): number => 1_000_000 + found.length * 10_000 + (sid % 10_000)
    const rules = text.replace(/\bsid:\s*(\d+)/g, (_, sid: string) => `sid:${number(Number(sid))}`)
    found.push({ name: folder, frames, rules, expected: alerts.map(({ sid }) => number(sid)) })
  }
  return found
}

/** What its rules look for; many cases look for the same. */
function contentsOf(rules: string): string {
  return (rules.match(/content:\s*"[^"]*"/g) ?? []).join()
}

/** Whole IPv4, which the receiver's stack lets as far as the hooks. */
function isCarried(frame: Buffer): boolean {
  if (frame.length < ETHERNET_BYTES + 20 || frame.length > FRAME_BYTES_MAX) return false
  return frame.readUInt16BE(12) === ETHERTYPE_IPV4 && ETHERNET_BYTES + frame.readUInt16BE(16) <= frame.length
}

/** All rules at once, all captures one after the other. */
async function check(chosen: readonly Sample[]): Promise<void> {
  const text = chosen.map(({ rules }) => rules).join('\n')
  const { table } = compileRuleset([{ file: 'all.rules', text }])
  const frames = chosen.flatMap((sample) => sample.frames)
  const fromKernel = await replayOntoGuest(table, frames)
  const fromHarness = await replayFrames(table, frames)
  expect(fromKernel).to.deep.equal(fromHarness)
  const told = new Set(fromKernel.map(({ sid }) => sid))
  const silent = chosen.filter(({ expected }) => !expected.some((sid) => told.has(sid)))
  expect(silent.map(({ name }) => name)).to.deep.equal([])
}

async function replayFrames(table: Table, frames: readonly Buffer[]): Promise<AlertCount[]> {
  await using directory = await temporaryDirectory()
  const path = join(directory.path, 'all.pcap')
  await writeFile(path, captureOf(frames))
  const { alerts } = await replay(table.bytes, path, { cacheDir, guestMemoryBytes: GUEST_BYTES })
  return alerts
}

async function replayOntoGuest(table: Table, frames: readonly Buffer[]): Promise<AlertCount[]> {
  await using undo = new AsyncDisposableStack()
  const directory = undo.use(await temporaryDirectory()).path
  const network = await Switch.open({ stateDir: directory, ports: [], links: [] })
  undo.defer(() => network.close())
  const port = await network.addPort({ id: 'watched-guest', slot: 0 })
  undo.defer(() => network.removePort(0))
  const watched = undo.use(
    await watchedGuest({
      rules: table,
      memoryBytes: GUEST_BYTES,
      opener: port.openSocket(NETWORK_FD),
      parameters: [
        `vec0:transport=fd,fd=${NETWORK_FD},mac=${port.mac},mtu=1500`,
        `ishare.ipv4=${port.ipv4}/${port.prefixLength}`
      ]
    })
  )
  const mac = Buffer.from(port.mac.replaceAll(':', ''), 'hex')
  const lines = frames.map((frame) => Buffer.concat([mac, frame.subarray(6)]).toString('hex'))
  const path = join(directory, 'frames')
  await writeFile(path, lines.map((line) => `${line}\n`).join(''))
  const question = whoHas(port.ipv4).toString('hex')
  const enter = [`--net=${namespacePath(network.namespace)}`, '--', 'perl', PEER]
  await runFile('nsenter', [...enter, 'replay', 'p0', path, question])
  await watched.guest.channel.powerOff()
  await watched.guest.ended
  const { records, findings } = await watched.read()
  expect(findings).to.deep.equal([])
  return counted(records)
}

/** An ARP request, from an address that nobody has. */
function whoHas(ipv4: string): Buffer {
  const own = Buffer.from('0253c0000209', 'hex')
  const words = Buffer.from('08060001080006040001', 'hex')
  const addresses = [
    own,
    Buffer.from([10, 83, 255, 254]),
    Buffer.alloc(6),
    Buffer.from(ipv4.split('.').map(Number))
  ]
  return Buffer.concat([Buffer.alloc(6, 0xff), own, words, ...addresses])
}

function counted(records: readonly LogRecord[]): AlertCount[] {
  const counts = new Map<number, number>()
  for (const { kind, fields } of records)
    if (kind === 'alert') counts.set(Number(fields['sid']), (counts.get(Number(fields['sid'])) ?? 0) + 1)
  return [...counts].map(([sid, count]) => ({ sid, count })).toSorted((a, b) => a.sid - b.sid)
}
