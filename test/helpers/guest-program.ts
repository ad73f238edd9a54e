import { execa } from 'execa'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { GuestFile } from '../../soda-host/virtual-server/types.ts'
import { inputFile } from './launched.ts'
import { temporaryDirectory } from './temporary.ts'

const ROOT = join(import.meta.dirname, '../..')

/** A C program of one file, compiled for a guest, to be put there: it is then `/work/NAME`. */
export async function guestProgram(name: string, source: string): Promise<GuestFile> {
  await using directory = await temporaryDirectory()
  const program = join(directory.path, name)
  await execa('gcc', ['-std=gnu11', '-static', '-O1', '-Wall', '-o', program, source], { cwd: ROOT })
  return inputFile(name, await readFile(program), 0o755)
}
