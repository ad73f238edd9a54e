import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import {
  encodeHeader,
  type Frame,
  FrameDecoder,
  FrameType,
  GUEST_HELLO_BYTES,
  HOST_FRAMES
} from '../../soda-host/virtual-server/frames.ts'
import { temporaryDirectory } from './temporary.ts'

export interface HelloFields {
  magic?: number
  version?: number
  isStarted?: boolean
  isStdinEnded?: boolean
  isUploadDone?: boolean
  bootId?: string
  commandsDone?: number
  stdinReceived?: number
  stdinTaken?: number
  outputProduced?: number
  outputAcked?: number
  uploadSequence?: number
  uploadReceived?: number
  uploadErrno?: number
  limits?: number
}

const COUNTERS = [
  'commandsDone',
  'stdinReceived',
  'stdinTaken',
  'outputProduced',
  'outputAcked',
  'uploadSequence',
  'uploadReceived'
] as const

/** A hello as a guest would send it, true or not. */
export function guestHello(fields: HelloFields = {}): Buffer {
  const bytes = Buffer.alloc(GUEST_HELLO_BYTES)
  const flags = (fields.isStarted ? 1 : 0) | (fields.isStdinEnded ? 2 : 0) | (fields.isUploadDone ? 4 : 0)
  bytes.writeUInt32LE(fields.magic ?? 0x41444f53, 0)
  bytes.writeUInt16LE(fields.version ?? 1, 4)
  bytes.writeUInt16LE(flags, 6)
  bytes.write(fields.bootId ?? '00112233445566778899aabbccddeeff', 8, 'hex')
  COUNTERS.forEach((name, index) => bytes.writeBigUInt64LE(BigInt(fields[name] ?? 0), 24 + 8 * index))
  bytes.writeInt32LE(fields.uploadErrno ?? 0, 80)
  bytes.writeUInt32LE(fields.limits ?? 0, 84)
  return bytes
}

/** The guest's end of one connection, in the hands of a test. */
export class ScriptedConnection {
  readonly socket: Socket
  readonly #decoder = new FrameDecoder(HOST_FRAMES)
  readonly #frames: Frame[] = []
  #arrived = Promise.withResolvers<undefined>()

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('error', () => undefined)
    socket.on('data', (chunk: Buffer) => {
      for (const frame of this.#decoder.push(chunk)) this.#frames.push(frame)
      const { resolve } = this.#arrived
      this.#arrived = Promise.withResolvers<undefined>()
      resolve(undefined)
    })
  }

  send(
    type: FrameType,
    at: { sequence?: number; position?: number } = {},
    payload: Uint8Array = Buffer.alloc(0)
  ): void {
    this.socket.write(encodeHeader(type, payload.length, at.sequence, at.position))
    this.socket.write(payload)
  }

  hello(fields: HelloFields = {}): void {
    this.send(FrameType.hello, {}, guestHello(fields))
  }

  /** The next frame of this type; frames of other types before it are passed over. */
  async next(type: FrameType): Promise<Frame> {
    for (;;) {
      for (let frame = this.#frames.shift(); frame !== undefined; frame = this.#frames.shift())
        if (frame.type === type) return frame
      await this.#arrived.promise
    }
  }

  async ended(): Promise<void> {
    // Not `once` of node:events: a connection that breaks is one that has ended.
    if (!this.socket.closed) await new Promise((resolve) => this.socket.once('close', resolve))
  }
}

/** A guest kernel's socket without a guest: tests play the guest, honest or not. */
export interface ScriptedGuest extends AsyncDisposable {
  socketPath: string
  /** How many connections were made so far. */
  readonly connections: number
  accept(): Promise<ScriptedConnection>
  /** As the kernel does when the guest is gone. */
  die(): Promise<void>
}

export async function scriptedGuest(): Promise<ScriptedGuest> {
  const directory = await temporaryDirectory()
  const socketPath = join(directory.path, 'channel.sock')
  const waiting: ScriptedConnection[] = []
  const all: ScriptedConnection[] = []
  let arrived = Promise.withResolvers<undefined>()
  const server = createServer((socket) => {
    const connection = new ScriptedConnection(socket)
    all.push(connection)
    waiting.push(connection)
    arrived.resolve(undefined)
    arrived = Promise.withResolvers<undefined>()
  })
  server.listen(socketPath)
  await once(server, 'listening')
  const die = async (): Promise<void> => {
    const closed = new Promise((resolve) => server.close(resolve))
    for (const { socket } of all) socket.destroy()
    await closed
  }
  return {
    socketPath,
    get connections() {
      return all.length
    },
    async accept() {
      for (;;) {
        const connection = waiting.shift()
        if (connection !== undefined) return connection
        await arrived.promise
      }
    },
    die,
    async [Symbol.asyncDispose]() {
      await die()
      await directory[Symbol.asyncDispose]()
    }
  }
}
