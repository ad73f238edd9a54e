/** Stamping: a kernel for one tenant from the base kernel of this repository, written and its digest known. */
import { chmod, mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { localFactory } from '../ifactory/index.ts'
import { keepBaseKernel, kernelStamper, readArtifacts, stampKernel } from '../soda-host/factory/index.ts'
import { createIdentity } from '../src/identity/index.ts'
import { agree } from '../test/helpers/ifactory/workshop.ts'
import { row, type BenchContext, type Row } from './report.ts'

export async function bench({ artifacts, samples }: BenchContext): Promise<Row[]> {
  const directory = await mkdtemp(join(tmpdir(), 'ishare-bench-'))
  try {
    await chmod(directory, 0o700)
    const { kernel } = await readArtifacts(artifacts)
    const stamped: number[] = []
    for (let sample = 0; sample < samples; sample++) {
      const stamp = {
        serverId: Buffer.alloc(16, sample),
        recipients: [Buffer.alloc(32, sample + 1)],
        showsSeverity: true,
        policy: Buffer.alloc(4096, sample)
      }
      const target = join(directory, 'stamped')
      const startMs = performance.now()
      await stampKernel(kernel.path, target, stamp)
      stamped.push(performance.now() - startMs)
      await rm(target)
    }
    await keepBaseKernel(join(directory, 'bench'), kernel)
    const issued = await issueTimes(join(directory, 'bench'), samples)
    const megabytes = ((await stat(kernel.path)).size / 1e6).toFixed(1)
    return [
      row(`stamping a kernel of ${megabytes} MB`, 'ms', stamped),
      row('from the documents of a lease to its kernel and signed manifest', 'ms', issued)
    ]
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

/** Checking what was agreed on, stamping, signing. */
async function issueTimes(directory: string, samples: number): Promise<number[]> {
  const [provider, consumer, factory] = await Promise.all([
    createIdentity(),
    createIdentity(),
    createIdentity()
  ])
  const stamper = await kernelStamper(directory)
  const limits = { requestsPerMinute: samples }
  const local = localFactory({ identity: factory, stamper, limits }, provider.id)
  const times: number[] = []
  for (let sample = 0; sample < samples; sample++) {
    const { request } = await agree({ provider, consumer, factory })
    const startMs = performance.now()
    await using _kernel = await local.issue(request, AbortSignal.timeout(60_000))
    times.push(performance.now() - startMs)
  }
  return times
}
