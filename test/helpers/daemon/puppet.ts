import { EventEmitter, once } from 'node:events'
import type { HostClient } from '../../../soda-host/client/index.ts'
import type { HostProgram, HostServerSpec } from '../../../irun/host.ts'
import { serverSpec, tarOf, textOf } from './server-spec.ts'

const FRAME_HEADER_BYTES = 5

export interface PuppetInit {
  image?: string
  limits?: Partial<HostServerSpec['limits']>
  /** Name → content, beside the program. */
  files?: Record<string, Uint8Array>
}

/** A server of a daemon's whose program does as it is told, or as it likes; what it says can be awaited. */
export class Puppet {
  readonly id: string
  ipv4 = ''
  mac = ''
  slot = -1
  readonly #host: HostClient
  readonly #events = new EventEmitter()
  #out = ''
  #err = ''
  #toldBytes = 0
  #isOver = false

  private constructor(id: string, host: HostClient) {
    this.id = id
    this.#host = host
    this.#events.setMaxListeners(0)
  }

  static async start(
    host: HostClient,
    program: string | HostProgram,
    init: PuppetInit = {}
  ): Promise<Puppet> {
    const { files, ...changes } = init
    const { id } = await host.create(serverSpec(program, changes))
    if (files !== undefined) await host.putFiles(id, tarOf(files))
    await host.start(id)
    const puppet = new Puppet(id, host)
    void puppet.#listen().catch(() => puppet.#end())
    return puppet
  }

  /** The address is there as soon as the guest boots. */
  async located(): Promise<void> {
    const port = (await this.#host.ports()).find(({ id }) => id === this.id)
    if (port === undefined) throw new Error('the server has no port')
    this.ipv4 = port.ipv4
    this.mac = port.mac
    this.slot = port.slot
  }

  async say(line: string): Promise<void> {
    this.#toldBytes = await this.#host.stdin(this.id, this.#toldBytes, Buffer.from(`${line}\n`))
  }

  /** Say a line, and wait for an answer that begins with one of these words. @returns that line */
  async tell(line: string, ...answers: string[]): Promise<string> {
    const before = this.#out.length
    await this.say(line)
    return await this.#until(() => {
      const lines = this.#out.slice(before).split('\n').slice(0, -1)
      return lines.find((said) => answers.some((word) => said.startsWith(word)))
    })
  }

  /** Resolves when what it has said, or complained of, holds that. */
  async said(pattern: RegExp): Promise<void> {
    await this.#until(() => (pattern.test(this.#out) || pattern.test(this.#err) ? 'said' : undefined))
  }

  get lines(): string[] {
    return this.#out.split('\n')
  }

  /** @throws Error with what it has said, when it is over before that */
  async #until(answer: () => string | undefined): Promise<string> {
    for (;;) {
      const found = answer()
      if (found !== undefined) return found
      if (this.#isOver)
        throw new Error(
          `server ${this.id} is over; it said ${this.#out.slice(-500)} ${this.#err.slice(-500)}`
        )
      await once(this.#events, 'said')
    }
  }

  #end(): void {
    this.#isOver = true
    this.#events.emit('said')
  }

  async #listen(): Promise<void> {
    let rest = Buffer.alloc(0)
    for await (const chunk of this.#host.output(this.id, { offset: 0, follow: true })) {
      rest = Buffer.concat([rest, chunk])
      const whole = rest.subarray(0, wholeFrames(rest))
      this.#out += textOf(whole, 1)
      this.#err += textOf(whole, 2)
      rest = rest.subarray(whole.length)
      this.#events.emit('said')
    }
    this.#end()
  }
}

function wholeFrames(spool: Buffer): number {
  let at = 0
  while (spool.length - at >= FRAME_HEADER_BYTES) {
    const end = at + FRAME_HEADER_BYTES + spool.readUInt32LE(at)
    if (end > spool.length) break
    at = end
  }
  return at
}
