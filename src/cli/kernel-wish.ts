/** Whose kernel a run shall boot, and to which key it seals. */
import { loadOrCreateLogKey } from '../identity/index.ts'
import type { KernelWish } from '../../irun/index.ts'
import type { Config } from '../config/index.ts'
import type { Offer } from '../documents/index.ts'
import { FactoryError } from '../errors.ts'
import { note } from './output.ts'
import { ruleSet } from './rule-set.ts'

/**
 * The factories that the user has named, or else those of the offer, which is said aloud.
 *
 * @throws ERR_MANIFEST_UNTRUSTED when the offer names none, and the user has not said that this will do; ERR_RULESET_*
 */
export async function kernelWish(
  offer: Offer,
  { factories, stateDir }: Config,
  { unwatched = false, quiet = false, rules = [] }: { unwatched?: boolean; quiet?: boolean; rules?: string[] }
): Promise<KernelWish | undefined> {
  if (offer.factories.length === 0) {
    if (unwatched && rules.length === 0) return undefined
    throw new FactoryError(
      'ERR_MANIFEST_UNTRUSTED',
      'the offer names no factory, so that nothing in its kernels watches for you; take it all the same with --unwatched'
    )
  }
  const believed = believedFactories({ factories })
  if (believed.length === 0 && !quiet)
    note(`The kernel is of a factory that the provider names: ${offer.factories.join(', ')}`)
  const { publicKey } = await loadOrCreateLogKey(stateDir)
  const ruleset = rules.length === 0 ? undefined : await ruleSet(rules, quiet)
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
