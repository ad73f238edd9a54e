/** Request bodies: length first, then decode, then check. */
import type { IncomingMessage } from 'node:http'
import type { z } from 'zod'
import { HostError } from '../../src/errors.ts'
import { JSON_BYTES_MAX } from './limits.ts'

/** The body in pieces; a client that sends nothing for `idleMs` is given up. @throws ERR_HOST_REQUEST */
export async function* bodyChunks(request: IncomingMessage, idleMs: number): AsyncGenerator<Uint8Array> {
  const giveUp = (): void => {
    request.destroy(new HostError('ERR_HOST_REQUEST', `the request's body brought nothing for ${idleMs} ms`))
  }
  let timer = setTimeout(giveUp, idleMs)
  try {
    // Not the iterator that destroys the request with it: an early refusal must still be answered.
    for await (const chunk of request.iterator({ destroyOnReturn: false })) {
      clearTimeout(timer)
      yield chunk as Uint8Array
      timer = setTimeout(giveUp, idleMs)
    }
  } finally {
    clearTimeout(timer)
  }
}

/** @throws ERR_HOST_REQUEST when there is more than `bytesMax` */
export async function bodyBytes(
  request: IncomingMessage,
  bytesMax: number,
  idleMs: number
): Promise<Uint8Array> {
  const tooLong = new HostError('ERR_HOST_REQUEST', `the request's body is longer than ${bytesMax} bytes`)
  if (Number(request.headers['content-length'] ?? 0) > bytesMax) throw tooLong
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of bodyChunks(request, idleMs)) {
    length += chunk.length
    if (length > bytesMax) throw tooLong
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** @throws ERR_HOST_REQUEST when it is not JSON, not UTF-8, or not of the schema's shape */
export async function bodyJson(
  request: IncomingMessage,
  schema: z.ZodType,
  idleMs: number
): Promise<unknown> {
  const bytes = await bodyBytes(request, JSON_BYTES_MAX, idleMs)
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (error) {
    throw new HostError('ERR_HOST_REQUEST', "the request's body is not JSON", { cause: error })
  }
  return checked(schema, value, 'body')
}

const ISSUES_TOLD = 3

/** @throws ERR_HOST_REQUEST that names the first things which are wrong */
export function checked<T extends z.ZodType>(schema: T, value: unknown, where: string): z.infer<T> {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const issues = result.error.issues
    .slice(0, ISSUES_TOLD)
    .map(
      ({ path, message }) =>
        `${[where, ...path.map(String)].join('.').slice(0, 100)}: ${message.slice(0, 200)}`
    )
  throw new HostError('ERR_HOST_REQUEST', issues.join('; '))
}
