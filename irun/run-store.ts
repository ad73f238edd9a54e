/**
 * Runs on disk, the same on both sides: one row per run, its record as JSON.
 *
 * A record is written (and flushed) before anybody is told of it. Several processes of a consumer may use one
 * store: a change is a function from the record as it stands, applied in a transaction.
 */
import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { DocumentError, RunError } from '../src/errors.ts'
import type { RunState } from './state-machine.ts'

const SCHEMA_VERSION = 1
const BUSY_TIMEOUT_MS = 5000

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS runs (
    peer TEXT NOT NULL,
    run_id TEXT NOT NULL,
    nonce TEXT NOT NULL,
    state TEXT NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (peer, run_id),
    UNIQUE (peer, nonce)
  ) STRICT, WITHOUT ROWID;
  PRAGMA user_version = ${SCHEMA_VERSION};`

/** What every record has. `peer` is the other side. */
export interface StoredRun {
  peer: string
  runId: string
  /** Of the acceptance: taken once per peer for as long as the record stands. */
  nonce: string
  state: RunState
}

export class RunStore<R extends StoredRun> implements Disposable {
  readonly #database: DatabaseSync

  /** @throws ERR_RUN_STATE when the file is of a later version of this program */
  constructor(path: string) {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    this.#database = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS })
    this.#database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
    const row = this.#database.prepare('PRAGMA user_version').get()
    const version = Number(row?.['user_version'] ?? 0)
    if (version > SCHEMA_VERSION) {
      this.#database.close()
      throw new RunError(
        'ERR_RUN_STATE',
        `${path} is of version ${version}, this program knows ${SCHEMA_VERSION}`
      )
    }
    if (version < SCHEMA_VERSION) this.#database.exec(SCHEMA)
  }

  /** @throws ERR_DOCUMENT_REPLAYED when the peer has used that run id or nonce */
  insert(run: R): void {
    const { changes } = this.#database
      .prepare('INSERT OR IGNORE INTO runs (peer, run_id, nonce, state, record) VALUES (?, ?, ?, ?, ?)')
      .run(run.peer, run.runId, run.nonce, run.state, JSON.stringify(run))
    if (changes !== 1)
      throw new DocumentError('ERR_DOCUMENT_REPLAYED', `run ${run.runId} or its nonce was used before`)
  }

  get(peer: string, runId: string): R | undefined {
    const row = this.#database
      .prepare('SELECT record FROM runs WHERE peer = ? AND run_id = ?')
      .get(peer, runId)
    return row === undefined ? undefined : (parse(row) as R)
  }

  find(runId: string): R | undefined {
    const row = this.#database.prepare('SELECT record FROM runs WHERE run_id = ?').get(runId)
    return row === undefined ? undefined : (parse(row) as R)
  }

  all(): R[] {
    return this.#database
      .prepare('SELECT record FROM runs')
      .all()
      .map((row) => parse(row) as R)
  }

  /**
   * Replace a record by what `change` makes of it.
   *
   * @throws ERR_RUN_UNKNOWN; what `change` throws leaves the record as it was
   */
  update(peer: string, runId: string, change: (run: R) => R): R {
    this.#database.exec('BEGIN IMMEDIATE')
    try {
      const run = this.get(peer, runId)
      if (run === undefined) throw new RunError('ERR_RUN_UNKNOWN', `there is no run ${runId}`)
      const changed = change(run)
      this.#database
        .prepare('UPDATE runs SET state = ?, record = ? WHERE peer = ? AND run_id = ?')
        .run(changed.state, JSON.stringify(changed), peer, runId)
      this.#database.exec('COMMIT')
      return changed
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK')
      throw error
    }
  }

  remove(peer: string, runId: string): void {
    this.#database.prepare('DELETE FROM runs WHERE peer = ? AND run_id = ?').run(peer, runId)
  }

  [Symbol.dispose](): void {
    if (this.#database.isOpen) this.#database.close()
  }
}

/** The file is our own, private and written whole: its shape is what we wrote. */
function parse(row: Record<string, unknown>): unknown {
  return JSON.parse(String(row['record']))
}
