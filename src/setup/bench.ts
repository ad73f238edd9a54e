/** `npm run bench -- NAME… [--json FILE]`: prepare the machine, then run the benches. */
import { runProgram } from './child.ts'
import { runEntry } from './exit-status.ts'
import { prepare } from './prepare.ts'

/** As `src/cli/ishare` has them, where they are explained: consumers of benches run in the bench's own process. */
const MEMORY_FLAGS = ['--external-memory-accounted-in-global-limit', '--initial-old-space-size=128']

await runEntry(async (signal) => {
  const artifacts = await prepare(signal)
  const flags = [...MEMORY_FLAGS, '--disable-warning=ExperimentalWarning']
  const args = [...flags, 'bench/run.ts', ...process.argv.slice(2)]
  return await runProgram('node', args, { signal, env: { ISHARE_ARTIFACTS: artifacts } })
})
