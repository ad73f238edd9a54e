/**
 * From an acceptance to a lease.
 *
 * The attacker is a consumer who sends any token: somebody else's, an old one again, one for another provider,
 * offer or terms, one that asks for too much, or many at once. Order: is it the very acceptance that was
 * granted already (then the same lease again) → signature, issuer = the connection's peer, audience → offer and
 * terms → rules, with what is free counted, one submission at a time → written down → host → lease.
 */
import { SECOND_MS } from '../../src/constants.ts'
import {
  agreedFactory,
  checkAcceptance,
  digestOf,
  offeredImage,
  signDocument,
  verifyDocument,
  type Acceptance,
  type Offer,
  type Verified
} from '../../src/documents/index.ts'
import { DocumentError, hasCode, isIShareError, RulesError, RunError } from '../../src/errors.ts'
import { evaluate, verifyAccessToken, type Grant } from '../../src/rules/index.ts'
import type { HostCapacity, HostProgram } from '../host.ts'
import { HostedRunTask, type HostedRunContext } from './hosted-run.ts'
import { serverIdOf, serverSpecOf, type ProviderRun } from './record.ts'

/** A host that does not answer must not hold up every submission. */
const HOST_ANSWER_MS = 30 * SECOND_MS

export interface Submission {
  acceptance: string
  program: HostProgram
  /** Who sends it: the peer that the connection is authenticated as. */
  peer: string
}

export interface AcceptorContext extends HostedRunContext {
  offers: { current(): readonly string[] }
  /** Every run that is known, and where a new one goes. */
  runs: { all(): Iterable<HostedRunTask>; add(run: HostedRunTask): void }
}

/** What a lease is granted on; verified, and compared with each other. */
interface Agreed {
  acceptance: Verified<Acceptance>
  offer: Verified<Offer>
  factory: string | undefined
}

export class Acceptor {
  readonly #context: AcceptorContext
  /** By digest: the same acceptance twice at once is one submission. */
  readonly #pending = new Map<string, Promise<HostedRunTask>>()
  #last: Promise<unknown> = Promise.resolve()

  constructor(context: AcceptorContext) {
    this.#context = context
  }

  /**
   * Grant a lease, or find the one that was granted for the same acceptance.
   *
   * @throws DocumentError codes, ERR_RULES_REFUSED with reasons, ERR_SLICE_FULL, ERR_IMAGE_UNKNOWN,
   * ERR_RUN_STATE when the lease was given back since
   */
  async submit(submission: Submission): Promise<HostedRunTask> {
    const digest = digestOf(submission.acceptance)
    const known = this.#known(submission, digest)
    if (known !== undefined) return known
    const key = `${submission.peer}/${digest}`
    const pending = this.#pending.get(key) ?? this.#grant(submission)
    this.#pending.set(key, pending)
    try {
      return await pending
    } finally {
      this.#pending.delete(key)
    }
  }

  #known({ peer, program }: Submission, digest: string): HostedRunTask | undefined {
    for (const run of this.#context.runs.all()) {
      const { record } = run
      if (record.peer !== peer || record.acceptanceDigest !== digest) continue
      if (record.lease === undefined) return undefined
      if (JSON.stringify(record.program) !== JSON.stringify(program))
        throw new DocumentError('ERR_DOCUMENT_REPLAYED', `run ${record.runId}: the program is another one`)
      return run
    }
    return undefined
  }

  async #grant(submission: Submission): Promise<HostedRunTask> {
    const { identity } = this.#context
    const acceptance = await verifyDocument('acceptance', submission.acceptance, {
      issuer: submission.peer,
      audience: identity.id
    })
    const offer = await this.#offerOf(acceptance)
    checkAcceptance(acceptance, offer)
    const factory = this.#factoryOf(acceptance, offer)
    // What is free must not change between the question and the answer.
    const turn = this.#last.then(() => this.#decide(submission, { acceptance, offer, factory }))
    this.#last = turn.catch(() => undefined)
    return turn
  }

  async #decide(submission: Submission, agreed: Agreed): Promise<HostedRunTask> {
    const { acceptance, offer } = agreed
    // Not the session's signal: the consumer may vanish now and ask again.
    const signal = AbortSignal.any([this.#context.signal, AbortSignal.timeout(HOST_ANSWER_MS)])
    const grant = await this.#grantOf(acceptance.payload, offer.payload, signal)
    const record = this.#record(submission, agreed, grant)
    this.#context.store.insert(record)
    try {
      await this.#context.host.create(serverSpecOf(record), signal)
      const run = new HostedRunTask(this.#context, record)
      run.advance('lease', { lease: await this.#lease(record, acceptance) })
      this.#context.runs.add(run)
      return run
    } catch (error) {
      await this.#forget(record)
      throw error
    }
  }

  /** Whose kernel boots. Without one that both believe nothing does, unless neither wants any. */
  #factoryOf(acceptance: Verified<Acceptance>, offer: Verified<Offer>): string | undefined {
    let agreed: string | undefined
    try {
      agreed = agreedFactory(offer.payload, acceptance.payload)
    } catch (cause) {
      if (!isIShareError(cause)) throw cause
      throw new RunError('ERR_RUN_REFUSED', 'no factory', [cause.message], { cause })
    }
    if (agreed !== undefined && !this.#context.factories.some(({ id }) => id === agreed))
      throw new RunError('ERR_RUN_REFUSED', 'no such factory', [`factory ${agreed} is not used any more`])
    return agreed
  }

  /** The offer that is accepted: one of ours, and still valid. */
  async #offerOf(acceptance: Verified<Acceptance>): Promise<Verified<Offer>> {
    const token = this.#context.offers
      .current()
      .find((candidate) => digestOf(candidate) === acceptance.payload.offerDigest)
    if (token === undefined)
      throw new RunError('ERR_RUN_REFUSED', 'no such offer', [
        'that offer is not made any more; fetch the new one'
      ])
    return verifyDocument('offer', token, { issuer: this.#context.identity.id })
  }

  async #grantOf({ iss, request }: Acceptance, { rules }: Offer, signal: AbortSignal): Promise<Grant> {
    const { host, identity } = this.#context
    const claims = await verifyAccessToken(rules, request.token, {
      peer: iss,
      provider: identity.id,
      nowMs: Date.now()
    })
    const decision = evaluate(
      rules,
      {
        peer: iss,
        ...(claims === undefined ? {} : { claims }),
        limits: request.limits,
        ...(request.rulesetBytes !== undefined && { rulesetBytes: request.rulesetBytes }),
        runsOfPeer: [...this.#context.runs.all()].filter((run) => run.record.peer === iss && run.isHolding)
          .length,
        free: freeOf(await host.capacity(signal))
      },
      Date.now()
    )
    if (!decision.allowed)
      throw new RulesError(
        'ERR_RULES_REFUSED',
        `${iss} is refused`,
        decision.reasons.map(({ message }) => message)
      )
    return decision
  }

  #record(
    { peer, program }: Submission,
    { acceptance, offer: { payload: offer, token: offerToken }, factory }: Agreed,
    { limits, egress, inboundPorts }: Grant
  ): ProviderRun {
    const { payload, digest, token } = acceptance
    const { runId, nonce, exp, request, kernel } = payload
    const image = offeredImage(offer, request.image)
    if (image === undefined)
      throw new DocumentError('ERR_DOCUMENT_MISMATCH', `image ${request.image} is not offered`)
    const now = Math.floor(Date.now() / SECOND_MS)
    const expiresAtMs = (now + limits.durationSeconds) * SECOND_MS
    return {
      peer,
      runId,
      nonce,
      state: 'accepted',
      serverId: serverIdOf(this.#context.identity.id, peer, runId),
      acceptanceDigest: digest,
      acceptanceExpiresAtMs: exp * SECOND_MS,
      program,
      ...(request.restart !== undefined && { restart: request.restart }),
      ...(request.warning !== undefined && { warning: request.warning }),
      limits,
      egress,
      inboundPorts,
      image: { name: image.name, digest: image.digest },
      ...(factory !== undefined && { kernel: { factory, offer: offerToken, acceptance: token } }),
      ...rulesetOf(payload),
      createdAtMs: now * SECOND_MS,
      expiresAtMs,
      keepUntilMs: expiresAtMs + this.#context.limits.keepMs,
      ...(offer.rules.mayFreeze && { mayFreeze: true }),
      ...(kernel !== undefined && { dumpKeys: kernel.logKeys })
    }
  }

  #lease(record: ProviderRun, acceptance: Verified<Acceptance>): Promise<string> {
    return signDocument(
      'lease',
      {
        v: 1,
        iss: this.#context.identity.id,
        aud: record.peer,
        iat: record.createdAtMs / SECOND_MS,
        exp: record.expiresAtMs / SECOND_MS,
        nonce: record.nonce,
        runId: record.runId,
        acceptanceDigest: acceptance.digest,
        limits: record.limits,
        image: record.image,
        ...(record.kernel !== undefined && { factory: record.kernel.factory }),
        egress: record.egress,
        inboundPorts: record.inboundPorts,
        ...(record.restart !== undefined && { restart: record.restart }),
        ...(record.warning !== undefined && { warning: record.warning }),
        ...(record.ruleset !== undefined && { rulesetBytes: record.ruleset.sizeBytes }),
        keepUntil: Math.floor(record.keepUntilMs / SECOND_MS)
      },
      this.#context.identity
    )
  }

  /** Nothing was promised: the consumer may ask again with the same acceptance. */
  async #forget(record: ProviderRun): Promise<void> {
    this.#context.store.remove(record.peer, record.runId)
    try {
      await this.#context.host.destroy(record.serverId)
    } catch (error) {
      // The sweep at the next start removes it.
      if (!hasCode(error, 'ERR_SERVER_UNKNOWN')) this.#context.onError(error, record.runId)
    }
  }
}

function rulesetOf({ kernel, request }: Acceptance): Pick<ProviderRun, 'ruleset'> {
  if (kernel?.ruleset === undefined || request.rulesetBytes === undefined) return {}
  return { ruleset: { digest: kernel.ruleset, sizeBytes: request.rulesetBytes } }
}

function freeOf({ total, used }: HostCapacity): HostCapacity['total'] {
  return {
    cpu: total.cpu - used.cpu,
    memoryBytes: total.memoryBytes - used.memoryBytes,
    diskBytes: total.diskBytes - used.diskBytes,
    servers: total.servers - used.servers,
    ...(total.outboundBitsPerSecond !== undefined && {
      outboundBitsPerSecond: total.outboundBitsPerSecond - (used.outboundBitsPerSecond ?? 0)
    })
  }
}
