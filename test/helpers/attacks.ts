/** What a hostile root does inside its own guest, to hurt those beside it. Used by tests and by a bench. */
import type { HostProgram, HostServer, HostServerSpec } from '../../irun/host.ts'
import { MIB } from '../../src/constants.ts'

export interface Attack {
  /** "a guest that …" */
  name: string
  /** For the guest's shell, or for the Python of the image `debian`. */
  script: string
  language?: 'shell' | 'python'
  limits?: Partial<HostServerSpec['limits']>
  /** In force as soon as the program has said this, ... */
  says?: RegExp
  /** ... as soon as the host sees this of it, ... */
  shows?: (server: HostServer) => boolean
  /** ... or when the attacker has ended by it: its program by a signal, or its guest. */
  isItsEnd?: boolean
  /** Unless it says that it was `refused`, nothing in it answers the host any more. */
  isDeaf?: boolean
}

/** Reads of memory that was never written: the guest spends next to nothing on them, its host perhaps much. */
const sparseReader = (stepBytes: number, pages: number): string => `
import mmap, os
for _ in range(6):
    if os.fork() == 0: break
while True:
    area = mmap.mmap(-1, ${stepBytes * pages}, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000, mmap.PROT_READ)
    for page in range(${pages}): area[page * ${stepBytes}]
    print('read', flush=True)
    area.close()
`

/** No signal stops init, but a tracer does. */
const INIT_STOPPER = `
import ctypes
libc = ctypes.CDLL(None)
libc.ptrace.argtypes = [ctypes.c_long] * 4
SEIZE, INTERRUPT = 0x4206, 0x4207
if libc.ptrace(SEIZE, 1, 0, 0) != 0 or libc.ptrace(INTERRUPT, 1, 0, 0) != 0: print('refused', flush=True)
while True: pass
`

const KLOG_FLOOD = `
echo 8 > /proc/sys/kernel/printk; echo on > /proc/sys/kernel/printk_devkmsg
(while :; do echo "to the console, without end"; done > /dev/console) &
i=0; while :; do echo "<0>$i: to the kernel's log, without end" > /dev/kmsg; i=$((i+1)); [ $((i % 500)) = 0 ] && echo "$i lines"; done`

const DOORS = `
mkdir /m
for type in hostfs hppfs devtmpfs configfs debugfs tracefs bpf; do
  mount -t $type -o / none /m 2>/dev/null && ls /m/work/.. /m/etc/shadow /m/root /m/mem 2>/dev/null && echo "got $type"; umount /m 2>/dev/null
done
for numbers in 1:1 1:2 1:4 10:144 10:183 10:229 10:231 10:237 108:0 202:0; do
  mknod /m/c c \${numbers%:*} \${numbers#*:} && dd if=/m/c bs=16 count=1 2>/dev/null | grep -q . && [ $numbers != 10:183 ] && echo "got character device $numbers"; rm /m/c
done
for major in 1 2 3 7 8 9 43 65 147 179 252 253 254 259; do
  mknod /m/b b $major 0 && dd if=/m/b bs=512 count=1 2>/dev/null | grep -q . && echo "got block device $major"; rm /m/b
done
for minor in 32 48 64 80 96 112 128; do
  mknod /m/b b 98 $minor && dd if=/m/b bs=512 count=1 2>/dev/null | grep -q . && echo "got disk $minor"; rm /m/b
done
insmod /m/none.ko 2>/dev/null && echo "got module"
[ -e /proc/kcore ] && dd if=/proc/kcore bs=16 count=1 2>/dev/null | grep -q . && echo "got core"
echo "tried all doors"; while read x; do :; done`

export const ATTACKS: readonly Attack[] = [
  {
    name: 'forks without end',
    script: 'bomb() { while :; do (bomb) & done; }; (bomb) 2>&1 & while read x; do :; done',
    says: /can't fork/
  },
  {
    name: 'lets short-lived processes storm',
    script:
      'i=0; while :; do (:) & (exec true) & wait; i=$((i+1)); [ $((i % 50)) = 0 ] && echo "$i born"; done',
    says: /^50 born/m
  },
  {
    name: 'takes all memory, and again when it was killed for it',
    script: 'while :; do tr "\\0" a < /dev/zero | sort; echo killed; done',
    says: /^killed/m
  },
  {
    name: 'fills memory that nobody can be killed for',
    script:
      'echo -1000 > /proc/self/oom_score_adj; mkdir /m; mount -t tmpfs -o size=100% none /m; while :; do dd if=/dev/zero of=/m/$((i+=1)) bs=1M; done',
    isItsEnd: true
  },
  {
    name: 'has its host keep page tables for nothing',
    language: 'python',
    script: sparseReader(2 * MIB, 16_000),
    isItsEnd: true
  },
  {
    name: 'has its host map every page apart',
    language: 'python',
    script: sparseReader(8192, 10_000),
    says: /^read/m
  },
  {
    name: 'fills its disk',
    script: 'while :; do dd if=/dev/urandom of=/work/big bs=64k; echo full; rm /work/big; done',
    says: /No space left/
  },
  {
    name: 'takes every inode',
    script: 'i=0; while true > f$i; do i=$((i+1)); done; echo "$i files"; while read x; do :; done',
    limits: { diskBytes: 16 * MIB },
    says: /^\d+ files/m
  },
  {
    name: 'computes without end, many times',
    script: 'for i in 1 2 3 4 5 6 7 8; do (while :; do :; done) & done; while read x; do :; done',
    shows: ({ usage }) => usage.cpuSeconds > 1
  },
  {
    name: 'prints without end',
    script: 'yes "to standard error, without end" >&2 & yes "to standard output, without end"',
    limits: { outputBytesMax: MIB },
    shows: ({ output }) => output.discardedBytes > 16 * MIB
  },
  { name: 'floods its console and its kernel log', script: KLOG_FLOOD, says: /^1000 lines/m },
  {
    name: 'reads and writes its disks without end, for the host to keep in memory',
    language: 'python',
    script: `
import os
while True:
    for device in ('/dev/ubda', '/dev/ubdb'):
        with open(device, 'rb') as file:
            while file.read(1 << 20): pass
    with open('/work/big', 'wb') as file:
        for _ in range(40): file.write(os.urandom(1 << 20))
        os.fsync(file.fileno())
    print('all read', flush=True)
`,
    says: /^all read/m
  },
  {
    name: 'never reads its control channel',
    language: 'python',
    script: INIT_STOPPER,
    shows: ({ usage }) => usage.cpuSeconds > 1,
    isDeaf: true
  },
  { name: 'looks for doors among devices and file systems', script: DOORS, says: /^tried all doors/m },
  {
    name: 'panics on purpose',
    script: 'echo 1 > /proc/sys/vm/panic_on_oom; tr "\\0" a < /dev/zero | sort',
    isItsEnd: true
  }
]

/** The attack's program: it says `here`, and begins when it is told a line. */
export function attackerOf({ script, language = 'shell' }: Attack): { program: HostProgram; image: string } {
  if (language === 'shell')
    return { program: { argv: ['sh', '-c', `echo here; read go; ${script}`], env: {} }, image: 'tiny' }
  const text = `print('here', flush=True); input()\n${script}`
  return { program: { argv: ['python3', '-c', text], env: {} }, image: 'debian' }
}
