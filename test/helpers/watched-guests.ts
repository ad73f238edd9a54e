import { execa } from 'execa'
import { mkdtemp, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createLogKey, type LogKey } from '../../src/identity/index.ts'
import {
  logOpener,
  LogStore,
  NEW_COLLECTOR,
  readLog,
  SpoolCollector,
  verifyLog,
  type LogRecord,
  type LogReport
} from '../../soda-host/logs/index.ts'
import type { LaunchSpec } from '../../soda-host/virtual-server/types.ts'
import { inputFile } from './launched.ts'
import { realGuests, type Guest, type Guests } from './guests.ts'
import { stampedKernel } from './stamped-kernel.ts'
import { temporaryDirectory } from './temporary.ts'

const SET_CLOCK = join(import.meta.dirname, '../fixtures/kernort/set-clock.c')

/** A log's place on this host, and what takes a guest's spool there: by hand, so that a test decides when. */
export interface WatchedLog {
  store: LogStore
  collector: SpoolCollector
  records(): Promise<LogRecord[]>
  verify(): Promise<LogReport>
}

/** Real guests whose kernels are stamped for a key of the test's. */
export interface WatchedGuests extends AsyncDisposable {
  key: LogKey
  guests: Guests
  /** @param directory where it lies @param fileBytes of the spool's files */
  log(options?: { directory?: string; fileBytes?: number }): Promise<WatchedLog>
  /** Booted on that log, with a program `./set-clock` in its working directory. */
  boot(log: WatchedLog, changes?: Partial<LaunchSpec>): Promise<Guest>
}

export async function watchedGuests(): Promise<WatchedGuests> {
  await using undo = new AsyncDisposableStack()
  const { path } = undo.use(await temporaryDirectory())
  const guests = undo.use(await realGuests())
  const key = createLogKey()
  const kernel = await stampedKernel(path, key)
  const program = join(path, 'set-clock')
  await execa('gcc', ['-static', '-O1', '-Wall', '-Werror', '-o', program, SET_CLOCK])
  const setClock = await readFile(program)
  const resources = undo.move()
  return {
    key,
    guests,
    async log({ directory, fileBytes } = {}) {
      const place = directory ?? (await mkdtemp(join(path, 'log-')))
      const store = resources.use(await LogStore.open({ directory: join(place, 'log'), bytesMax: 64 << 20 }))
      const collector = new SpoolCollector({
        store,
        directory: join(place, 'spool'),
        state: NEW_COLLECTOR,
        save: () => undefined,
        ...(fileBytes !== undefined && { fileBytes })
      })
      const opener = await logOpener(key)
      const whole = () => store.read(0, store.end)
      return {
        store,
        collector,
        verify: () => verifyLog(whole(), { opener }),
        async records() {
          const records: LogRecord[] = []
          for await (const entry of readLog(whole(), { opener }))
            if (entry.type === 'record') records.push(entry.record)
          return records
        }
      }
    },
    async boot(log, changes = {}) {
      const attachment = await log.collector.begin()
      const guest = await guests.start(undefined, { kernelPath: kernel.path, log: attachment, ...changes })
      await guest.server.putFile(inputFile('set-clock', setClock, 0o755))
      return guest
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync()
  }
}
