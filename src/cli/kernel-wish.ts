/** Whose kernel a run shall boot, and to which key it seals. */
import { loadOrCreateLogKey } from '../identity/index.ts'
import type { KernelWish } from '../../irun/index.ts'
import type { Config } from '../config/index.ts'
import type { Offer } from '../documents/index.ts'
import { FactoryError } from '../errors.ts'
import { note } from './output.ts'
import { namesRules, rulesFor, type RuleWords } from './rule-set.ts'

/**
 * The factories that the user has named, or else those of the offer, which is said aloud.
 *
 * @throws ERR_MANIFEST_UNTRUSTED when the offer names none, and the user has not said that this will do; ERR_RULESET_*,
 * ERR_CONFIG_VALUE
 */
export async function kernelWish(
  offer: Offer,
  { factories, stateDir }: Config,
  { unwatched = false, ...words }: RuleWords & { unwatched?: boolean | undefined }
): Promise<KernelWish | undefined> {
  if (offer.factories.length === 0) {
    if (unwatched && !namesRules(words)) return undefined
    throw new FactoryError(
      'ERR_MANIFEST_UNTRUSTED',
      unwatched
        ? 'the offer names no factory, so that nothing in its kernels takes rules: leave out --rules or --unwatched'
        : 'the offer names no factory, so that nothing in its kernels watches for you; take it all the same with --unwatched'
    )
  }
  const believed = believedFactories({ factories })
  if (believed.length === 0 && words.quiet !== true)
    note(`The kernel is of a factory that the provider names: ${offer.factories.join(', ')}`)
  const { publicKey } = await loadOrCreateLogKey(stateDir)
  const ruleset = await rulesFor(offer, words)
  return {
    factories: believed.length > 0 ? believed : offer.factories,
    logKeys: [publicKey],
    ...(ruleset === undefined ? {} : { ruleset })
  }
}

/** Peer ids of the factories that the user has named. */
export function believedFactories({ factories }: Pick<Config, 'factories'>): string[] {
  return factories.flatMap((factory) => (factory.kind === 'peer' ? [factory.id] : []))
}
