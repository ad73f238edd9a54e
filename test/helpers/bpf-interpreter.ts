/**
 * Runs a seccomp filter as the host's kernel would, to see what it answers to any system call. Written apart from the
 * assembler, from the kernel's documentation, so that an error in one shows against the other.
 * @see Documentation/networking/filter.rst
 */
export interface Call {
  /** u32 */
  arch: number
  /** u32 */
  number: number
  /** Up to six of 64 bits; those missing are 0. */
  args?: readonly (number | bigint)[]
}

const INSTRUCTION_BYTES = 8

/** `struct seccomp_data` of 64 bytes. */
function seccompData({ arch, number, args = [] }: Call): Buffer {
  const data = Buffer.alloc(64)
  data.writeUInt32LE(number, 0)
  data.writeUInt32LE(arch, 4)
  for (const [at, value] of args.entries())
    data.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)), 16 + at * 8)
  return data
}

/** The 32-bit answer. @throws Error for whatever the kernel would not take */
export function runFilter(filter: Buffer, call: Call): number {
  const data = seccompData(call)
  let accumulator = 0
  for (let at = 0; at < filter.length; at += INSTRUCTION_BYTES) {
    const code = filter.readUInt16LE(at)
    const operand = filter.readUInt32LE(at + 4)
    const skip = (isTrue: boolean) => {
      at += filter.readUInt8(at + (isTrue ? 2 : 3)) * INSTRUCTION_BYTES
    }
    if (code === 0x20) {
      if (operand % 4 !== 0 || operand > 60) throw new Error(`load of ${operand}`)
      accumulator = data.readUInt32LE(operand)
    } else if (code === 0x15) skip(accumulator === operand)
    else if (code === 0x35) skip(accumulator >= operand)
    else if (code === 0x45) skip((accumulator & operand) !== 0)
    else if (code === 0x06) return operand
    else throw new Error(`unknown instruction ${code.toString(16)}`)
  }
  throw new Error('the filter has no answer')
}
