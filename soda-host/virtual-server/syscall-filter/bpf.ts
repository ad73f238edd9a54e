/**
 * A small assembler for classic BPF, as far as seccomp filters need it. Pure.
 *
 * A program is a list of instructions of eight bytes; jumps go forward only, by a number of instructions to skip.
 * @see Documentation/networking/filter.rst and linux/seccomp.h
 */

/** One `struct sock_filter`. */
export interface Instruction {
  /** u16 */
  code: number
  /** Instructions to skip when the test holds, 0..255. */
  ifTrue: number
  /** Instructions to skip when it does not, 0..255. */
  ifFalse: number
  /** u32 */
  operand: number
}

/** linux/bpf_common.h */
export const OPCODE = {
  /** BPF_LD | BPF_W | BPF_ABS: 32 bits of `struct seccomp_data` into the accumulator. */
  load: 0x20,
  /** BPF_JMP | BPF_JEQ | BPF_K */
  jumpIfEqual: 0x15,
  /** BPF_JMP | BPF_JGE | BPF_K, unsigned */
  jumpIfAtLeast: 0x35,
  /** BPF_JMP | BPF_JSET | BPF_K */
  jumpIfAnyBit: 0x45,
  /** BPF_RET | BPF_K */
  return: 0x06
} as const

const INSTRUCTION_BYTES = 8
/** BPF_MAXINSNS */
const INSTRUCTIONS_MAX = 4096
const SKIP_MAX = 0xff

export function load(offset: number): Instruction {
  return { code: OPCODE.load, ifTrue: 0, ifFalse: 0, operand: offset }
}

export function jump(
  test: 'jumpIfEqual' | 'jumpIfAtLeast' | 'jumpIfAnyBit',
  operand: number,
  { ifTrue = 0, ifFalse = 0 }: { ifTrue?: number; ifFalse?: number }
): Instruction {
  return { code: OPCODE[test], ifTrue, ifFalse, operand }
}

export function answer(action: number): Instruction {
  return { code: OPCODE.return, ifTrue: 0, ifFalse: 0, operand: action }
}

/**
 * The bytes that `bwrap --seccomp` reads: an array of `struct sock_filter`, little-endian.
 * @throws TypeError for a program that the host's kernel would not take: a programming mistake
 */
export function assemble(program: readonly Instruction[]): Buffer {
  if (program.length === 0 || program.length > INSTRUCTIONS_MAX)
    throw new TypeError(`a filter has 1..${INSTRUCTIONS_MAX} instructions, not ${program.length}`)
  if (program.at(-1)?.code !== OPCODE.return) throw new TypeError('a filter ends with an answer')
  const bytes = Buffer.alloc(program.length * INSTRUCTION_BYTES)
  for (const [at, { code, ifTrue, ifFalse, operand }] of program.entries()) {
    const skipMax = Math.min(SKIP_MAX, program.length - at - 2)
    if (Math.max(ifTrue, ifFalse) > Math.max(0, skipMax))
      throw new TypeError(`instruction ${at} jumps too far: ${Math.max(ifTrue, ifFalse)} of ${skipMax}`)
    bytes.writeUInt16LE(code, at * INSTRUCTION_BYTES)
    bytes.writeUInt8(ifTrue, at * INSTRUCTION_BYTES + 2)
    bytes.writeUInt8(ifFalse, at * INSTRUCTION_BYTES + 3)
    bytes.writeUInt32LE(operand, at * INSTRUCTION_BYTES + 4)
  }
  return bytes
}
