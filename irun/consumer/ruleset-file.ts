/** The rules that a run's kernel takes, kept in the run's folder until its provider has them. */
import { createReadStream } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DATA_FRAME_BYTES_MAX } from '../../src/constants.ts'
import { RunError } from '../../src/errors.ts'

const NAME = 'ruleset'

export async function keepRuleset(directory: string, bytes: Uint8Array): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  await writeFile(join(directory, NAME), bytes, { mode: 0o600, flush: true })
}

/** @throws ERR_RUN_FILES when they are gone */
export async function* keptRuleset(directory: string): AsyncGenerator<Uint8Array> {
  const path = join(directory, NAME)
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: DATA_FRAME_BYTES_MAX }))
      yield chunk as Uint8Array
  } catch (cause) {
    throw new RunError('ERR_RUN_FILES', `the rules of the run cannot be read: ${path}`, [], { cause })
  }
}

export async function forgetRuleset(directory: string): Promise<void> {
  await rm(join(directory, NAME), { force: true })
}
