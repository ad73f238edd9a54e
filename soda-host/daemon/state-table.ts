/**
 * The daemon's memory: one SQLite file with a row per server and a journal of events.
 *
 * Theory of operation: a change of state and the event that tells of it are one transaction, on disk before
 * anybody hears of it (WAL, synchronous FULL). The file is held in exclusive locking mode, so the kernel's lock on
 * it is what keeps a second daemon out, and goes with the process however it ends. Beside it lies a file of nothing,
 * which is given up when the disk is full, so that the last word about every server can still be written.
 */
import { closeSync, openSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { MIB } from '../../src/constants.ts'
import { HostError } from '../../src/errors.ts'
import { hostEvent, link, type EventKind, type HostEvent, type Link } from './api.ts'
import { DiskReserve, isDiskFull } from './disk-full.ts'
import { EVENTS_KEPT } from './limits.ts'
import { serverRecord, type ServerRecord } from './server-record.ts'

/** One step per version; a file of version n gets all steps from n on. */
const MIGRATIONS = [
  `CREATE TABLE servers (id TEXT PRIMARY KEY, spec TEXT NOT NULL, record TEXT NOT NULL) STRICT, WITHOUT ROWID;
   CREATE TABLE events (
     sequence INTEGER PRIMARY KEY AUTOINCREMENT, atMs INTEGER NOT NULL, id TEXT NOT NULL, kind TEXT NOT NULL
   ) STRICT;`,
  `CREATE TABLE links (
     fromId TEXT NOT NULL, toId TEXT NOT NULL, protocol TEXT NOT NULL, port INTEGER NOT NULL, untilMs INTEGER,
     PRIMARY KEY (fromId, toId, protocol, port)
   ) STRICT, WITHOUT ROWID;`,
  'ALTER TABLE links ADD COLUMN name TEXT'
]

const LINKS = 'SELECT fromId AS "from", toId AS "to", protocol, port, untilMs, name FROM links'

const SQLITE_BUSY = 5
/** What must still be writable when everything else has filled the disk: the ends of all servers, many times over. */
const RESERVE_BYTES = 4 * MIB

export class StateTable implements Disposable {
  readonly #database: DatabaseSync
  readonly #reserve: DiskReserve

  /** @throws ERR_HOST_STATE when another daemon has the file, or a newer version wrote it */
  constructor(path: string) {
    // Made by us and not by SQLite, which would let others read; its journal files take the same mode.
    closeSync(openSync(path, 'a', 0o600))
    this.#database = new DatabaseSync(path)
    this.#reserve = new DiskReserve(`${path}.reserve`, RESERVE_BYTES)
    try {
      this.#open(path)
      this.#reserve.fill()
    } catch (error) {
      this.#database.close()
      if (isBusy(error))
        throw new HostError(
          'ERR_HOST_STATE',
          `${path} is in use by another daemon: one state directory, one daemon`,
          {
            cause: error
          }
        )
      throw error
    }
  }

  /** Every record, in no order. @throws ERR_HOST_STATE when one does not read */
  all(): ServerRecord[] {
    return this.#database
      .prepare('SELECT id, spec, record FROM servers')
      .all()
      .map(({ id, spec, record }) => decode(String(id), String(spec), String(record)))
  }

  insert(record: ServerRecord): void {
    // Not worth the reserve: a full host takes no new servers.
    this.#attempt(() => {
      const { id } = record.spec
      const insert = this.#database.prepare('INSERT INTO servers (id, spec, record) VALUES (?, ?, ?)')
      insert.run(id, JSON.stringify(record.spec), withoutSpec(record))
      this.#tell(id, 'created')
    })
  }

  /** Write a record, and the event if a `kind` is given; all or nothing, and on disk. */
  commit(record: ServerRecord, kind?: EventKind): void {
    this.#transaction(() => {
      this.#put(record)
      if (kind !== undefined) this.#tell(record.spec.id, kind)
    })
  }

  /**
   * Write without waiting for the disk: survives the daemon's death but not the machine's. Enough for what is
   * only worth something while the guest lives.
   */
  note(record: ServerRecord): void {
    this.#database.exec('PRAGMA synchronous = NORMAL')
    try {
      this.#put(record)
    } finally {
      this.#database.exec('PRAGMA synchronous = FULL')
    }
  }

  remove(id: string): void {
    this.#transaction(() => {
      this.#database.prepare('DELETE FROM servers WHERE id = ?').run(id)
      this.#tell(id, 'destroyed')
    })
    // Its results are gone: there may be room again.
    this.#reserve.fill()
  }

  /** Up to `limit` events that came after the one numbered `after`, oldest first. */
  events(after: number, limit: number): HostEvent[] {
    return this.#database
      .prepare('SELECT sequence, atMs, id, kind FROM events WHERE sequence > ? ORDER BY sequence LIMIT ?')
      .all(after, limit)
      .map((row) => hostEvent.parse({ ...row }))
  }

  links(): Link[] {
    return this.#database.prepare(LINKS).all().map(decodeLink)
  }

  /** Those of a server, to it or from it, that give a name. */
  namedLinks(id: string): Link[] {
    return this.#database
      .prepare(`${LINKS} WHERE name IS NOT NULL AND (fromId = ? OR toId = ?)`)
      .all(id, id)
      .map(decodeLink)
  }

  putLink({ from, to, protocol, port, untilMs, name }: Link): void {
    this.#transaction(() => {
      this.#database
        .prepare(
          'INSERT OR REPLACE INTO links (fromId, toId, protocol, port, untilMs, name) VALUES (?, ?, ?, ?, ?, ?)'
        )
        .run(from, to, protocol, port, untilMs ?? null, name ?? null)
    })
  }

  removeLink({ from, to, protocol, port }: Link): void {
    this.#transaction(() => {
      this.#database
        .prepare('DELETE FROM links WHERE fromId = ? AND toId = ? AND protocol = ? AND port = ?')
        .run(from, to, protocol, port)
    })
  }

  [Symbol.dispose](): void {
    this.#database.close()
  }

  #open(path: string): void {
    this.#database.exec(
      'PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL'
    )
    // The lock is taken by the first write, not by the pragma.
    this.#database.exec('BEGIN IMMEDIATE; COMMIT')
    const version = Number(this.#database.prepare('PRAGMA user_version').get()?.['user_version'])
    if (version > MIGRATIONS.length)
      throw new HostError(
        'ERR_HOST_STATE',
        `${path} has version ${version}; this daemon knows up to ${MIGRATIONS.length}: use the newer one`
      )
    this.#transaction(() => {
      for (const step of MIGRATIONS.slice(version)) this.#database.exec(step)
      this.#database.exec(`PRAGMA user_version = ${MIGRATIONS.length}`)
    })
  }

  #put(record: ServerRecord): void {
    this.#database
      .prepare('UPDATE servers SET record = ? WHERE id = ?')
      .run(withoutSpec(record), record.spec.id)
  }

  #tell(id: string, kind: EventKind): void {
    const { lastInsertRowid } = this.#database
      .prepare('INSERT INTO events (atMs, id, kind) VALUES (?, ?, ?)')
      .run(Date.now(), id, kind)
    this.#database
      .prepare('DELETE FROM events WHERE sequence <= ?')
      .run(Number(lastInsertRowid) - EVENTS_KEPT)
  }

  #transaction(body: () => void): void {
    try {
      this.#attempt(body)
    } catch (error) {
      if (!isDiskFull(error) || !this.#reserve.release()) throw error
      this.#attempt(body)
    }
  }

  #attempt(body: () => void): void {
    this.#database.exec('BEGIN IMMEDIATE')
    try {
      body()
      this.#database.exec('COMMIT')
    } catch (error) {
      // A full disk ends the transaction by itself.
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK')
      throw error
    }
  }
}

/** The spec never changes and may be long: it is written once, in a column of its own. */
function withoutSpec(record: ServerRecord): string {
  return JSON.stringify({ ...record, spec: undefined })
}

function decode(id: string, spec: string, text: string): ServerRecord {
  const parsed = serverRecord.safeParse({
    ...(JSON.parse(text) as object),
    spec: JSON.parse(spec) as unknown
  })
  if (!parsed.success)
    throw new HostError('ERR_HOST_STATE', `the record of server ${id} does not read: ${parsed.error.message}`)
  return parsed.data
}

function decodeLink({ untilMs, name, ...rest }: Record<string, unknown>): Link {
  return link.parse({ ...rest, ...(untilMs !== null && { untilMs }), ...(name !== null && { name }) })
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY
}
