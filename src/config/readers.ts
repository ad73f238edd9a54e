/** How values of a file, the environment or a flag are read. Each throws ERR_CONFIG_VALUE: expected …, got …. */
import { isIP } from 'node:net'
import { resolve } from 'node:path'
import { multiaddr } from '@multiformats/multiaddr'
import { label } from '../documents/fields.ts'
import { ConfigError } from '../errors.ts'
import { peerIdOf } from '../identity/index.ts'
import { parseRate, parseSize } from './quantities.ts'

/** @param base - what a relative path starts from */
export type Reader<T> = (value: unknown, base: string) => T

export interface Endpoint {
  host: string
  port: number
}

/** `sun_path` holds 108 bytes with the final zero. @see unix(7) */
const SOCKET_PATH_BYTES_MAX = 107

function wanted(expected: string, got: unknown): ConfigError {
  const text = got === undefined ? 'nothing' : JSON.stringify(got)
  return new ConfigError('ERR_CONFIG_VALUE', `expected ${expected}, got ${text.slice(0, 100)}`)
}

function textOf(value: unknown, expected: string): string {
  if (typeof value !== 'string' || value === '' || value.includes('\0')) throw wanted(expected, value)
  return value
}

export const readPath: Reader<string> = (value, base) => resolve(base, textOf(value, 'a path'))

export const readSocketPath: Reader<string> = (value, base) => {
  const path = readPath(value, base)
  if (Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX)
    throw wanted(`a path of at most ${SOCKET_PATH_BYTES_MAX} bytes, as Unix sockets have it`, path)
  return path
}

/** A list, or its items in one text with commas between them. */
export function listOf<T>(read: Reader<T>): Reader<T[]> {
  return (value, base) => {
    const items: unknown =
      typeof value === 'string'
        ? value
            .split(',')
            .map((item) => item.trim())
            .filter(Boolean)
        : value
    if (!Array.isArray(items)) throw wanted('a list', value)
    return items.map((item) => read(item, base))
  }
}

export const readAddress: Reader<string> = (value) => {
  const expected = 'a multiaddr such as /ip4/0.0.0.0/tcp/4001'
  const text = textOf(value, expected)
  try {
    return multiaddr(text).toString()
  } catch {
    throw wanted(expected, value)
  }
}

export const readBootstrap: Reader<string> = (value) => {
  const address = readAddress(value, '')
  const id = multiaddr(address)
    .getComponents()
    .findLast(({ name }) => name === 'p2p')?.value
  try {
    peerIdOf(id ?? '')
    return address
  } catch {
    throw wanted('a multiaddr that ends with /p2p/ and a peer id', value)
  }
}

/**
 * A factory, as a provider uses it or a consumer believes it: `own` is the one in the provider's own process, `none` no
 * factory at all.
 */
export type FactoryPlace = { kind: 'own' | 'none' } | { kind: 'peer'; id: string; addresses: string[] }

export const readFactory: Reader<FactoryPlace> = (value) => {
  const text = textOf(value, 'a factory')
  if (text === 'own' || text === 'none') return { kind: text }
  try {
    if (!text.startsWith('/')) return { kind: 'peer', id: peerIdOf(text).toString(), addresses: [] }
    const address = readBootstrap(text, '')
    const id = multiaddr(address)
      .getComponents()
      .findLast(({ name }) => name === 'p2p')?.value
    return { kind: 'peer', id: id ?? '', addresses: [address] }
  } catch {
    throw wanted('own, none, a peer id, or a multiaddr that ends with /p2p/ and a peer id', value)
  }
}

export const readEndpoint: Reader<Endpoint | undefined> = (value) => {
  const expected = 'an address such as 127.0.0.1:8080 or [::1]:8080, or off'
  const text = textOf(value, expected)
  if (text === 'off') return undefined
  const [, v6, other, digits] = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9.-]+)):(\d{1,5})$/i.exec(text) ?? []
  const [host, port] = [v6 ?? other, Number(digits)]
  if (host === undefined || port > 65_535 || (v6 !== undefined && isIP(v6) !== 6))
    throw wanted(expected, value)
  return { host, port }
}

export const readLabel: Reader<string> = (value) => {
  const result = label.safeParse(value)
  if (!result.success) throw wanted('labels of a-z, 0-9, and . _ / - within', value)
  return result.data
}

export function numberBetween(min: number, max: number, whole?: 'whole'): Reader<number> {
  return (value) => {
    const number = typeof value === 'string' && /^\d+(?:\.\d+)?$/.test(value) ? Number(value) : value
    const isNumber = typeof number === 'number' && number >= min && number <= max
    if (!isNumber || (whole !== undefined && !Number.isInteger(number)))
      throw wanted(`a ${whole === undefined ? '' : 'whole '}number from ${min} to ${max}`, value)
    return number
  }
}

export function sizeAtLeast(least: string): Reader<number> {
  return (value) => {
    const bytes = typeof value === 'string' ? parseSize(value) : value
    if (typeof bytes !== 'number' || !Number.isSafeInteger(bytes) || bytes < parseSize(least))
      throw wanted(`a size of at least ${least}, such as 2G`, value)
    return bytes
  }
}

export const readRate: Reader<number> = (value) => {
  const rate = typeof value === 'string' ? parseRate(value) : value
  if (typeof rate !== 'number' || !Number.isSafeInteger(rate) || rate < 0)
    throw wanted('a rate in bits such as 10M', value)
  return rate
}
