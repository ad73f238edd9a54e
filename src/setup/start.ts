/** `npm start`: prepare the machine, then do the main job. */
import { runEntry } from './exit-status.ts'
import { mainJob } from './main-job.ts'
import { prepare } from './prepare.ts'

await runEntry(async (signal) => {
  await mainJob(await prepare(signal), signal)
  return 0
})
