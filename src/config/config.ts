import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname } from 'node:path'
import { ConfigError } from '../errors.ts'
import type { Endpoint, FactoryPlace } from './readers.ts'
import { configFile, SETTINGS, type Machine, type SettingName } from './settings.ts'

/** Everything that can be set, validated. Sizes in bytes, paths absolute. */
export interface Config {
  stateDir: string
  cacheDir: string
  socketPath: string
  listen: string[]
  bootstrap: string[]
  slice: {
    cpu: number
    memoryBytes: number
    diskBytes: number
    /** 0: as fast as it can. */
    diskBytesPerSecond: number
    outboundBitsPerSecond: number
    servers: number
  }
  page?: Endpoint
  rulesFile?: string
  termsFile?: string
  labels: string[]
  /** None said: a provider's own, where its kernel can be stamped; for a consumer, those that an offer names. */
  factories: FactoryPlace[]
}

export interface ConfigSources {
  /** As commander gives them; keys that are no settings are other flags and ignored. */
  flags?: Readonly<Record<string, unknown>>
  /** @default process.env */
  env?: Readonly<Record<string, string | undefined>>
  /** @default `--config`, ISHARE_CONFIG, /etc/ishare/config.json for root, ~/.config/ishare/config.json */
  file?: string
  /** @default the account's */
  home?: string
  isRoot?: boolean
}

/** One place where values may come from; the first that has one counts. */
interface Source {
  label: (name: SettingName) => string
  value: (name: SettingName) => unknown
  base: string
}

const FILE_BYTES_MAX = 1024 * 1024

/**
 * Flags before the environment before the file before the defaults.
 *
 * @throws ERR_CONFIG_VALUE naming the source, the setting, what was expected and what was there
 * @throws ERR_CONFIG_FORMAT when the file cannot be read, or is not JSON
 */
export async function readConfig(sources: ConfigSources = {}): Promise<Config> {
  const { flags = {}, env = process.env } = sources
  const machine: Machine = {
    env,
    home: sources.home ?? env['HOME'] ?? homedir(),
    isRoot: sources.isRoot ?? process.geteuid?.() === 0
  }
  const all = [flagSource(flags), environmentSource(env), await fileSource(sources, machine)]
  return assemble((name) => resolveSetting(name, all, machine))
}

function resolveSetting<N extends SettingName>(name: N, sources: Source[], machine: Machine): ValueOf<N> {
  const { read, fallback } = SETTINGS[name]
  for (const { label, value, base } of sources) {
    const given = value(name)
    if (given === undefined) continue
    try {
      return read(given, base) as ValueOf<N>
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      throw new ConfigError(error.code, `${label(name)}: ${error.message}`)
    }
  }
  return fallback(machine) as ValueOf<N>
}

type ValueOf<N extends SettingName> = ReturnType<(typeof SETTINGS)[N]['fallback']>

function assemble(get: <N extends SettingName>(name: N) => ValueOf<N>): Config {
  const optional = { page: get('page'), rulesFile: get('rulesFile'), termsFile: get('termsFile') }
  const given = Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined))
  return {
    stateDir: get('stateDir'),
    cacheDir: get('cacheDir'),
    socketPath: get('socketPath'),
    listen: get('listen'),
    bootstrap: get('bootstrap'),
    slice: {
      cpu: get('slice.cpu'),
      memoryBytes: get('slice.memory'),
      diskBytes: get('slice.disk'),
      diskBytesPerSecond: get('slice.diskrate'),
      outboundBitsPerSecond: get('slice.bandwidth'),
      servers: get('slice.servers')
    },
    labels: get('labels'),
    factories: get('factories'),
    ...given
  }
}

function flagSource(flags: Readonly<Record<string, unknown>>): Source {
  const key = (name: SettingName) =>
    name.replaceAll(/\.([a-z])/g, (_, letter: string) => letter.toUpperCase())
  const dashed = (name: SettingName) => key(name).replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
  return { label: (name) => `--${dashed(name)}`, value: (name) => flags[key(name)], base: process.cwd() }
}

/** An empty variable is one that is not set. */
function environmentSource(env: Readonly<Record<string, string | undefined>>): Source {
  const variable = (name: SettingName) =>
    `ISHARE_${name.replaceAll(/[A-Z]/g, '_$&').replaceAll('.', '_').toUpperCase()}`
  return {
    label: (name) => `${variable(name)} in the environment`,
    value: (name) => (env[variable(name)] === '' ? undefined : env[variable(name)]),
    base: process.cwd()
  }
}

async function fileSource(sources: ConfigSources, machine: Machine): Promise<Source> {
  const flag = sources.flags?.['config']
  const named = sources.file ?? (typeof flag === 'string' ? flag : undefined) ?? machine.env['ISHARE_CONFIG']
  const path = named ?? configFile(machine)
  const text = await readText(path, named !== undefined)
  const values = text === undefined ? new Map<string, unknown>() : flatten(parse(path, text))
  for (const name of values.keys())
    if (!Object.hasOwn(SETTINGS, name))
      throw new ConfigError(
        'ERR_CONFIG_VALUE',
        `${name} in ${path}: expected one of ${Object.keys(SETTINGS).join(', ')}`
      )
  return { label: (name) => `${name} in ${path}`, value: (name) => values.get(name), base: dirname(path) }
}

/** A file that nobody named need not be there. */
async function readText(path: string, mustExist: boolean): Promise<string | undefined> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if (!mustExist && (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new ConfigError('ERR_CONFIG_FORMAT', `${path}: cannot be read`, { cause: error })
  }
  if (text.length > FILE_BYTES_MAX) throw new ConfigError('ERR_CONFIG_FORMAT', `${path}: longer than 1 MiB`)
  return text
}

function parse(path: string, text: string): object {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new ConfigError('ERR_CONFIG_FORMAT', `${path}: ${(error as Error).message}`, { cause: error })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new ConfigError('ERR_CONFIG_FORMAT', `${path}: expected an object`)
  return value
}

/** `{ slice: { cpu: 1 } }` → `slice.cpu` */
function flatten(values: object): Map<string, unknown> {
  const flat = new Map<string, unknown>()
  for (const [name, value] of Object.entries(values) as [string, unknown][])
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      for (const [inner, innerValue] of Object.entries(value)) flat.set(`${name}.${inner}`, innerValue)
    else flat.set(name, value)
  return flat
}
