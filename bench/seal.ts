/** Sealing: megabytes per second of one core, in user space, with kernort's own code on libcrypto. */
import { execa } from 'execa'
import { buildHarness } from '../test/helpers/sealer.ts'
import { row, type BenchContext, type Row } from './report.ts'

const MEGABYTES = 256

export async function bench({ samples }: BenchContext): Promise<Row[]> {
  const harness = buildHarness()
  try {
    const figures: number[] = []
    for (let i = 0; i < samples; i++) {
      const { stdout } = await execa('taskset', ['-c', '1', harness.sealer, '--speed', String(MEGABYTES)])
      figures.push(Number(stdout))
    }
    return [row('sealing frames of 64 KiB on one core, user space', 'MB/s', figures)]
  } finally {
    harness.remove()
  }
}
