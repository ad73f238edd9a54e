/** `npm test [-- MOCHA ARGUMENT…]`: prepare the machine, then run the tests, or only those files that are named. */
import { runProgram } from './child.ts'
import { runEntry } from './exit-status.ts'
import { prepare } from './prepare.ts'

await runEntry(async (signal) => {
  const artifacts = await prepare(signal)
  const args = ['--reporter', 'text-summary', 'mocha', ...process.argv.slice(2)]
  return await runProgram('c8', args, { signal, env: { ISHARE_ARTIFACTS: artifacts } })
})
