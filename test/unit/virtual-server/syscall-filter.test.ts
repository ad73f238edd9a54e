import { expect } from 'chai'
import fc from 'fast-check'
import { ALLOWED } from '../../../soda-host/virtual-server/syscall-filter/allow-list.ts'
import { answer, assemble, jump, load } from '../../../soda-host/virtual-server/syscall-filter/bpf.ts'
import { SYSCALL_FILTER } from '../../../soda-host/virtual-server/syscall-filter/compile.ts'
import { SYSCALL } from '../../../soda-host/virtual-server/syscall-filter/numbers.ts'
import { runFilter } from '../../helpers/bpf-interpreter.ts'

/** linux/audit.h, linux/seccomp.h */
const X86_64 = 0xc000003e
const I386 = 0x40000003
const AARCH64 = 0xc00000b7
const KILL = 0x80000000
const ALLOW = 0x7fff0000
const ENOSYS = 0x00050000 | 38

/** Beyond the newest number that any kernel knows. */
const NUMBERS = Array.from({ length: 1024 }, (_, number) => number)

/** Numbers of asm/unistd_64.h, not taken from the table that is tested. */
const WHATEVER_ITS_ARGUMENTS = [
  ...[
    0, 1, 3, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 17, 18, 19, 20, 21, 24, 25, 32, 33, 34, 35, 39, 43, 46, 47
  ],
  ...[
    48, 59, 60, 61, 62, 63, 74, 75, 77, 83, 84, 87, 89, 96, 110, 112, 130, 131, 137, 186, 201, 202, 204, 213
  ],
  ...[
    217, 218, 219, 222, 223, 224, 226, 228, 229, 230, 231, 232, 233, 234, 257, 262, 273, 288, 289, 291, 299,
    307
  ],
  ...[318, 319, 322, 334, 436]
]

const call = (number: number, ...args: (number | bigint)[]): number =>
  runFilter(SYSCALL_FILTER, { arch: X86_64, number, args })

/** Numbers and arguments of asm/unistd_64.h and friends, not taken from the table that is tested. */
const CONDITIONAL: Record<
  string,
  { number: number; allowed: (number | bigint)[][]; forbidden: (number | bigint)[][] }
> = {
  ioctl: {
    number: 16,
    allowed: [[1, 0x5401]],
    // TIOCSTI, TIOCLINUX, TIOCSCTTY, TIOCGWINSZ, FIOASYNC, SIOCGIFCONF, TUNSETIFF, SIOCSIFFLAGS
    forbidden: [0x5412, 0x541c, 0x540e, 0x5413, 0x5452, 0x8912, 0x400454ca, 0x8914, 0].map((request) => [
      0,
      request
    ])
  },
  madvise: {
    number: 28,
    allowed: [4, 8, 9].map((advice) => [0, 4096, advice]),
    // MERGEABLE: a covert channel between guests; HWPOISON, SOFT_OFFLINE
    forbidden: [0, 3, 10, 12, 14, 100, 101].map((advice) => [0, 4096, advice])
  },
  socketpair: {
    number: 53,
    allowed: [[1, 1, 0, 0]],
    forbidden: [
      [2, 1, 0, 0],
      [16, 3, 0, 0],
      [17, 3, 0, 0],
      [30, 1, 0, 0],
      [40, 1, 0, 0]
    ]
  },
  clone: {
    number: 56,
    // fork, the stub of a guest process, a thread
    allowed: [[0x1200011], [0x4111], [0x3d0f00]],
    forbidden: [0x80, 0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000].flatMap(
      (flag) => [[flag | 0x11], [flag | 0x1200011], [flag]]
    )
  },
  fcntl: {
    number: 72,
    allowed: [1, 2, 3, 4, 5, 6, 8, 10, 1030, 1033].map((command) => [3, command, 0]),
    // DUPFD, SETLKW, SETOWN_EX, SETLEASE, NOTIFY, SETPIPE_SZ
    forbidden: [0, 7, 15, 1024, 1026, 1031].map((command) => [3, command, 0])
  },
  ptrace: {
    number: 101,
    allowed: [
      ...[0, 3, 6, 7, 8, 12, 13, 24, 31, 32, 0x4202, 0x4204, 0x4205].map((request) => [request, 7, 0, 0]),
      [0x4200, 7, 0, 1]
    ],
    forbidden: [
      // ATTACH, DETACH, SEIZE, INTERRUPT, SECCOMP_GET_FILTER, POKETEXT, POKEDATA
      ...[16, 17, 0x4206, 0x4207, 0x420c, 4, 5].map((request) => [request, 7, 0, 0]),
      // SUSPEND_SECCOMP, EXITKILL, TRACECLONE
      ...[0x200001, 0x200000, 0x100001, 9, 0].map((options) => [0x4200, 7, 0, options]),
      [0x1_0000_0000n, 7, 0, 0],
      [0x4200, 7, 0, 0x1_0000_0001n]
    ]
  },
  personality: {
    number: 135,
    allowed: [[0x40000]],
    forbidden: [[0], [0xffffffff], [0x400000], [0x440000], [8]]
  },
  prctl: {
    number: 157,
    allowed: [[1, 9], [15], [38, 1]],
    // KEEPCAPS, SECCOMP, CAPBSET, SECUREBITS, PTRACER, SET_MM, CHILD_SUBREAPER, CAP_AMBIENT, SPECULATION, SCHED_CORE
    forbidden: [[8], [22], [24], [28], [0x59616d61], [35], [36], [47], [53], [62], [4]]
  },
  arch_prctl: {
    number: 158,
    allowed: [[0x1002], [0x1003]],
    forbidden: [[0x1001], [0x1012], [0x2001], [0x5001], [0x3001]]
  },
  fallocate: {
    number: 285,
    allowed: [
      [3, 3],
      [3, 0x11]
    ],
    forbidden: [
      [3, 0],
      [3, 1],
      [3, 8],
      [3, 0x20],
      [3, 0x40]
    ]
  },
  prlimit64: {
    number: 302,
    allowed: [
      [0, 3],
      [0, 4]
    ],
    forbidden: [
      [1, 3],
      [2, 4],
      [0, 1],
      [0, 6],
      [0, 7],
      [0, 8],
      [0, 9],
      [0, 13]
    ]
  }
}

describe('system-call filter', () => {
  it('allows these calls, and no other, whatever their arguments', () => {
    const conditional = Object.values(CONDITIONAL).map(({ number }) => number)
    for (const number of NUMBERS) {
      if (conditional.includes(number)) continue
      const expected = WHATEVER_ITS_ARGUMENTS.includes(number) ? ALLOW : number === 435 ? ENOSYS : KILL
      expect(call(number), `call ${number}`).to.equal(expected)
      expect(call(number, -1, -1, -1, -1, -1, -1), `call ${number}`).to.equal(expected)
    }
    expect(new Set([...WHATEVER_ITS_ARGUMENTS, ...conditional, 435])).to.deep.equal(
      new Set<number>(Object.values(SYSCALL))
    )
  })

  for (const [name, { number, allowed, forbidden }] of Object.entries(CONDITIONAL))
    it(`allows ${name} in the forms that a guest kernel uses, and no other`, () => {
      for (const args of allowed) expect(call(number, ...args), `${name}(${args.join()})`).to.equal(ALLOW)
      for (const args of forbidden) expect(call(number, ...args), `${name}(${args.join()})`).to.equal(KILL)
    })

  it('sees an argument as the kernel does: an int without its upper half', () => {
    // ioctl(1, TCGETS) with rubbish above; and TIOCSTI, which rubbish must not hide.
    expect(call(16, 1, 0xdead_0000_5401n)).to.equal(ALLOW)
    expect(call(16, 1, 0xdead_0000_5412n)).to.equal(KILL)
    expect(call(302, 0x1_0000_0000n, 0x7_0000_0003n)).to.equal(ALLOW)
  })

  it('ends whoever calls by another architecture, or by the x32 door of this one', () => {
    for (const number of NUMBERS) {
      for (const arch of [I386, AARCH64, 0, 0xffffffff])
        expect(runFilter(SYSCALL_FILTER, { arch, number }), `arch ${arch}, call ${number}`).to.equal(KILL)
      expect(call(0x40000000 + number), `x32 call ${number}`).to.equal(KILL)
    }
  })

  it('has no answer but these three, for any call at all', () => {
    const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })
    const u32 = fc.nat({ max: 0xffffffff })
    fc.assert(
      fc.property(fc.oneof(u32, fc.nat({ max: 500 })), fc.array(u64, { maxLength: 6 }), (number, args) => {
        expect(call(number, ...args)).to.be.oneOf([KILL, ALLOW, ENOSYS])
        if (number > 500) expect(call(number, ...args)).to.equal(KILL)
      })
    )
  })

  it('never lets a guest make a namespace, whatever else it asks for', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (flags) => {
        const isForbidden = (flags & 0x7e020080n) !== 0n || flags >> 32n !== 0n
        expect(call(56, flags)).to.equal(isForbidden ? KILL : ALLOW)
      })
    )
  })

  it('says why each group of calls is there, and names no call for two reasons', () => {
    expect(new Set(ALLOWED.map(({ reason }) => reason)).size).to.equal(ALLOWED.length)
    const groups = ALLOWED.map(({ calls }) => new Set(calls.map(({ name }) => name)))
    const names = groups.flatMap((group) => [...group])
    expect(new Set(names).size).to.equal(names.length)
  })
})

describe('BPF assembler', () => {
  it('writes instructions as the kernel reads them', () => {
    const bytes = assemble([load(4), jump('jumpIfEqual', 0xc000003e, { ifFalse: 1 }), answer(1), answer(2)])
    expect(bytes.toString('hex')).to.equal(
      '2000000004000000' + '150000013e0000c0' + '0600000001000000' + '0600000002000000'
    )
  })

  it('refuses a program that has no end, no beginning, or jumps out of itself', () => {
    expect(() => assemble([])).to.throw(TypeError)
    expect(() => assemble([load(0)])).to.throw(TypeError)
    expect(() => assemble([jump('jumpIfEqual', 0, { ifTrue: 1 }), answer(0)])).to.throw(TypeError)
    expect(() =>
      assemble([jump('jumpIfAtLeast', 0, { ifFalse: 300 }), ...Array.from({ length: 400 }, () => answer(0))])
    ).to.throw(TypeError)
    expect(() => assemble(Array.from({ length: 4097 }, () => answer(0)))).to.throw(TypeError)
  })
})
