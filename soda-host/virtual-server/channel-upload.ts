import { HostError } from '../../src/errors.ts'
import type { Command, CommandFlow } from './channel-commands.ts'
import { fileError } from './channel-file-errors.ts'
import type { ChannelFlow, ChannelLink } from './channel-link.ts'
import { encodeEntry, type GuestHello } from './channel-messages.ts'
import { Bell, Turns } from './channel-turns.ts'
import { formatError, FrameType, PIECE_BYTES, WINDOW_BYTES } from './frames.ts'
import type { GuestFile } from './types.ts'

interface Transfer {
  command: Command
  sizeBytes: number
  sent: number
  acked: number
  /** From `acked` to `sent`. */
  pieces: { offset: number; data: Uint8Array }[]
  /** 0 or an errno, once the guest has told. */
  result?: number
}

/** Files into the guest, one at a time: a put command, then the content, then the guest's result. */
export class UploadFlow implements ChannelFlow<GuestHello> {
  readonly #commands: CommandFlow
  readonly #turns = new Turns()
  readonly #bell = new Bell()
  #link: ChannelLink | undefined
  #active: Transfer | undefined
  /** Ended or given up before the guest has heard of a newer one: answers may still come. */
  #former: Transfer[] = []
  #error: Error | undefined

  constructor(commands: CommandFlow) {
    this.#commands = commands
  }

  async put(file: GuestFile, signal?: AbortSignal): Promise<void> {
    using _turn = await this.#turns.take(signal)
    const command = this.#commands.issue(FrameType.put, encodeEntry(file))
    const transfer: Transfer = { command, sizeBytes: file.sizeBytes, sent: 0, acked: 0, pieces: [] }
    this.#active = transfer
    this.#forgetBefore(command)
    try {
      await this.#feed(transfer, file.content, signal)
      while (transfer.result === undefined) await this.#change(signal)
    } finally {
      this.#active = undefined
      transfer.pieces = []
      this.#former.push(transfer)
    }
    if (transfer.result !== 0) throw fileError(transfer.result, `cannot write ${JSON.stringify(file.path)}`)
  }

  async #feed(transfer: Transfer, content: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<void> {
    for await (const data of content) {
      if (transfer.sent + data.length > transfer.sizeBytes) throw lengthError(transfer)
      for (let at = 0; at < data.length; at += PIECE_BYTES) {
        const piece = data.subarray(at, at + PIECE_BYTES)
        while (transfer.result === undefined && transfer.sent + piece.length > transfer.acked + WINDOW_BYTES)
          await this.#change(signal)
        if (transfer.result !== undefined) return
        this.#push(transfer, Uint8Array.from(piece))
      }
    }
    if (transfer.sent !== transfer.sizeBytes) throw lengthError(transfer)
  }

  async #change(signal: AbortSignal | undefined): Promise<void> {
    if (this.#error === undefined) await this.#bell.wait(signal)
    this.#check()
  }

  #check(): void {
    if (this.#error !== undefined) throw this.#error
  }

  #push(transfer: Transfer, data: Uint8Array): void {
    const piece = { offset: transfer.sent, data }
    transfer.pieces.push(piece)
    transfer.sent += data.length
    this.#send(transfer, piece)
  }

  #send({ command }: Transfer, { offset, data }: { offset: number; data: Uint8Array }): void {
    if (command.sequence === undefined) return
    this.#link?.send(FrameType.upload, { sequence: command.sequence, position: offset }, data)
  }

  /** Once the guest has done a command, it has nothing more to say of those before. */
  #forgetBefore(command: Command): void {
    const forget = (): void => {
      this.#former = this.#former.filter((known) => (known.command.sequence ?? 0) >= (command.sequence ?? 0))
    }
    command.done.then(forget, () => undefined)
  }

  /** @throws ERR_CHANNEL_FORMAT */
  acknowledge(sequence: number, position: number): void {
    const transfer = this.#transferOf(sequence)
    if (position <= transfer.acked || position > transfer.sent)
      throw formatError(`it has ${position} bytes of a file, before ${transfer.acked}, sent ${transfer.sent}`)
    this.#advance(transfer, position)
  }

  #advance(transfer: Transfer, position: number): void {
    transfer.acked = position
    const kept = transfer.pieces.findIndex(({ offset, data }) => offset + data.length > position)
    transfer.pieces.splice(0, kept < 0 ? transfer.pieces.length : kept)
    this.#bell.ring()
  }

  /** @throws ERR_CHANNEL_FORMAT */
  finish(sequence: number, result: number): void {
    const transfer = this.#transferOf(sequence)
    if (transfer.result !== undefined) throw formatError('a second result for a file')
    if (result === 0 && transfer.sent !== transfer.sizeBytes)
      throw formatError('a file complete before its end')
    transfer.result = result
    this.#bell.ring()
  }

  #transferOf(sequence: number): Transfer {
    const transfer = [this.#active, ...this.#former].find((known) => known?.command.sequence === sequence)
    if (transfer === undefined) throw formatError(`an answer to put ${sequence}`)
    return transfer
  }

  greet(hello: GuestHello, link: ChannelLink): void {
    this.#link = link
    const transfer = this.#active
    if (transfer?.command.sequence === undefined || transfer.result !== undefined) return
    if (transfer.command.sequence <= hello.commandsDone) this.#resume(transfer, hello)
    for (const { offset, data } of transfer.pieces) {
      const position = Math.max(offset, transfer.acked)
      this.#send(transfer, { offset: position, data: data.subarray(position - offset) })
    }
  }

  #resume(transfer: Transfer, { uploadSequence, uploadReceived, uploadResult }: GuestHello): void {
    if (uploadSequence !== transfer.command.sequence) throw formatError('it has forgotten a file')
    if (uploadReceived < transfer.acked || uploadReceived > transfer.sent)
      throw formatError(`it has ${uploadReceived} bytes of a file`)
    this.#advance(transfer, uploadReceived)
    if (uploadResult !== undefined) this.finish(uploadSequence, uploadResult)
  }

  lost(): void {
    this.#link = undefined
  }

  fail(error: Error): void {
    this.#error = error
    this.#bell.ring()
  }
}

function lengthError({ sizeBytes }: Transfer): HostError {
  return new HostError(
    'ERR_FILES_FORMAT',
    `the content of a file is not ${sizeBytes} bytes long, as was said`
  )
}
