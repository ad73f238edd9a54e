import { randomBytes } from 'node:crypto'
import { pack, type Header } from 'tar-stream'
import {
  CHANNEL_FILES,
  CHANNEL_OUTPUT,
  consumerMessage,
  type ConsumerMessage,
  type ProviderMessage,
  type RunStatus
} from '../../../irun/messages.ts'
import { PROTOCOL_RUN, SECOND_MS } from '../../../src/constants.ts'
import {
  signDocument,
  verifyDocument,
  type Acceptance,
  type Lease,
  type PayloadInput,
  type Verified,
  type Offer
} from '../../../src/documents/index.ts'
import type { Identity } from '../../../src/identity/index.ts'
import { framedStream, type FramedStream } from '../../../src/wire/index.ts'
import { sampleLease, sampleOffer, sampleReceipt, SAMPLE_IMAGE, signed } from '../documents.ts'
import { RULES, startNode, type Node } from './market.ts'

type ProviderStream = FramedStream<ConsumerMessage, ProviderMessage>

/** What a provider may do otherwise than an honest one. */
export interface Mischief {
  lease?: Partial<PayloadInput<'lease'>>
  leaseSigner?: Identity
  /** The manifest of the kernel that it would boot. */
  manifest?: (acceptance: Verified<Acceptance>, lease: Verified<Lease>) => Promise<string>
  /** Sent in place of anything, when the acceptance comes. */
  answer?: (stream: ProviderStream, requestId: string) => Promise<void>
  /** Sent as the output; frames of an honest spool if absent. */
  output?: (stream: ProviderStream) => Promise<void>
  outputEnd?: number
  /** The states that are told after the start. */
  states?: RunStatus['state'][]
  neverEnds?: boolean
  outcome?: RunStatus['outcome']
  tar?: Uint8Array
  /** What the state says, whatever the tar has. */
  filesBytes?: number
  receipt?: Partial<PayloadInput<'receipt'>>
  receiptSigner?: Identity
  /** Said when standard input or files come. */
  taken?: { channel: number; offset: number }
  /** Answer nothing but pings from here on. */
  deafTo?: ConsumerMessage['type']
}

export interface HostileProvider extends AsyncDisposable {
  node: Node
  offer: Verified<Offer>
  mischief: Mischief
  /** Messages that the consumer sent. */
  heard: string[]
}

export async function hostileProvider(factories: string[] = []): Promise<HostileProvider> {
  const node = await startNode()
  const offer = await signed(
    'offer',
    sampleOffer(node.identity, { rules: RULES, addresses: node.addresses(), factories }),
    node.identity
  )
  const provider: HostileProvider = {
    node,
    offer,
    mischief: {},
    heard: [],
    [Symbol.asyncDispose]: () => node[Symbol.asyncDispose]()
  }
  const leases = new Map<string, string>()
  await node.libp2p.handle(PROTOCOL_RUN, async (raw) => {
    const stream: ProviderStream = framedStream(raw, { messages: consumerMessage })
    try {
      await misbehave(provider, stream, leases)
      await stream.close()
    } catch (error) {
      stream.abort(error as Error)
    }
  })
  return provider
}

async function misbehave(
  { mischief, node, heard }: HostileProvider,
  stream: ProviderStream,
  leases: Map<string, string>
): Promise<void> {
  const { identity } = node
  const say = (message: ProviderMessage) => stream.send({ kind: 'message', message })
  const tar = mischief.tar ?? new Uint8Array(0)
  let lease = ''
  let accepted: Verified<Acceptance> | undefined
  const status = (state: RunStatus['state']): RunStatus => ({
    runId: leases.get(`${lease} run`) ?? '',
    state,
    stdin: { takenBytes: 0, ended: false },
    ...(state === 'exited'
      ? {
          outcome: mischief.outcome ?? { kind: 'status', status: 0 },
          ...(mischief.filesBytes === undefined && tar.length === 0
            ? {}
            : { filesBytes: mischief.filesBytes ?? tar.length })
        }
      : {})
  })
  for await (const frame of stream) {
    if (frame.kind === 'data') {
      if (mischief.taken !== undefined) await say({ type: 'taken', ...mischief.taken })
      continue
    }
    const { message } = frame
    heard.push(message.type)
    if (message.type === mischief.deafTo) continue
    switch (message.type) {
      case 'submit': {
        if (mischief.answer !== undefined) {
          await mischief.answer(stream, message.requestId)
          break
        }
        const acceptance = await verifyDocument('acceptance', message.acceptance)
        accepted = acceptance
        const exp = Math.floor(Date.now() / SECOND_MS) + acceptance.payload.request.limits.durationSeconds
        const payload = sampleLease(acceptance, {
          exp,
          image: { name: SAMPLE_IMAGE.name, digest: SAMPLE_IMAGE.digest },
          ...mischief.lease
        })
        lease = await signDocument('lease', payload, mischief.leaseSigner ?? identity)
        leases.set(`${lease} run`, acceptance.payload.runId)
        await say({ type: 'leased', requestId: message.requestId, lease, status: status('leased') })
        break
      }
      case 'stagingEnd':
        await say({ type: 'state', status: status('staged') })
        if (mischief.manifest !== undefined && accepted !== undefined) {
          const token = await mischief.manifest(accepted, await verifyDocument('lease', lease))
          await say({ type: 'manifest', token })
        }
        break
      case 'start': {
        for (const state of mischief.states ?? ['booting', 'running'])
          await say({ type: 'state', status: status(state) })
        if (mischief.output !== undefined) await mischief.output(stream)
        if (mischief.neverEnds === true) break
        await say({ type: 'outputEnd', offset: mischief.outputEnd ?? 0 })
        await say({ type: 'state', status: status('exited') })
        break
      }
      case 'getFiles': {
        for (let at = message.offset; at < tar.length; at += 100_000)
          await stream.send({
            kind: 'data',
            channel: CHANNEL_FILES,
            offset: at,
            data: tar.subarray(at, at + 100_000)
          })
        await say({ type: 'filesEnd', bytes: tar.length })
        break
      }
      case 'getReceipt': {
        const signer = mischief.receiptSigner ?? identity
        const about = sampleReceipt(await verifyDocument('lease', lease))
        const payload = { ...about, used: { ...about.used, filesBytes: tar.length }, ...mischief.receipt }
        await say({ type: 'receipt', token: await signDocument('receipt', payload, signer) })
        break
      }
      case 'collected':
        await say({ type: 'settled' })
        break
      case 'attach':
      case 'stop':
      case 'status':
      case 'list':
      case 'stdinEnd':
      case 'signal':
      case 'resize':
      case 'cancel':
      case 'taken':
        break
    }
  }
}

/** Send bytes as output, from offset `start` on. */
export async function sendOutput(stream: ProviderStream, bytes: Uint8Array, start = 0): Promise<void> {
  for (let at = 0; at < bytes.length; at += 100_000)
    await stream.send({
      kind: 'data',
      channel: CHANNEL_OUTPUT,
      offset: start + at,
      data: bytes.subarray(at, at + 100_000)
    })
}

/** A spool frame of standard output. */
export function outputFrame(data: Uint8Array, streamNumber = 1): Buffer {
  const header = Buffer.alloc(5)
  header.writeUInt32LE(data.length, 0)
  header.writeUInt8(streamNumber, 4)
  return Buffer.concat([header, data])
}

/** A tar of exactly these entries, whatever they are. */
export async function evilTar(
  entries: ({ content?: string | Uint8Array } & Partial<Header> & Pick<Header, 'name'>)[]
): Promise<Buffer> {
  const tar = pack()
  for (const { content, ...header } of entries) {
    if (content === undefined) tar.entry(header).end(null)
    else tar.entry(header, content)
  }
  tar.finalize()
  const chunks: Uint8Array[] = []
  for await (const chunk of tar) chunks.push(chunk as Uint8Array)
  return Buffer.concat(chunks)
}

/** Not a tar at all. */
export const noTar = (): Buffer => randomBytes(4096)
