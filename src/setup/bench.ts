/** `npm run bench -- NAME… [--json FILE]`: prepare the machine, then run the benches. */
import { runProgram } from './child.ts'
import { runEntry } from './exit-status.ts'
import { prepare } from './prepare.ts'

await runEntry(async (signal) => {
  const artifacts = await prepare(signal)
  const args = ['--disable-warning=ExperimentalWarning', 'bench/run.ts', ...process.argv.slice(2)]
  return await runProgram('node', args, { signal, env: { ISHARE_ARTIFACTS: artifacts } })
})
