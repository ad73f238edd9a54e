import { once } from 'node:events'
import { request, type ClientRequest, type IncomingMessage } from 'node:http'
import { buffer } from 'node:stream/consumers'

export interface RawRequest {
  method?: string
  path: string
  headers?: Record<string, string>
  body?: string | Uint8Array
}

export interface RawAnswer {
  status: number
  headers: IncomingMessage['headers']
  body: { code?: string; message?: string; requestId?: string }
}

/** A request by hand, for what a well-behaved client would not send. */
export async function rawRequest(socketPath: string, { body, ...options }: RawRequest): Promise<RawAnswer> {
  const sending = openRequest(socketPath, options)
  // A server that refuses early may close while we send.
  sending.on('error', () => undefined)
  sending.end(body)
  const [answer] = (await once(sending, 'response')) as [IncomingMessage]
  const text = (await buffer(answer)).toString()
  return {
    status: answer.statusCode ?? 0,
    headers: answer.headers,
    body: text === '' ? {} : (JSON.parse(text) as RawAnswer['body'])
  }
}

/** The same, whose body is still to be sent. */
export function openRequest(
  socketPath: string,
  { method = 'GET', path, headers = {} }: Omit<RawRequest, 'body'>
): ClientRequest {
  return request({ socketPath, method, path, headers })
}
