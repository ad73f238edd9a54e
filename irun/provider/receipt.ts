import { DAY_MS, SECOND_MS } from '../../src/constants.ts'
import { digestOf, signDocument, type Receipt } from '../../src/documents/index.ts'
import { RunError } from '../../src/errors.ts'
import type { Identity } from '../../src/identity/index.ts'
import type { HostServer } from '../host.ts'
import type { ProviderRun } from './record.ts'

/** A receipt is a proof to keep. */
const RECEIPT_LIFETIME_SECONDS = (5 * 365 * DAY_MS) / SECOND_MS

/** What the host says about an ended server, or what is known where the host has lost it. */
export type ServerOutcome = Pick<
  HostServer,
  'state' | 'exit' | 'reason' | 'startedAtMs' | 'endedAtMs' | 'output' | 'files' | 'usage'
>

/** The outcome of a server that the host does not know any more. */
export const LOST_SERVER: ServerOutcome = {
  state: 'failed',
  reason: { code: 'ERR_SERVER_UNKNOWN', message: '' },
  output: { bytes: 0, discardedBytes: 0 },
  usage: { cpuSeconds: 0, memoryPeakBytes: 0 }
}

export function outcomeOf(server: ServerOutcome): Receipt['outcome'] {
  if (server.state === 'exited' && server.exit !== undefined) return server.exit
  const code = server.reason?.code ?? ''
  return { kind: 'failed', code: /^[A-Za-z0-9_-]{1,64}$/.test(code) ? code : 'ERR_RUN_FAILED' }
}

/** Sign what a run used and how it ended. */
export async function signReceipt(
  run: ProviderRun,
  server: ServerOutcome,
  identity: Identity
): Promise<string> {
  if (run.lease === undefined) throw new RunError('ERR_RUN_STATE', `run ${run.runId} has no lease`)
  const now = Math.floor(Date.now() / SECOND_MS)
  const cut = cutOf(server)
  return signDocument(
    'receipt',
    {
      v: 1,
      iss: identity.id,
      aud: run.peer,
      iat: now,
      exp: now + RECEIPT_LIFETIME_SECONDS,
      runId: run.runId,
      leaseDigest: digestOf(run.lease),
      ...(server.startedAtMs === undefined ? {} : { startedAt: Math.floor(server.startedAtMs / SECOND_MS) }),
      endedAt: Math.floor((server.endedAtMs ?? Date.now()) / SECOND_MS),
      outcome: outcomeOf(server),
      ...(cut === undefined ? {} : { cut }),
      used: {
        cpuSeconds: Math.max(0, server.usage.cpuSeconds),
        memoryPeakBytes: Math.max(0, Math.round(server.usage.memoryPeakBytes)),
        outputBytes: server.output.bytes,
        outputDiscardedBytes: server.output.discardedBytes,
        filesBytes: server.files?.bytes ?? 0,
        bytesOut: 0
      }
    },
    identity
  )
}

function cutOf(server: ServerOutcome): Receipt['cut'] {
  const code = server.reason?.code
  return code === 'lease-expired' || code === 'stopped' || code === 'output-limit' ? code : undefined
}
