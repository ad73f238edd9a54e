import { randomBytes } from 'node:crypto'
import { GIB, MIB } from '../../src/constants.ts'
import {
  digestOf,
  logServerId,
  signDocument,
  verifyDocument,
  type DocumentKind,
  type Limits,
  type Payload,
  type PayloadInput,
  type Verified
} from '../../src/documents/index.ts'
import { createLogKey, type Identity } from '../../src/identity/index.ts'

/** Real payloads, valid now; a test changes what it is about. */

const TERMS = 'Science only. No mining.'

export function sampleLimits(changes: Partial<Limits> = {}): Limits {
  return {
    cpu: 0.5,
    memoryBytes: 128 * MIB,
    diskBytes: 256 * MIB,
    processesMax: 64,
    outboundBitsPerSecond: 0,
    outputBytesMax: 16 * MIB,
    durationSeconds: 600,
    ...changes
  }
}

export function nowSeconds(): number {
  return Math.floor(Date.now() / 1000)
}

export const SAMPLE_IMAGE = { name: 'tiny', digest: digestOf('an image'), sizeBytes: 900_000 }

export function sampleOffer(
  provider: Identity,
  changes: Partial<PayloadInput<'offer'>> = {}
): PayloadInput<'offer'> {
  const now = nowSeconds()
  return {
    v: 1,
    iss: provider.id,
    iat: now,
    exp: now + 3600,
    seq: Date.now(),
    slice: {
      architecture: 'x86_64',
      cpu: 2,
      memoryBytes: 2 * GIB,
      diskBytes: 8 * GIB,
      outboundBitsPerSecond: 0,
      count: 2
    },
    images: [SAMPLE_IMAGE],
    labels: ['physics', 'eu/de'],
    rules: {
      who: { kind: 'anyone' },
      perRun: sampleLimits({
        cpu: 1,
        memoryBytes: GIB,
        diskBytes: GIB,
        processesMax: 256,
        durationSeconds: 7200
      }),
      egress: { kind: 'none' },
      concurrentRunsPerPeer: 2,
      mayFreeze: false
    },
    terms: { text: TERMS, digest: digestOf(TERMS) },
    factories: [],
    addresses: ['/ip4/127.0.0.1/tcp/4001'],
    ...changes
  }
}

export function sampleAcceptance(
  consumer: Identity,
  offer: Verified<Payload<'offer'>>,
  changes: Partial<PayloadInput<'acceptance'>> = {}
): PayloadInput<'acceptance'> {
  const now = nowSeconds()
  return {
    v: 1,
    iss: consumer.id,
    aud: offer.payload.iss,
    iat: now,
    exp: now + 300,
    nonce: randomBytes(16).toString('base64url'),
    runId: '0123456789abcdefghjkmnpqrs',
    offerDigest: offer.digest,
    termsDigest: offer.payload.terms.digest,
    request: { limits: sampleLimits(), image: 'tiny' },
    ...changes
  }
}

export function sampleLease(
  acceptance: Verified<Payload<'acceptance'>>,
  changes: Partial<PayloadInput<'lease'>> = {}
): PayloadInput<'lease'> {
  const { iss, aud, nonce, runId, request } = acceptance.payload
  const now = nowSeconds()
  const exp = now + request.limits.durationSeconds + 60
  return {
    v: 1,
    iss: aud,
    aud: iss,
    iat: now,
    exp,
    nonce,
    runId,
    acceptanceDigest: acceptance.digest,
    limits: request.limits,
    image: { name: SAMPLE_IMAGE.name, digest: SAMPLE_IMAGE.digest },
    keepUntil: exp + 3600,
    ...changes
  }
}

/** A wish for a kernel of one of these factories. */
export function sampleKernelWish(
  ...factories: Identity[]
): NonNullable<PayloadInput<'acceptance'>['kernel']> {
  return {
    factories: factories.map(({ id }) => id),
    logKeys: [Buffer.from(createLogKey().publicKey).toString('base64url')],
    showsSeverity: true
  }
}

export const SAMPLE_INPUTS: PayloadInput<'kernel-manifest'>['base']['inputs'] = {
  source: { package: 'linux-source-7.99', version: '7.99.1-1', digest: digestOf('a source') },
  config: digestOf('a config'),
  patches: digestOf('patches'),
  kernort: digestOf('kernort'),
  settings: digestOf('settings'),
  toolchain: {
    compiler: 'a compiler',
    linker: 'a linker',
    assembler: 'an assembler',
    libc: digestOf('a libc')
  }
}

/** As the factory of the lease would sign it. */
export function sampleManifest(
  acceptance: Verified<Payload<'acceptance'>>,
  lease: Verified<Payload<'lease'>>,
  changes: Partial<PayloadInput<'kernel-manifest'>> = {}
): PayloadInput<'kernel-manifest'> {
  const { kernel } = acceptance.payload
  if (kernel === undefined || lease.payload.factory === undefined)
    throw new TypeError('no kernel was asked for')
  const { factories: _, ...stamp } = kernel
  return {
    v: 1,
    iss: lease.payload.factory,
    iat: nowSeconds(),
    exp: lease.payload.exp,
    nonce: randomBytes(16).toString('base64url'),
    leaseDigest: lease.digest,
    kernel: { digest: digestOf('a stamped kernel'), sizeBytes: 8_000_000 },
    base: { digest: digestOf('a base kernel'), inputs: SAMPLE_INPUTS },
    stamp: { serverId: logServerId(lease.payload), ...stamp },
    ...changes
  }
}

export function sampleReceipt(
  lease: Verified<Payload<'lease'>>,
  changes: Partial<PayloadInput<'receipt'>> = {}
): PayloadInput<'receipt'> {
  const { iss, aud, iat, runId } = lease.payload
  return {
    v: 1,
    iss,
    aud,
    iat: iat + 10,
    exp: iat + 86_400,
    runId,
    leaseDigest: lease.digest,
    startedAt: iat + 1,
    endedAt: iat + 9,
    outcome: { kind: 'status', status: 0 },
    used: {
      cpuSeconds: 1.5,
      memoryPeakBytes: 40 * MIB,
      outputBytes: 12,
      outputDiscardedBytes: 0,
      filesBytes: 0,
      bytesOut: 0
    },
    ...changes
  }
}

/** Sign and read back. */
export async function signed<K extends DocumentKind>(
  kind: K,
  payload: PayloadInput<K>,
  identity: Identity
): Promise<Verified<Payload<K>>> {
  return verifyDocument(kind, await signDocument(kind, payload, identity))
}
