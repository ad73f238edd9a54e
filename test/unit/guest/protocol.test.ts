import { expect } from 'chai'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { PATH_BYTES_MAX } from '../../../soda-host/virtual-server/channel-messages.ts'
import {
  ENTRY_BYTES,
  FRAME_HEADER_BYTES,
  FrameType,
  GUEST_HELLO_BYTES,
  HOST_HELLO_BYTES,
  PAYLOAD_BYTES_MAX,
  PIECE_BYTES,
  RUN_BYTES,
  SESSION_WINDOW_BYTES,
  SESSIONS_MAX,
  WINDOW_BYTES
} from '../../../soda-host/virtual-server/frames.ts'

const HEADER = join(import.meta.dirname, '../../../soda-host/virtual-server/guest-init/protocol.h')
const text = readFileSync(HEADER, 'utf8')

/** `putResult` as C has it: `PUT_RESULT`. */
function constantName(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()
}

function product(expression: string): number {
  return expression
    .split('*')
    .map((factor) => Number(factor.replace(/[()\s]/g, '')))
    .reduce((left, right) => left * right, 1)
}

function defined(name: string): number {
  return product(new RegExp(`^#define ${name} (.*)$`, 'm').exec(text)?.[1] ?? '')
}

function sizeOf(struct: string): number {
  return Number(new RegExp(`static_assert\\(sizeof\\(struct ${struct}\\) == (\\d+)`).exec(text)?.[1])
}

describe('the protocol in C', () => {
  it('has the same frame types as the one in TypeScript', () => {
    const inC: Record<string, number> = {}
    for (const [, name = '', value] of text.matchAll(/^\tFRAME_(\w+) = (0x[0-9a-f]+),$/gm))
      inC[name] = Number(value)
    const inTypeScript: Record<string, number> = Object.fromEntries(
      Object.entries(FrameType).map(([name, value]) => [constantName(name), value])
    )
    expect(inC).to.deep.equal(inTypeScript)
  })

  it('has the same limits', () => {
    expect(defined('PAYLOAD_BYTES_MAX')).to.equal(PAYLOAD_BYTES_MAX)
    expect(defined('WINDOW_BYTES')).to.equal(WINDOW_BYTES)
    expect(defined('SESSIONS_MAX')).to.equal(SESSIONS_MAX)
    expect(defined('SESSION_WINDOW_BYTES')).to.equal(SESSION_WINDOW_BYTES)
    expect(defined('PIECE_BYTES')).to.equal(PIECE_BYTES)
    expect(defined('PATH_BYTES_MAX')).to.equal(PATH_BYTES_MAX)
  })

  it('has the same sizes of what is fixed', () => {
    expect(sizeOf('frame_header')).to.equal(FRAME_HEADER_BYTES)
    expect(sizeOf('host_hello')).to.equal(HOST_HELLO_BYTES)
    expect(sizeOf('guest_hello')).to.equal(GUEST_HELLO_BYTES)
    expect(sizeOf('run_request')).to.equal(RUN_BYTES)
    expect(sizeOf('file_entry')).to.equal(ENTRY_BYTES)
  })
})
