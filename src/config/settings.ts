/**
 * The one table of settings: what each is called, how it is read, what it is when nobody says.
 *
 * A setting `slice.memory` is `{ "slice": { "memory": "2G" } }` in the file, ISHARE_SLICE_MEMORY in the
 * environment and `sliceMemory` (`--slice-memory`) among the flags.
 */
import { join } from 'node:path'
import { GIB } from '../constants.ts'
import {
  readAddress,
  readBootstrap,
  readEndpoint,
  readFactory,
  readLabel,
  readPath,
  readSocketPath,
  listOf,
  numberBetween,
  sizeAtLeast,
  readRate,
  type Reader
} from './readers.ts'

/** What defaults depend on. */
export interface Machine {
  home: string
  isRoot: boolean
  /** The XDG variables are looked at. @see XDG Base Directory Specification */
  env: Readonly<Record<string, string | undefined>>
}

interface Setting<T> {
  read: Reader<T>
  fallback: (machine: Machine) => T
}

function setting<T>(read: Reader<T>, fallback: (machine: Machine) => NoInfer<T>): Setting<T> {
  return { read, fallback }
}

export const SETTINGS = {
  /** Identity, runs, leases: what must not be lost. */
  stateDir: setting(readPath, stateDirectory),
  /** Kernel, images and downloads: what can be made again. */
  cacheDir: setting(readPath, (machine) => join(xdg(machine, 'XDG_CACHE_HOME', '.cache'), 'ishare')),
  /** Where the SODA host listens. */
  socketPath: setting(readSocketPath, socketPath),
  /** Multiaddrs to listen on. */
  listen: setting(listOf(readAddress), () => ['/ip4/0.0.0.0/tcp/0']),
  /** Multiaddrs, with peer id, of peers to start from. */
  bootstrap: setting(listOf(readBootstrap), () => []),
  'slice.cpu': setting(numberBetween(0.05, 4096), () => 1),
  'slice.memory': setting(sizeAtLeast('32M'), () => GIB),
  'slice.disk': setting(sizeAtLeast('16M'), () => 4 * GIB),
  /** Bytes a second at the disk; 0: as fast as it can. */
  'slice.diskrate': setting(sizeAtLeast('1M'), () => 0),
  'slice.bandwidth': setting(readRate, () => 0),
  'slice.servers': setting(numberBetween(1, 4096, 'whole'), () => 2),
  /** Where the offer page is served; none unless said. */
  page: setting(readEndpoint, () => undefined),
  rulesFile: setting<string | undefined>(readPath, () => undefined),
  termsFile: setting<string | undefined>(readPath, () => undefined),
  labels: setting(listOf(readLabel), () => []),
  /** Factories whose kernels a provider boots, or a consumer believes. */
  factories: setting(listOf(readFactory), () => [])
}

export type SettingName = keyof typeof SETTINGS

function stateDirectory(machine: Machine): string {
  return machine.isRoot ? '/var/lib/ishare' : join(xdg(machine, 'XDG_STATE_HOME', '.local/state'), 'ishare')
}

function socketPath(machine: Machine): string {
  if (machine.isRoot) return '/run/ishare/soda-host.sock'
  const runtime = machine.env['XDG_RUNTIME_DIR']
  return join(
    runtime?.startsWith('/') === true ? join(runtime, 'ishare') : stateDirectory(machine),
    'soda-host.sock'
  )
}

/** The specification has relative paths in these variables ignored. */
function xdg({ env, home }: Machine, name: string, fallback: string): string {
  const value = env[name]
  return value?.startsWith('/') === true ? value : join(home, fallback)
}

/** Where the file is looked for when nobody says. */
export function configFile(machine: Machine): string {
  if (machine.isRoot) return '/etc/ishare/config.json'
  return join(xdg(machine, 'XDG_CONFIG_HOME', '.config'), 'ishare', 'config.json')
}
