/**
 * All processes of one server, for machines whose cgroups cannot place or freeze them.
 *
 * Theory of operation. A guest forks while we look, so each operation is repeated until a look finds nothing more to
 * do, and given up after a bounded number of looks: a hostile guest kernel may undo what we do for as long as it runs.
 *
 * Stopping a guest: its kernel traces the guest's processes, one of which runs at a time. The kernel's own tasks are
 * stopped by SIGSTOP. A traced process must not get that: the kernel would see it, when it goes on, as a signal that
 * it has no use for, and panic. It is stopped by SIGALRM, which is what the kernel itself interrupts it with at the end
 * of a time slice: a traced process that gets a signal stands still until its tracer looks, and that does not run.
 * @see arch/um/os-Linux/skas/process.c, userspace()
 */
import { execa } from 'execa'
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { HostError } from '../../src/errors.ts'
import { parseCpuList } from '../resources/cpu-balancer.ts'
import { hostPath } from '../resources/host-programs.ts'
import { namespaceProcesses } from './process-usage.ts'

const LOOKS_MAX = 200
const LOOK_MS = 5
/** taskset takes one process at a time. Those that are gone by then are none of our concern. */
const MOVE = 'cpu=$1; shift; for pid; do taskset -a -c -p "$cpu" "$pid" >/dev/null 2>&1; done; :'

interface Task {
  isStopped: boolean
  isTraced: boolean
  cpus: string
}

/** Every thread of a process; none when it is gone. */
function tasksOf(pid: number): Task[] {
  try {
    return readdirSync(`/proc/${pid}/task`).map((tid) => {
      const text = readFileSync(`/proc/${pid}/task/${tid}/status`, 'utf8')
      const field = (name: string): string => new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(text)?.[1] ?? ''
      return {
        // T stopped, t stopped by its tracer, Z and X dead.
        isStopped: /^[TtZX]/.test(field('State')),
        isTraced: field('TracerPid') !== '0',
        cpus: field('Cpus_allowed_list')
      }
    })
  } catch {
    return []
  }
}

/** `first`: the first process of the jail. @throws ERR_CGROUP when tasks are still elsewhere after many looks */
export async function moveTasks(first: number, hostCpu: number): Promise<void> {
  const isAstray = ({ cpus }: Task): boolean => {
    const list = parseCpuList(cpus)
    return list.length !== 1 || list[0] !== hostCpu
  }
  await untilNone(first, `do not stay on CPU ${hostCpu}`, isAstray, async (pids) => {
    await execa('/bin/sh', ['-c', MOVE, 'soda-move', String(hostCpu), ...pids.map(String)], {
      env: { PATH: hostPath() }
    })
  })
}

/** Nothing of the guest runs when this resolves. @throws ERR_CGROUP when tasks still run after many looks */
export async function stopTasks(first: number): Promise<void> {
  // The tracer first: it would let go on what was stopped before it.
  const isRunning = ({ isStopped }: Task): boolean => !isStopped
  try {
    await untilNone(first, 'do not stop', isRunning, async (pids) => {
      for (const pid of pids) signal(pid, tasksOf(pid)[0]?.isTraced === true ? 'SIGALRM' : 'SIGSTOP')
    })
  } catch (error) {
    continueTasks(first)
    throw error
  }
}

/** What its kernel has stopped itself stays so. */
export function continueTasks(first: number): void {
  for (const pid of namespaceProcesses(first)) if (tasksOf(pid)[0]?.isTraced === false) signal(pid, 'SIGCONT')
}

async function untilNone(
  first: number,
  complaint: string,
  isDue: (task: Task) => boolean,
  act: (pids: number[]) => Promise<void>
): Promise<void> {
  for (let look = 0; look < LOOKS_MAX; look++) {
    const due = namespaceProcesses(first).filter((pid) => tasksOf(pid).some(isDue))
    if (due.length === 0) return
    await act(due)
    await delay(LOOK_MS)
  }
  throw new HostError('ERR_CGROUP', `processes of the guest with first process ${first} ${complaint}`)
}

function signal(pid: number, name: 'SIGSTOP' | 'SIGCONT' | 'SIGALRM'): void {
  try {
    process.kill(pid, name)
  } catch {
    // It is gone.
  }
}
