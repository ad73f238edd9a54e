/** The list of what the factory made, by which daemon and tests find it. */
import { readFile } from 'node:fs/promises'
import { isAbsolute } from 'node:path'
import { z } from 'zod'
import { kernelInputs } from '../../src/documents/index.ts'
import { FactoryError } from '../../src/errors.ts'
import { writeFileAtomically } from './cache.ts'
import { digestSchema } from './result.ts'

const pathSchema = z.string().max(4096).refine(isAbsolute, 'expected an absolute path')
const fileSchema = z.object({ path: pathSchema, digest: digestSchema })

const artifactsSchema = z.object({
  /** The base kernel; `inputs` is what it was built from, without which it cannot be stamped. */
  kernel: fileSchema.extend({ inputs: kernelInputs.exactOptional() }),
  initrd: fileSchema,
  images: z
    .array(
      fileSchema.extend({ name: z.string().regex(/^[a-z0-9][a-z0-9._-]{0,63}$/), sizeBytes: z.int().min(0) })
    )
    .max(10_000)
})

/** Kernel, initrd and images by path and digest (`sha256:<hex>`). */
export type Artifacts = z.infer<typeof artifactsSchema>

/**
 * Read an artifacts file.
 *
 * @throws ERR_ARTIFACTS when it is absent or not such a file
 */
export async function readArtifacts(path: string): Promise<Artifacts> {
  try {
    return artifactsSchema.parse(JSON.parse(await readFile(path, 'utf8')))
  } catch (cause) {
    throw new FactoryError(
      'ERR_ARTIFACTS',
      `${path}: not a list of artifacts; run \`npm start\` to make one`,
      { cause }
    )
  }
}

export async function writeArtifacts(path: string, artifacts: Artifacts): Promise<void> {
  await writeFileAtomically(path, `${JSON.stringify(artifactsSchema.parse(artifacts), null, 2)}\n`)
}
