import type { FramedStream } from '../src/wire/index.ts'

interface Taken {
  type: 'taken'
  channel: number
  offset: number
}

/**
 * Tells the other side how far `channel` was taken. At most one confirmation is under way, and the newest one
 * follows it: a peer that does not read cannot make them pile up. Errors end the session through its reader.
 */
export function confirmer<Out>(
  stream: FramedStream<unknown, Out | Taken>,
  channel: number
): (offset: number) => void {
  let [latest, isSending] = [-1, false]
  async function send(): Promise<void> {
    isSending = true
    try {
      for (let sent = -1; sent < latest;) {
        sent = latest
        await stream.send({ kind: 'message', message: { type: 'taken', channel, offset: sent } })
      }
    } catch {
      // The stream is gone, and its reader knows.
    } finally {
      isSending = false
    }
  }
  return (offset) => {
    latest = offset
    if (!isSending) void send()
  }
}
