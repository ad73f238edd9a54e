import { HostError } from '../../src/errors.ts'
import type { ChannelFlow, ChannelLink } from './channel-link.ts'
import type { GuestHello } from './channel-messages.ts'
import { formatError, type FrameType } from './frames.ts'

/** Commands that wait for a guest's answer. A guest answers in milliseconds unless it is frozen. */
const PENDING_MAX = 1024

export interface Command {
  readonly type: FrameType
  readonly payload: Uint8Array
  /** Given when it is first sent. */
  sequence?: number
  /** Resolves when the guest has done it. */
  readonly done: Promise<unknown>
}

interface PendingCommand extends Command {
  resolve(): void
  reject(error: Error): void
}

/**
 * Commands, each done once: they are numbered, the guest does them in order and tells the last number, and after a
 * reconnect the rest is sent again. A new daemon goes on after the number that the guest tells.
 */
export class CommandFlow implements ChannelFlow<GuestHello> {
  #link: ChannelLink | undefined
  #pending: PendingCommand[] = []
  /** Last done; undefined until the first hello. */
  #done: number | undefined
  #error: Error | undefined

  /** @throws ERR_SERVER_STATE when the guest has long stopped answering, or the channel's end */
  issue(type: FrameType, payload: Uint8Array = new Uint8Array()): Command {
    if (this.#error !== undefined) throw this.#error
    if (this.#pending.length >= PENDING_MAX)
      throw new HostError('ERR_SERVER_STATE', `the guest has not answered ${PENDING_MAX} commands`)
    const { promise, resolve, reject } = Promise.withResolvers<undefined>()
    // Whoever issued it may have stopped waiting.
    promise.catch(() => undefined)
    const command = { type, payload, done: promise, resolve: () => resolve(undefined), reject }
    this.#pending.push(command)
    this.#send(command)
    return command
  }

  #send(command: PendingCommand): void {
    if (this.#link === undefined) return
    command.sequence ??= (this.#done ?? 0) + this.#pending.indexOf(command) + 1
    this.#link.send(command.type, { sequence: command.sequence }, command.payload)
  }

  /** @throws ERR_CHANNEL_FORMAT */
  acknowledge(sequence: number): void {
    const last = this.#pending.findLast((command) => command.sequence !== undefined)?.sequence ?? 0
    if (this.#done === undefined || sequence <= this.#done || sequence > last)
      throw formatError(`it acknowledges command ${sequence}, done ${this.#done ?? 0}, sent ${last}`)
    this.#settle(sequence)
  }

  #settle(sequence: number): void {
    const count = sequence - (this.#done ?? sequence)
    this.#done = sequence
    for (const command of this.#pending.splice(0, count)) command.resolve()
  }

  greet({ commandsDone }: GuestHello, link: ChannelLink): void {
    if (commandsDone > Number.MAX_SAFE_INTEGER / 2) throw formatError(`${commandsDone} commands`)
    this.#done ??= commandsDone
    if (commandsDone !== this.#done) this.acknowledge(commandsDone)
    this.#link = link
    for (const command of this.#pending) this.#send(command)
  }

  lost(): void {
    this.#link = undefined
  }

  fail(error: Error): void {
    this.#error = error
    for (const command of this.#pending.splice(0)) command.reject(error)
  }
}
