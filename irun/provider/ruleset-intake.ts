/**
 * The rule set that a run's kernel takes, on its way from one session to the host.
 *
 * The attacker is the consumer: it sends another one, more of it, or less. The host takes it by its digest only. What a
 * broken session has brought is thrown away, what the host has once need not be sent again, whoever had sent it.
 */
import { HostError, RunError, WireError } from '../../src/errors.ts'
import { ReceiveWindow } from '../byte-window.ts'
import type { RunHost } from '../host.ts'
import { STAGING_WINDOW_BYTES } from '../limits.ts'
import type { HostedRunTask } from './hosted-run.ts'

export interface RulesetIntakeInit {
  run: HostedRunTask
  host: RunHost
  /** Told how far it was taken. */
  confirm: (offset: number) => void
  /** Told when the host refuses it, maybe before all of it was sent. */
  fail: (error: unknown) => void
  /** The host has it already. */
  isThere: boolean
}

export class RulesetIntake {
  readonly #with: RulesetIntakeInit
  #window: ReceiveWindow | undefined
  #putting: Promise<unknown> = Promise.resolve()
  #bytes = 0

  constructor(init: RulesetIntakeInit) {
    this.#with = init
  }

  /** @throws ERR_RUN_STATE, ERR_RULESET_DIGEST when it is more than was announced */
  push(offset: number, data: Uint8Array, signal: AbortSignal): void {
    const { run, host, confirm, fail } = this.#with
    const { state, ruleset, serverId } = run.record
    if (state !== 'leased') throw new RunError('ERR_RUN_STATE', `a run that is ${state} takes no rules`)
    if (ruleset === undefined) throw new RunError('ERR_RUN_STATE', 'no rules were agreed on')
    this.#bytes = offset + data.byteLength
    if (this.#bytes > ruleset.sizeBytes)
      throw new HostError('ERR_RULESET_DIGEST', `the rules have more than ${ruleset.sizeBytes} bytes`)
    run.noteProgress()
    if (this.#window === undefined) {
      this.#window = new ReceiveWindow(STAGING_WINDOW_BYTES, confirm)
      this.#putting = host.putRuleset(serverId, this.#window.chunks(signal), signal)
      this.#putting.catch(fail)
    }
    this.#window.push(offset, data)
    if (this.#bytes === ruleset.sizeBytes) this.#window.end(this.#bytes)
  }

  /** Resolves when the host has what was agreed on. @throws ERR_RULESET_DIGEST when it was not sent, or is another one */
  async complete(): Promise<void> {
    const { run, isThere } = this.#with
    const { ruleset } = run.record
    if (ruleset === undefined || (isThere && this.#window === undefined)) return
    if (this.#bytes < ruleset.sizeBytes)
      throw new HostError(
        'ERR_RULESET_DIGEST',
        `of the rules ${this.#bytes} bytes were sent, expected ${ruleset.sizeBytes}`
      )
    await this.#putting
  }

  /** Resolves when the host has let go of what was sent. */
  async abort(): Promise<void> {
    this.#window?.abort(new WireError('ERR_WIRE_CLOSED', 'the consumer went away'))
    await this.#putting.catch(() => undefined)
  }
}
