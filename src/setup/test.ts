/** `npm test [-- MOCHA ARGUMENT…]`: prepare the machine, then run the tests, or only the files below test/ that are named. */
import { runProgram } from './child.ts'
import { runEntry } from './exit-status.ts'
import { prepare } from './prepare.ts'

const ALL_TESTS = 'test/{unit,compliance,integration,adversarial}/**/*.test.ts'

const given = process.argv.slice(2)
const files = given.some((argument) => argument.startsWith('test/')) ? [] : [ALL_TESTS]

await runEntry(async (signal) => {
  const artifacts = await prepare(signal)
  const args = ['--reporter', 'text-summary', 'mocha', ...given, ...files]
  return await runProgram('c8', args, { signal, env: { ISHARE_ARTIFACTS: artifacts } })
})
