/** Packets as a capture holds them; their checksums are not filled in, as where a card does that. */

const CLIENT = [10, 0, 0, 1]
const SERVER = [10, 0, 0, 2]
const CLIENT_PORT = 40_000
/** The server's, unless another is said. */
const SERVER_PORT = 7
const [UDP, TCP] = [17, 6]
const [FIN, SYN, ACK] = [1, 2, 16]
const SEQUENCE = 1000

function frame(protocol: number, isFromServer: boolean, transport: Buffer): Buffer {
  const header = Buffer.alloc(34)
  header.writeUInt16BE(0x0800, 12)
  header.writeUInt16BE(0x4500, 14)
  header[14] = 0x45
  header.writeUInt16BE(20 + transport.length, 16)
  header[22] = 64
  header[23] = protocol
  const [from, to] = isFromServer ? [SERVER, CLIENT] : [CLIENT, SERVER]
  header.set(from, 26)
  header.set(to, 30)
  return Buffer.concat([header, transport])
}

/** From client to server. */
export function udpFrame(payload: Buffer): Buffer {
  const head = Buffer.alloc(8)
  head.writeUInt16BE(CLIENT_PORT, 0)
  head.writeUInt16BE(SERVER_PORT, 2)
  head.writeUInt16BE(8 + payload.length, 4)
  return frame(UDP, false, Buffer.concat([head, payload]))
}

interface Segment {
  port: number
  clientPort: number
  isFromServer?: boolean
  flags: number
  seq: number
  ack: number
  payload?: Buffer
}

function segment({
  port,
  clientPort,
  isFromServer = false,
  flags,
  seq,
  ack,
  payload = Buffer.alloc(0)
}: Segment): Buffer {
  const head = Buffer.alloc(20)
  const [from, to] = isFromServer ? [port, clientPort] : [clientPort, port]
  head.writeUInt16BE(from, 0)
  head.writeUInt16BE(to, 2)
  head.writeUInt32BE(seq, 4)
  head.writeUInt32BE(ack, 8)
  head[12] = 0x50
  head[13] = flags
  head.writeUInt16BE(0xffff, 14)
  return frame(TCP, isFromServer, Buffer.concat([head, payload]))
}

export interface ConversationOptions {
  port?: number
  clientPort?: number
  isLeftOpen?: boolean
}

/** A connection whose client sends `stream` in pieces of the sizes `cuts`, in an order that `chance` decides. */
export function tcpConversation(
  stream: Buffer,
  cuts: readonly number[],
  chance: Iterator<number>,
  { port = SERVER_PORT, clientPort = CLIENT_PORT, isLeftOpen = false }: ConversationOptions = {}
): Buffer[] {
  const ports = { port, clientPort }
  const [seq, ack] = [SEQUENCE + 1, SEQUENCE + 1]
  const pieces: Buffer[] = []
  for (let at = 0, cut = 0; at < stream.length; cut++) {
    const length = cuts[cut % cuts.length] ?? 1
    pieces.push(
      segment({ ...ports, flags: ACK, seq: seq + at, ack, payload: stream.subarray(at, at + length) })
    )
    at += length
  }
  return [
    segment({ ...ports, flags: SYN, seq: SEQUENCE, ack: 0 }),
    segment({ ...ports, isFromServer: true, flags: SYN | ACK, seq: SEQUENCE, ack }),
    segment({ ...ports, flags: ACK, seq, ack }),
    ...shuffled(pieces, chance),
    ...(isLeftOpen ? [] : [segment({ ...ports, flags: FIN | ACK, seq: seq + stream.length, ack })])
  ]
}

/** What one side says, and whether that is the server. */
export interface Turn {
  isFromServer?: boolean
  text: string | Buffer
}

/** A connection on which the sides take turns. */
export function tcpDialogue(
  turns: readonly Turn[],
  { port = SERVER_PORT, clientPort = CLIENT_PORT, isLeftOpen = false }: ConversationOptions = {}
): Buffer[] {
  const ports = { port, clientPort }
  const sent = { client: SEQUENCE + 1, server: SEQUENCE + 1 }
  const said = turns.map(({ isFromServer = false, text }) => {
    const payload = Buffer.from(text)
    const [seq, ack] = isFromServer ? [sent.server, sent.client] : [sent.client, sent.server]
    sent[isFromServer ? 'server' : 'client'] += payload.length
    return segment({ ...ports, isFromServer, flags: ACK, seq, ack, payload })
  })
  const end = { ...ports, flags: FIN | ACK }
  return [
    segment({ ...ports, flags: SYN, seq: SEQUENCE, ack: 0 }),
    segment({ ...ports, isFromServer: true, flags: SYN | ACK, seq: SEQUENCE, ack: SEQUENCE + 1 }),
    segment({ ...ports, flags: ACK, seq: SEQUENCE + 1, ack: SEQUENCE + 1 }),
    ...said,
    ...(isLeftOpen
      ? []
      : [
          segment({ ...end, seq: sent.client, ack: sent.server }),
          segment({ ...end, isFromServer: true, seq: sent.server, ack: sent.client + 1 })
        ])
  ]
}

function shuffled<T>(things: readonly T[], chance: Iterator<number>): T[] {
  const left = [...things]
  return things.flatMap(() => left.splice((chance.next().value as number) % left.length, 1))
}
