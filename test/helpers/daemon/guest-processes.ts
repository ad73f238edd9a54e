import { readdirSync, readFileSync } from 'node:fs'

/** Pids of processes whose command line names a server's directory below `stateDir`: guests, theirs and ours. */
export function guestProcesses(stateDir: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => commandLine(pid).includes(`${stateDir}/servers/`))
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    return ''
  }
}
