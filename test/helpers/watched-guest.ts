/** A bare guest whose kernel is stamped for a key of the test, and its sealed log, opened. */
import { randomBytes } from 'node:crypto'
import { open, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readArtifacts } from '../../soda-host/factory/artifacts.ts'
import { stampKernel } from '../../soda-host/factory/stamp.ts'
import { logOpener, readLog, type Finding, type LogRecord } from '../../soda-host/logs/index.ts'
import { createLogKey, type LogKey } from '../../src/identity/index.ts'
import { bareGuest, EXTRA_FD, type BareGuest, type BareGuestOptions } from './bare-guest.ts'
import { temporaryDirectory } from './temporary.ts'

const SPOOL_BYTES = 64 * 1024 * 1024

export interface WatchedGuest extends AsyncDisposable {
  guest: BareGuest
  /** Everything of its watch that lies on the host. */
  files: { kernel: string; log: string }
  /** What the log holds by now, in its order. */
  read(): Promise<{ records: LogRecord[]; findings: Finding[] }>
}

export interface WatchedGuestOptions extends BareGuestOptions {
  /** A compiled rule table; the kernel is stamped with its digest. */
  rules?: { bytes: Uint8Array; digest: string }
  /** Whose log it is. @default a new one's */
  key?: LogKey
  /** @default random */
  serverId?: Uint8Array
}

/** Boot one; the spool is larger than any test's log, so its first file is the log. */
export async function watchedGuest(wanted: WatchedGuestOptions = {}): Promise<WatchedGuest> {
  const { rules, key = createLogKey(), serverId = randomBytes(16), ...options } = wanted
  const resources = new AsyncDisposableStack()
  try {
    const directory = resources.use(await temporaryDirectory())
    const artifacts = await readArtifacts(process.env['ISHARE_ARTIFACTS'] ?? '')
    const kernelPath = join(directory.path, 'stamped')
    const stamp = { serverId, showsSeverity: true, policy: Buffer.alloc(0) }
    await stampKernel(artifacts.kernel.path, kernelPath, {
      ...stamp,
      recipients: [key.publicKey],
      ...(rules === undefined ? {} : { rulesetSha256: Buffer.from(rules.digest, 'hex') })
    })
    const paths = ['a', 'b'].map((name) => join(directory.path, name))
    const spool = await Promise.all(paths.map((path) => open(path, 'ax', 0o600)))
    for (const file of spool) resources.defer(() => file.close())
    const tablePath = join(directory.path, 'table')
    if (rules !== undefined) await writeFile(tablePath, rules.bytes)
    const table = rules === undefined ? [] : [resources.use(await open(tablePath, 'r'))]
    const guest = resources.use(
      await bareGuest({
        ...options,
        kernelPath,
        fds: [...spool, ...table].map(({ fd }) => fd),
        parameters: [
          ...(options.parameters ?? []),
          ...table.map(() => `kernort.rules_fd=${EXTRA_FD + 2}`),
          `kernort.fd=${EXTRA_FD},${EXTRA_FD + 1}`,
          `kernort.spool=${SPOOL_BYTES}`,
          'kernort.boot=0'
        ]
      })
    )
    const read = async () => {
      const records: LogRecord[] = []
      const findings: Finding[] = []
      const log = await Promise.all(paths.map((path) => readFile(path)))
      for await (const entry of readLog(log, { opener: await logOpener(key) }))
        if (entry.type === 'record') records.push(entry.record)
        else findings.push(entry.finding)
      return { records, findings }
    }
    const files = { kernel: kernelPath, log: paths[0] ?? '' }
    return { guest, files, read, [Symbol.asyncDispose]: () => resources.disposeAsync() }
  } catch (error) {
    await resources.disposeAsync()
    throw error
  }
}
