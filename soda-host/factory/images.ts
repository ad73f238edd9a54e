/** The images that come with the project, each made once for each recipe. */
import { FactoryError } from '../../src/errors.ts'
import { inputsSha256 } from './cache.ts'
import { DEBIAN_RECIPE, debianHint, debianTar } from './image-debian.ts'
import type { StoredImage } from './image-store.ts'
import { findImage, IMAGE_FORMAT_TEXT, importTar, recordImage, withImageLock } from './image-store.ts'
import { TINY_RECIPE, tinyTar } from './image-tiny.ts'
import type { FactoryOptions } from './progress.ts'

interface ImageRecipe {
  text: string
  make(options: FactoryOptions): Promise<StoredImage>
}

const RECIPES = {
  tiny: {
    text: TINY_RECIPE,
    make: async (options) => await importTar('tiny', await tinyTar(options), options)
  },
  debian: {
    text: DEBIAN_RECIPE,
    async make(options) {
      const mmdebstrap = await debianTar(options)
      // Its own failure says more than the cut-off archive that follows from it.
      const [made, image] = await Promise.allSettled([
        mmdebstrap.done,
        importTar('debian', mmdebstrap.stdout, options)
      ])
      if (made.status === 'rejected') throw withHint(made.reason)
      if (image.status === 'rejected') throw image.reason
      return image.value
    }
  }
} satisfies Record<string, ImageRecipe>

function withHint(error: unknown): unknown {
  const hint = debianHint()
  if (!(error instanceof FactoryError) || hint === '') return error
  return new FactoryError(error.code, error.message + hint, { cause: error })
}

/** Names of the images that come with the project. */
export type BuiltInImage = keyof typeof RECIPES

export const BUILT_IN_IMAGES = Object.keys(RECIPES) as BuiltInImage[]

/**
 * An image that comes with the project: from the cache, else made from the signed Debian archive.
 *
 * @throws ERR_SOURCE_FETCH, ERR_IMAGE_BUILD, ERR_IMAGE_FORMAT
 */
export async function ensureImage(name: BuiltInImage, options: FactoryOptions): Promise<StoredImage> {
  const recipe: ImageRecipe = RECIPES[name]
  const inputs = inputsSha256({ recipe: recipe.text, format: IMAGE_FORMAT_TEXT })
  const find = (): Promise<StoredImage | undefined> => findImage(options.cacheDir, name, inputs)
  const found = await find()
  if (found !== undefined) return found
  return await withImageLock(options, async () => {
    const made = (await find()) ?? (await recipe.make(options))
    await recordImage(options.cacheDir, inputs, made)
    return made
  })
}
