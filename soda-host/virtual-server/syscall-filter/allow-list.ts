/**
 * Which system calls the process of a guest kernel may make, and why. Data only; compile.ts makes a filter of it.
 *
 * Found by measuring every guest that the tests start (docs/decisions/0010 says how), and by reading what
 * arch/um/os-Linux and the drivers of our configuration call on paths that no test takes. Calls of guest programs are
 * not in question: the host's kernel hands those to the guest kernel (PTRACE_SYSEMU) before any filter sees them.
 *
 * What is not listed ends the guest at once, and its owner is told so. Where a condition stands, the call is allowed
 * only if all of its conditions hold; any other form of it is forbidden like an unlisted call.
 */
import type { SyscallName } from './numbers.ts'

export type ArgumentIndex = 0 | 1 | 2 | 3 | 4 | 5

/**
 * What an argument must be. `int`: the kernel looks at its low 32 bits only, and so do we. `long`: at all 64, so the
 * upper half must be zero.
 */
export type Condition = { argument: ArgumentIndex; type: 'int' | 'long' } & (
  { isOneOf: readonly number[] } | { hasNoneOf: number }
)

export interface AllowedCall {
  name: SyscallName
  when?: readonly Condition[]
}

export interface CallGroup {
  reason: string
  calls: readonly AllowedCall[]
}

/** linux/sched.h: CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET and NEWTIME. */
const CLONE_NEW_NAMESPACE = 0x7e020080

/** linux/ptrace.h and asm/ptrace-abi.h: what drives a traced child. Neither ATTACH nor SEIZE: only own children. */
const PTRACE_REQUESTS = {
  TRACEME: 0,
  PEEKUSR: 3,
  POKEUSR: 6,
  CONT: 7,
  KILL: 8,
  GETREGS: 12,
  SETREGS: 13,
  SYSCALL: 24,
  SYSEMU: 31,
  SYSEMU_SINGLESTEP: 32,
  SETOPTIONS: 0x4200,
  GETSIGINFO: 0x4202,
  GETREGSET: 0x4204,
  SETREGSET: 0x4205
} as const
const PTRACE_O_TRACESYSGOOD = 1

/** asm-generic/fcntl.h and linux/fcntl.h */
const F = {
  GETFD: 1,
  SETFD: 2,
  GETFL: 3,
  SETFL: 4,
  GETLK: 5,
  SETLK: 6,
  SETOWN: 8,
  SETSIG: 10,
  // The network driver keeps a copy of its socket.
  DUPFD_CLOEXEC: 1030,
  ADD_SEALS: 1033
} as const
/** linux/prctl.h */
const PR = { SET_PDEATHSIG: 1, SET_NAME: 15, SET_NO_NEW_PRIVS: 38 } as const
/** asm/prctl.h */
const ARCH = { SET_FS: 0x1002, GET_FS: 0x1003 } as const
/** asm-generic/mman-common.h: give memory back. */
const MADV = { DONTNEED: 4, FREE: 8, REMOVE: 9 } as const
/** linux/falloc.h */
const FALLOC = { KEEP_SIZE: 1, PUNCH_HOLE: 2, ZERO_RANGE: 0x10 } as const
const RLIMIT_STACK = 3
const RLIMIT_CORE = 4
const AF_UNIX = 1
const ADDR_NO_RANDOMIZE = 0x40000
const TCGETS = 0x5401

const int = (argument: ArgumentIndex, isOneOf: readonly number[]): Condition => ({
  argument,
  type: 'int',
  isOneOf
})
const long = (argument: ArgumentIndex, isOneOf: readonly number[]): Condition => ({
  argument,
  type: 'long',
  isOneOf
})
const calls = (...names: readonly SyscallName[]): AllowedCall[] => names.map((name) => ({ name }))

/** In this order they are looked for: what is called all the time comes first. */
export const ALLOWED: readonly CallGroup[] = [
  {
    reason: 'run guest programs: step, stop and read the processes that the guest kernel traces',
    calls: [
      {
        name: 'ptrace',
        when: [
          long(
            0,
            Object.values(PTRACE_REQUESTS).filter((request) => request !== PTRACE_REQUESTS.SETOPTIONS)
          )
        ]
      },
      {
        name: 'ptrace',
        when: [long(0, [PTRACE_REQUESTS.SETOPTIONS]), long(3, [PTRACE_O_TRACESYSGOOD])]
      },
      ...calls('wait4')
    ]
  },
  {
    reason: 'guest memory: one file, mapped into the guest kernel and piece by piece into its processes',
    calls: [
      ...calls('mmap', 'munmap', 'mprotect', 'mremap', 'brk'),
      { name: 'madvise', when: [int(2, Object.values(MADV))] }
    ]
  },
  {
    reason: 'wait, be woken, keep time: the interrupts of the guest',
    calls: calls(
      ...(['rt_sigprocmask', 'rt_sigreturn', 'rt_sigaction', 'rt_sigsuspend', 'sigaltstack'] as const),
      ...([
        'poll',
        'epoll_wait',
        'epoll_ctl',
        'epoll_create',
        'epoll_create1',
        'signalfd4',
        'pause',
        // How the host's kernel goes on with a wait that a freeze interrupted.
        'restart_syscall'
      ] as const),
      ...(['timer_create', 'timer_settime', 'timer_gettime', 'timer_delete'] as const),
      // By way of the vDSO where the host has a clock for it.
      ...(['clock_gettime', 'clock_getres', 'gettimeofday', 'time', 'nanosleep', 'clock_nanosleep'] as const)
    )
  },
  {
    reason: 'image, writable layer, channel, console and log, by descriptors that are open',
    calls: [
      ...calls('read', 'write', 'pread64', 'pwrite64', 'lseek', 'fsync', 'fdatasync', 'ftruncate'),
      ...calls('close', 'dup', 'dup2', 'close_range'),
      {
        name: 'fallocate',
        // What the guest discards of its disk is given back to the host.
        when: [int(1, [FALLOC.KEEP_SIZE | FALLOC.PUNCH_HOLE, FALLOC.KEEP_SIZE | FALLOC.ZERO_RANGE])]
      },
      { name: 'fcntl', when: [int(1, Object.values(F))] },
      // Asked by libc to see whether its output is a terminal. Every other ioctl is forbidden, TIOCSTI among them.
      { name: 'ioctl', when: [int(1, [TCGETS])] }
    ]
  },
  {
    reason: 'channel and network, on sockets that are handed in; none can be made, bound or connected',
    calls: calls(
      ...(['accept', 'accept4', 'shutdown'] as const),
      ...(['recvmsg', 'recvmmsg', 'sendmsg', 'sendmmsg', 'readv', 'writev'] as const)
    )
  },
  {
    reason: 'a process for each guest process and threads of the drivers, in no other namespace',
    calls: [
      { name: 'clone', when: [{ argument: 0, type: 'long', hasNoneOf: CLONE_NEW_NAMESPACE }] },
      // bubblewrap starts the kernel, the kernel starts itself again without address randomization, then its stubs.
      ...calls('execve', 'execveat', 'memfd_create', 'exit', 'exit_group'),
      // Signals reach as far as the pid namespace: the guest's own.
      ...calls('kill', 'tgkill', 'getpid', 'getppid', 'gettid', 'setsid'),
      // The stub reads its orders from one end.
      { name: 'socketpair', when: [int(0, [AF_UNIX])] },
      { name: 'prctl', when: [int(0, Object.values(PR))] },
      { name: 'personality', when: [int(0, [ADDR_NO_RANDOMIZE])] },
      ...calls('futex', 'set_robust_list', 'rseq', 'set_tid_address', 'sched_getaffinity', 'sched_yield'),
      { name: 'arch_prctl', when: [int(0, Object.values(ARCH))] }
    ]
  },
  {
    reason: 'start: open the few files there are, make the memory file and ~/.uml, look around',
    calls: [
      ...calls('openat', 'access', 'readlink', 'newfstatat', 'fstat', 'statfs', 'getdents64'),
      ...calls('mkdir', 'rmdir', 'unlink', 'uname', 'getrandom'),
      // Of its own process, stack and core file only.
      { name: 'prlimit64', when: [int(0, [0]), int(1, [RLIMIT_STACK, RLIMIT_CORE])] }
    ]
  }
]

/**
 * Calls that libc tries first and does well without: answered with ENOSYS. The flags of clone3 are in memory, where a
 * filter cannot look, so libc has to use clone.
 */
export const NOT_THERE: readonly SyscallName[] = ['clone3']
