/**
 * Asks DNS servers, one question at a time on a socket of its own: its port is the kernel's choice, the kernel lets
 * only the server's own packets in, and what does not match number and question is passed over, so that somebody who
 * guesses gains nothing by making us give up. An answer that did not fit is asked for again, by TCP.
 */
import { createSocket } from 'node:dgram'
import { connect } from 'node:net'
import { randomInt } from 'node:crypto'
import type { Ipv4Range } from '../ipv4.ts'
import { type Findings, type Question, readAnswer, STREAM_BYTES_MAX, writeQuestion } from './message.ts'
import { framed, StreamFrames } from './stream-frames.ts'

const PATIENCE_MS = 2000
const FAILED: Findings = { rcode: 'SERVFAIL', records: [], forbidden: [], isCut: false }

/** The first of the servers that answers; SERVFAIL when none does. */
export async function askUpstreams(
  upstreams: readonly string[],
  question: Pick<Question, 'name' | 'type'>,
  forbidden: readonly Ipv4Range[]
): Promise<Findings> {
  for (const upstream of upstreams) {
    const first = await askOne(upstream, question, forbidden)
    // One that has no stream has at least said that much.
    const findings =
      first?.isCut === true ? ((await askByStream(upstream, question, forbidden)) ?? first) : first
    if (findings !== undefined && findings.rcode !== 'SERVFAIL') return findings
  }
  return FAILED
}

function askOne(
  upstream: string,
  question: Pick<Question, 'name' | 'type'>,
  forbidden: readonly Ipv4Range[]
): Promise<Findings | undefined> {
  const id = randomInt(65_536)
  const { promise, resolve } = Promise.withResolvers<Findings | undefined>()
  const socket = createSocket('udp4')
  const timer = setTimeout(() => resolve(undefined), PATIENCE_MS)
  socket.on('error', () => resolve(undefined))
  socket.on('message', (bytes) => {
    const findings = readAnswer(bytes, id, question, forbidden)
    if (findings !== undefined) resolve(findings)
  })
  socket.connect(53, upstream, () => socket.send(writeQuestion(id, question)))
  return promise.finally(() => {
    clearTimeout(timer)
    socket.close()
  })
}

function askByStream(
  upstream: string,
  question: Pick<Question, 'name' | 'type'>,
  forbidden: readonly Ipv4Range[]
): Promise<Findings | undefined> {
  const id = randomInt(65_536)
  const { promise, resolve } = Promise.withResolvers<Findings | undefined>()
  const frames = new StreamFrames(STREAM_BYTES_MAX)
  const socket = connect({ host: upstream, port: 53 }, () =>
    socket.write(framed(writeQuestion(id, question)))
  )
  const timer = setTimeout(() => resolve(undefined), PATIENCE_MS)
  socket.on('error', () => resolve(undefined))
  socket.on('close', () => resolve(undefined))
  socket.on('data', (chunk) => {
    const [message] = frames.take(chunk) ?? []
    if (message !== undefined) resolve(readAnswer(message, id, question, forbidden, STREAM_BYTES_MAX))
  })
  return promise.finally(() => {
    clearTimeout(timer)
    socket.destroy()
  })
}
