/** Null system call and fork: our guest kernel, the host, and Debian's own user-mode-linux where it is installed. */
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { MODE_FILE, packCpio } from '../soda-host/factory/cpio.ts'
import { readArtifacts } from '../soda-host/factory/index.ts'
import { row, type BenchContext, type Row } from './report.ts'

const DEBIAN_UML = '/usr/bin/linux.uml'
const SOURCE = join(import.meta.dirname, 'syscalls.c')
const LINE = /^null_call (\d+) fork (\d+)\s*$/gm

interface Times {
  nullCall: number[]
  fork: number[]
}

function parse(output: string): Times {
  const matches = [...output.matchAll(LINE)]
  if (matches.length === 0) throw new Error(`no figures in: ${output.slice(-500)}`)
  return {
    nullCall: matches.map((match) => Number(match[1])),
    fork: matches.map((match) => Number(match[2]))
  }
}

/** Guest and host are pinned alike: crossing CPUs would be measured instead. */
async function pinned(program: string, args: string[]): Promise<Times> {
  const { stdout } = await execa('taskset', ['-c', '1', program, ...args], {
    stdin: 'ignore',
    timeout: 300_000
  })
  return parse(stdout)
}

/** An initrd whose init is syscalls.c; the program itself is `init` in `directory`. @returns its path */
export async function makeInitrd(directory: string): Promise<string> {
  await execa('gcc', ['-static', '-O2', '-o', join(directory, 'init'), SOURCE])
  const initrd = packCpio([
    { name: 'init', mode: MODE_FILE | 0o755, data: await readFile(join(directory, 'init')) }
  ])
  const initrdPath = join(directory, 'initrd.cpio')
  await writeFile(initrdPath, initrd)
  return initrdPath
}

export async function bench({ artifacts }: BenchContext): Promise<Row[]> {
  const directory = await mkdtemp(join(tmpdir(), 'ishare-bench-'))
  try {
    const initrdPath = await makeInitrd(directory)
    const guest = ['mem=128M', 'con=null', 'con0=null,fd:1', 'quiet', `initrd=${initrdPath}`]
    const { kernel } = await readArtifacts(artifacts)
    const ours = await pinned(kernel.path, guest)
    const host = await pinned(join(directory, 'init'), [])
    const rows = [
      row('null system call, guest against host', 'ns', ours.nullCall, host.nullCall),
      row('fork and wait, guest against host', 'ns', ours.fork, host.fork)
    ]
    if (!existsSync(DEBIAN_UML)) {
      console.error('  not compared with Debian: the package user-mode-linux is not installed')
      return rows
    }
    const debian = await pinned(DEBIAN_UML, guest)
    return [
      ...rows,
      row("null system call, guest against Debian's user-mode-linux", 'ns', ours.nullCall, debian.nullCall),
      row("fork and wait, guest against Debian's user-mode-linux", 'ns', ours.fork, debian.fork)
    ]
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}
