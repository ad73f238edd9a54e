import { verifyDocument, type Offer, type Verified, type VerifyOptions } from '../src/documents/index.ts'
import type { OfferSource } from './types.ts'

/** What a source has seen: a verified offer, or why there is none. */
export type Sighting =
  { offer: Verified<Offer>; source: OfferSource } | { error: unknown; source: OfferSource }

/** Takes sightings from the sources; resolves when it is ready for more. */
export type Report = (sighting: Sighting) => Promise<void>

/** Verify what a source has found, and report it or why it is not to be believed. */
export async function reportToken(
  token: string,
  source: OfferSource,
  report: Report,
  options: VerifyOptions = {}
): Promise<void> {
  let offer: Verified<Offer>
  try {
    offer = await verifyDocument('offer', token, options)
  } catch (error) {
    return report({ error, source })
  }
  return report({ offer, source })
}
