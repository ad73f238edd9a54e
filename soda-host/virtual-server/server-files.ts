import { join } from 'node:path'

/** Names inside a server's own directory on the host. All of them are gone, or worthless, once the server is. */
export interface ServerFiles {
  /** Writable layer: a sparse ext4 file, owned by the server's uid. */
  disk: string
  /** Where the guest kernel accepts the control channel. Mode 0600: the daemon only. */
  channelSocket: string
  /** Where it accepts orders about its memory; mode 0600 as well. */
  balloonSocket: string
  /** Last part of the guest's console, written when the guest has ended. */
  consoleLog: string
  /** The console on its way there. */
  consolePipe: string
  /** Pid of the process that keeps the console. */
  consolePid: string
  /** What bubblewrap reports: the guest's first process, later the exit code. One JSON value per line. */
  status: string
  /** The system-call filter that the jail puts on. */
  filter: string
  /** What the guest kernel reads in place of /proc/cpuinfo. */
  cpuinfo: string
  /** Paths of the server's cgroups, written before they are made, so that no crash can leave them unknown. */
  cgroups: string
  /** Its slot on the switch, written before the port is made. */
  port: string
}

export function serverFiles(directory: string): ServerFiles {
  return {
    disk: join(directory, 'disk.ext4'),
    channelSocket: join(directory, 'channel.sock'),
    balloonSocket: join(directory, 'balloon.sock'),
    consoleLog: join(directory, 'console.log'),
    consolePipe: join(directory, 'console.pipe'),
    consolePid: join(directory, 'console.pid'),
    status: join(directory, 'jail.status'),
    filter: join(directory, 'syscalls.bpf'),
    cpuinfo: join(directory, 'cpuinfo'),
    cgroups: join(directory, 'cgroups.json'),
    port: join(directory, 'port')
  }
}
