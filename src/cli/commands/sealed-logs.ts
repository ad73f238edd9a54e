/** Sealed logs: `open`, `alerts`, `sessions`, `replay`, `verify`. They need the tenant's key; files need no network. */
import { Command, InvalidArgumentError } from 'commander'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import {
  anchorText,
  asciicast,
  isWanted,
  KIND_LAYOUTS,
  listSessions,
  logOpener,
  pace,
  parseAnchor,
  readLog,
  recordJson,
  recordText,
  recordTime,
  sessionEvents,
  verifyLog,
  type Anchor,
  type Finding,
  type LogReaderInit,
  type LogRecord,
  type RecordFilter,
  type SessionSummary
} from '../../../soda-host/logs/index.ts'
import { formatDuration, formatSize, readConfig } from '../../config/index.ts'
import { LogError } from '../../errors.ts'
import { readLogKey } from '../../identity/index.ts'
import { withLogPlace, type LogPlace } from '../log-place.ts'
import { jsonOption, networkOptions } from '../options.ts'
import { harmless, note, printJson, printTable } from '../output.ts'

const NS_PER_SECOND = 1e9

interface KeyFlags {
  key?: string
  anchor?: Anchor[]
}

function anchors(text: string, previous: Anchor[] | undefined): Anchor[] {
  const anchor = parseAnchor(text)
  if (anchor === undefined) throw new InvalidArgumentError('expected boot:frame:head, as verify prints it')
  return [...(previous ?? []), anchor]
}

function positiveNumber(text: string): number {
  const value = Number(text)
  if (!Number.isFinite(value) || value <= 0) throw new InvalidArgumentError('expected a number above 0')
  return value
}

function time(text: string): number {
  const value = Date.parse(text)
  if (Number.isNaN(value)) throw new InvalidArgumentError('expected a time such as 2026-11-24T10:00:00Z')
  return value
}

function kinds(text: string): string[] {
  const known: readonly string[] = KIND_LAYOUTS.map(({ name }) => name)
  const wanted = text.split(',')
  const unknown = wanted.filter((kind) => !known.includes(kind))
  if (unknown.length > 0) throw new InvalidArgumentError(`there are: ${known.join(', ')}`)
  return wanted
}

function sealedLogCommand(name: string, description: string): Command {
  const command = new Command(name)
    .description(description)
    .argument('<log>', 'file or directory of a sealed log, or a run as `ishare ps` names it')
    .option('--key <file>', 'key that opens the log (default: log-key.jwk in the state directory)')
    .option('--anchor <head>', 'a head that the log must hold, as verify prints it; may be repeated', anchors)
  return jsonOption(networkOptions(command))
}

function followOption(command: Command): Command {
  return command.option('-f, --follow', 'go on with what is written later')
}

function filterOptions(command: Command): Command {
  return command
    .option('--since <time>', "not before this, by the guest's clock", time)
    .option('--until <time>', "not after this, by the guest's clock", time)
}

async function readerInit(flags: KeyFlags, { serverId }: LogPlace): Promise<LogReaderInit> {
  const { stateDir } = await readConfig({ flags: { ...flags } })
  const key = await readLogKey(flags.key ?? join(stateDir, 'log-key.jwk'))
  return {
    opener: await logOpener(key),
    ...(serverId === undefined ? {} : { serverId }),
    ...(flags.anchor === undefined ? {} : { anchors: flags.anchor })
  }
}

/** The records of a log. What is wrong with it goes to standard error, and fails the command at its end. */
async function* recordsOf(
  place: LogPlace,
  flags: KeyFlags & { follow?: boolean; json?: boolean },
  signal?: AbortSignal
): AsyncGenerator<LogRecord> {
  const source = place.bytes({
    follow: flags.follow === true,
    ...(signal === undefined ? {} : { signal })
  })
  for await (const entry of readLog(source, await readerInit(flags, place))) {
    if (entry.type === 'record') yield entry.record
    else if (entry.finding.kind !== 'unended') {
      note(findingText(entry.finding))
      process.exitCode = 1
    }
  }
}

function findingText({ kind, offset, boot, frame, text }: Finding): string {
  const place = frame === undefined ? '' : `, boot ${boot ?? 0}, frame ${frame}`
  return `${kind} at byte ${offset}${place}: ${text}`
}

async function untilInterrupted(action: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const stop = new AbortController()
  const onInterrupt = () => stop.abort()
  process.once('SIGINT', onInterrupt)
  try {
    await action(stop.signal)
  } finally {
    process.off('SIGINT', onInterrupt)
  }
}

function printRecord(record: LogRecord, json: boolean): void {
  if (json) {
    printJson(recordJson(record))
    return
  }
  const who = record.pid === 0 ? 'kernel' : `${record.comm}[${record.pid}] uid ${record.uid}`
  const line = `${recordTime(record)} ${record.kind} ${who}: ${recordText(record)}`
  console.log(harmless(line).replaceAll('\n', '\uFFFD'))
}

type ShowFlags = KeyFlags & {
  follow?: boolean
  json?: boolean
  since?: number
  until?: number
  kind?: string[]
}

async function show(name: string, flags: ShowFlags, wanted: RecordFilter): Promise<void> {
  const filter = {
    ...wanted,
    ...(flags.since === undefined ? {} : { sinceMs: flags.since }),
    ...(flags.until === undefined ? {} : { untilMs: flags.until })
  }
  await withLogPlace(name, flags, (place) =>
    untilInterrupted(async (signal) => {
      for await (const record of recordsOf(place, flags, signal))
        if (isWanted(record, filter)) printRecord(record, flags.json === true)
    })
  )
}

export function openCommand(): Command {
  const command = sealedLogCommand('open', 'print the records of a sealed log')
  filterOptions(followOption(command)).option('--kind <names>', 'only these, separated by commas', kinds)
  return command.action(async (name: string, flags: ShowFlags) => {
    await show(name, flags, flags.kind === undefined ? {} : { kinds: flags.kind })
  })
}

export function alertsCommand(): Command {
  const command = sealedLogCommand('alerts', 'print the alerts of a sealed log')
  return filterOptions(followOption(command)).action(async (name: string, flags: ShowFlags) => {
    await show(name, flags, { kinds: ['alert'] })
  })
}

export function sessionsCommand(): Command {
  const command = sealedLogCommand('sessions', 'list the terminal sessions of a sealed log')
  return command.action(async (name: string, flags: KeyFlags & { json?: boolean }) => {
    await withLogPlace(name, flags, async (place) => {
      printSessions(await listSessions(recordsOf(place, flags)), flags.json === true)
    })
  })
}

function printSessions(sessions: readonly SessionSummary[], json: boolean): void {
  if (json) {
    for (const session of sessions)
      printJson({
        ...session,
        startNs: String(session.startNs),
        durationNs: Number(session.durationNs)
      })
    return
  }
  printTable(
    ['SESSION', 'START', 'LENGTH', 'SIZE', 'TYPED', 'SHOWN'],
    sessions.map((session) => [
      session.id,
      new Date(startMs(session)).toISOString(),
      formatDuration(Number(session.durationNs) / NS_PER_SECOND),
      `${session.columns}x${session.rows}`,
      formatSize(session.inputBytes),
      formatSize(session.outputBytes)
    ])
  )
}

function startMs({ startNs }: SessionSummary): number {
  return Number(startNs / 1_000_000n)
}

type ReplayFlags = KeyFlags & { speed: number; idle?: number; cast?: '2' | '3'; input?: boolean }

export function replayCommand(): Command {
  const command = sealedLogCommand('replay', 'show a terminal session as it was, or write it as asciicast')
    .argument('[session]', 'as `sessions` names it (default: the first)')
    .option('--speed <factor>', 'how many times faster', positiveNumber, 1)
    .option('--idle <seconds>', 'longest pause that is kept', positiveNumber)
    .option('--cast <version>', 'print as asciicast, version 2 or 3', castVersion)
    .option('--input', 'what was typed too, in an asciicast')
  return command.action(async (name: string, wanted: string | undefined, flags: ReplayFlags) => {
    await withLogPlace(name, flags, (place) => replay(place, wanted, flags))
  })
}

async function replay(place: LogPlace, wanted: string | undefined, flags: ReplayFlags): Promise<void> {
  const sessions = await listSessions(recordsOf(place, flags))
  const session = wanted === undefined ? sessions[0] : sessions.find(({ id }) => id === wanted)
  if (session === undefined)
    throw new LogError(
      'ERR_LOG_FORMAT',
      `${place.name}: there is no such session; see: ishare sessions ${place.name}`
    )
  const pacing = {
    speed: flags.speed,
    ...(flags.idle === undefined ? {} : { idleSecondsMax: flags.idle })
  }
  const events = sessionEvents(recordsOf(place, flags), session.id)
  if (flags.cast === undefined) await play(events, pacing)
  else {
    const version = flags.cast === '2' ? 2 : 3
    const timestamp = Math.floor(startMs(session) / 1000)
    const options = { ...pacing, version, timestamp, hasInput: flags.input === true } as const
    for await (const line of asciicast(events, options)) console.log(line)
  }
}

function castVersion(text: string): '2' | '3' {
  if (text !== '2' && text !== '3') throw new InvalidArgumentError('expected 2 or 3')
  return text
}

/** Onto this terminal, as it was: that is what a replay is. */
async function play(
  events: ReturnType<typeof sessionEvents>,
  pacing: { speed: number; idleSecondsMax?: number }
): Promise<void> {
  await untilInterrupted(async (signal) => {
    const beganMs = performance.now()
    for await (const { seconds, event } of pace(events, pacing)) {
      const waitMs = seconds * 1000 - (performance.now() - beganMs)
      if (waitMs > 0) await delay(waitMs, undefined, { signal })
      if (event.kind === 'output') process.stdout.write(event.data)
    }
  })
}

export function verifyCommand(): Command {
  const command = sealedLogCommand('verify', 'say whether a sealed log is whole, or where and how it is not')
  command.option('--no-key', 'check order and chain only, as whoever stores it can')
  return command.action(async (name: string, flags: VerifyFlags) => {
    await withLogPlace(name, flags, (place) => verify(place, flags))
  })
}

type VerifyFlags = Omit<KeyFlags, 'key'> & { key?: string | false; json?: boolean }

async function verify(place: LogPlace, { key, json, ...flags }: VerifyFlags): Promise<void> {
  const { serverId } = place
  const init =
    key === false
      ? { ...(serverId === undefined ? {} : { serverId }) }
      : await readerInit({ ...flags, ...(key === undefined ? {} : { key }) }, place)
  // Fetched first: a head that is signed meanwhile counts too.
  for await (const _bytes of place.bytes({ follow: false }));
  const anchors = [...(flags.anchor ?? []), ...(await place.anchors())]
  const report = await verifyLog(place.bytes({ follow: false }), { ...init, anchors })
  if (!report.isWhole) process.exitCode = 1
  if (json === true) {
    printJson({
      ...report,
      head: report.head === undefined ? null : anchorText(report.head),
      findings: report.findings.map((finding) => ({ ...finding, frame: finding.frame?.toString() }))
    })
    return
  }
  for (const finding of report.findings) console.log(findingText(finding))
  if (report.findingsLeftOut > 0) console.log(`and ${report.findingsLeftOut} more`)
  const heads = anchors.length === 0 ? '' : `, ${anchors.length} known heads`
  console.log(
    `${report.isWhole ? 'whole' : 'NOT whole'}: ${report.frames} frames, ${report.records} records of server ${report.serverId ?? '?'}${heads}`
  )
  if (report.head !== undefined) console.log(`head ${anchorText(report.head)}`)
}
