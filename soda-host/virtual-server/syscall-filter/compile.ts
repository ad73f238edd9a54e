/**
 * From the allow-list to the filter that the host's kernel runs on every system call of the jail. Pure.
 *
 * Goal: a guest kernel that was taken over reaches as little of the host's kernel as an honest one needs.
 * Shape: wrong architecture → end; numbers of the x32 kind → end; then one test per allowed call, in the order of the
 * list. Calls without conditions come to their answer without a look at any argument, so that the kernel keeps
 * their answers in a bitmap and does not run the filter for them at all.
 * Attacker: code that runs as the guest kernel. It cannot take the filter off or loosen it: it is inherited by every
 * process, survives exec, and no_new_privs stands.
 * @see Documentation/userspace-api/seccomp_filter.rst
 */
import { ALLOWED, NOT_THERE, type AllowedCall, type ArgumentIndex, type Condition } from './allow-list.ts'
import { answer, assemble, jump, load, type Instruction } from './bpf.ts'
import { SYSCALL, type SyscallName } from './numbers.ts'

/** linux/seccomp.h */
export const ACTION = { killProcess: 0x80000000, errno: 0x00050000, allow: 0x7fff0000 } as const

/** `struct seccomp_data`: nr, arch, instruction pointer, six arguments of 64 bits. */
export const SECCOMP_DATA = { nr: 0, arch: 4, arguments: 16 } as const

/** linux/audit.h */
export const AUDIT_ARCH_X86_64 = 0xc000003e
/** asm/unistd.h */
const X32_BIT = 0x40000000
const ENOSYS = 38

const KILL = answer(ACTION.killProcess)
const ALLOW = answer(ACTION.allow)

const lowHalf = (argument: ArgumentIndex): number => SECCOMP_DATA.arguments + argument * 8
const highHalf = (argument: ArgumentIndex): number => lowHalf(argument) + 4

/** Falls through if the condition holds, else goes `otherwise` instructions on from the end of what is returned. */
function test(condition: Condition, otherwise: number): Instruction[] {
  const { argument, type } = condition
  const tests = [load(lowHalf(argument)), ...lowTests(condition, otherwise)]
  if (type === 'int') return tests
  const skip = tests.length + otherwise
  return [load(highHalf(argument)), jump('jumpIfEqual', 0, { ifFalse: skip }), ...tests]
}

function lowTests(condition: Condition, otherwise: number): Instruction[] {
  if ('hasNoneOf' in condition) return [jump('jumpIfAnyBit', condition.hasNoneOf, { ifTrue: otherwise })]
  const values = condition.isOneOf
  return values.map((value, at) => {
    const left = values.length - at - 1
    return jump('jumpIfEqual', value, { ifTrue: left, ifFalse: left === 0 ? otherwise : 0 })
  })
}

/** One way in which a call is allowed; falls through if it is not this one. */
function way(conditions: readonly Condition[]): Instruction[] {
  let body: Instruction[] = [ALLOW]
  for (const condition of conditions.toReversed()) body = [...test(condition, body.length), ...body]
  return body
}

/** Falls through for any other call. */
function forCall(name: SyscallName, body: readonly Instruction[]): Instruction[] {
  return [jump('jumpIfEqual', SYSCALL[name], { ifFalse: body.length }), ...body]
}

function allow(name: SyscallName, ways: readonly AllowedCall[]): Instruction[] {
  if (ways.some(({ when }) => when === undefined)) return forCall(name, [ALLOW])
  return forCall(name, [...ways.flatMap(({ when = [] }) => way(when)), KILL])
}

function program(): Instruction[] {
  const waysOf = Map.groupBy(
    ALLOWED.flatMap(({ calls }) => calls),
    ({ name }) => name
  )
  return [
    load(SECCOMP_DATA.arch),
    jump('jumpIfEqual', AUDIT_ARCH_X86_64, { ifTrue: 1 }),
    KILL,
    load(SECCOMP_DATA.nr),
    jump('jumpIfAtLeast', X32_BIT, { ifFalse: 1 }),
    KILL,
    ...[...waysOf].flatMap(([name, ways]) => allow(name, ways)),
    ...NOT_THERE.flatMap((name) => forCall(name, [answer(ACTION.errno | ENOSYS)])),
    KILL
  ]
}

/** The filter, as `bwrap --seccomp` takes it. */
export const SYSCALL_FILTER: Buffer = assemble(program())
