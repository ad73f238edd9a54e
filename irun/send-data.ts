import { DATA_FRAME_BYTES_MAX } from '../src/constants.ts'
import type { FramedStream } from '../src/wire/index.ts'
import type { SendWindow } from './byte-window.ts'

/** Send `data` on `channel`, cut into frames, no further than the receiver's window allows. */
export async function sendData(
  stream: FramedStream<unknown, unknown>,
  channel: number,
  window: SendWindow,
  data: Uint8Array,
  signal: AbortSignal
): Promise<void> {
  for (let rest = data; rest.byteLength > 0;) {
    const room = await window.room(signal)
    const piece = rest.subarray(0, Math.min(room, DATA_FRAME_BYTES_MAX))
    rest = rest.subarray(piece.byteLength)
    const offset = window.sentBytes
    window.sent(piece.byteLength)
    await stream.send({ kind: 'data', channel, offset, data: piece }, signal)
  }
}
