import { expect } from 'chai'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { CgroupV2 } from '../../../soda-host/resources/cgroup-v2.ts'
import { hostKnobs } from '../../../soda-host/resources/limits.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

const LIMITS = { memoryBytes: 2 ** 26, diskBytes: 1, processesMax: 10, outputBytesMax: 1 }
const CPUS = [0.05, 0.055, 0.11, 0.17, 0.5, 1]

/** Files of the kernel's, as plain ones: what is written to them is looked at. */
async function group(path: string, files: Record<string, string> = {}): Promise<void> {
  await mkdir(path, { recursive: true })
  for (const [name, content] of Object.entries(files)) await writeFile(join(path, name), content)
}

/** `cpu.weight` of servers with these shares, beside the groups named, in hundredths of what one CPU weighs there. */
async function weights(beside: string[]): Promise<{ servers: number[]; ours: number }> {
  await using directory = await temporaryDirectory()
  const own = join(directory.path, 'unit')
  await group(own, { 'cgroup.subtree_control': 'cpu memory pids', 'cgroup.controllers': 'cpu memory pids' })
  for (const name of ['soda-host', ...beside]) await group(join(own, name), { 'cpu.weight': '100' })
  const cgroups = await CgroupV2.open(own)
  const servers = []
  for (const [index, cpu] of CPUS.entries()) {
    const id = `weights-${index}`
    const [path = ''] = cgroups.pathsOf(id)
    await group(path, { 'cpu.weight': '' })
    await cgroups.create(id, hostKnobs({ ...LIMITS, cpu }))
    servers.push(Number(await readFile(join(path, 'cpu.weight'), 'utf8')))
  }
  return { servers, ours: Number(await readFile(join(own, 'soda-host', 'cpu.weight'), 'utf8')) }
}

describe('CPU weights of cgroup v2', () => {
  it('keep the proportions of small shares where only our servers are', async () => {
    const { servers, ours } = await weights([])
    const ofOneCpu = servers.at(-1) ?? 0
    for (const [index, cpu] of CPUS.entries())
      expect(servers[index], `${cpu} CPU`).to.be.closeTo(cpu * ofOneCpu, 0.51)
    // A server that has the whole machine has all that the kernel takes, and we weigh as much as one CPU.
    expect(ofOneCpu).to.equal(Math.max(100, Math.round(10_000 / availableParallelism())))
    expect(ours).to.equal(ofOneCpu)
  })

  it('take no more than the default for a CPU where there are others', async () => {
    const { servers, ours } = await weights(['somebody.service'])
    expect(servers).to.deep.equal([5, 6, 11, 17, 50, 100])
    expect(ours).to.equal(100)
  })
})
