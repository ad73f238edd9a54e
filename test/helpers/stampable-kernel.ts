import { execFileSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** A program with a place for a stamp, as the system's compiler lays it out; it prints what the place holds. */
const SOURCE = `
#include <stdio.h>
__attribute__((section(SECTION), used)) PLACE unsigned char stamp[BYTES] = { 0 };
int main(void) { return fwrite((const void *)stamp, 1, BYTES, stdout) != BYTES; }
`

export interface StampableOptions {
  /** @default '.kernort_stamp' */
  section?: string
  /** @default 16384 */
  bytes?: number
  /** @default 'const' */
  place?: string
}

/** Compile it in `directory`; returns its path. */
export async function stampableKernel(
  directory: string,
  { section = '.kernort_stamp', bytes = 16_384, place = 'const' }: StampableOptions = {}
): Promise<string> {
  const [source, kernel] = [join(directory, 'base.c'), join(directory, 'base')]
  await writeFile(source, SOURCE)
  const defines = [`-DSECTION="${section}"`, `-DBYTES=${bytes}`, `-DPLACE=${place}`]
  execFileSync('gcc', [...defines, '-s', '-o', kernel, source])
  return kernel
}
