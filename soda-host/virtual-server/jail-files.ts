/** Files of the host that a jail is built from, beside those of the guest. */
import { chmod, readFile, writeFile } from 'node:fs/promises'
import type { ServerFiles } from './server-files.ts'
import { SYSCALL_FILTER } from './syscall-filter/compile.ts'

const READ_BY_ALL = 0o644
const OWN = 0o600

/** Read once: it costs a walk over all CPUs. */
let processor: Promise<string> | undefined

/** The first processor of /proc/cpuinfo; a guest has one. */
async function firstProcessor(): Promise<string> {
  const text = await readFile('/proc/cpuinfo', 'utf8')
  return `${text.split('\n\n', 1)[0] ?? ''}\n`
}

/** Before the jail is built. The guest reads the second by its uid; the first is opened with our rights. */
export async function writeJailFiles({ filter, cpuinfo }: ServerFiles): Promise<void> {
  await writeFile(filter, SYSCALL_FILTER, { mode: OWN })
  await writeFile(cpuinfo, await (processor ??= firstProcessor()))
  // Whatever our umask.
  await chmod(cpuinfo, READ_BY_ALL)
}
