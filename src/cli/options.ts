/** Flags that several commands share. What they mean is settled in src/config. */
import { InvalidArgumentError, Option, type Command } from 'commander'
import { formatSize, parseDuration, parseSize } from '../config/index.ts'
import { ConfigError } from '../errors.ts'
import type { OfferQuery } from '../../idiscover/index.ts'

/** Turn our parsers' typed errors into commander's, so that they name the flag. */
function parsedBy<T>(parse: (text: string) => T): (text: string) => T {
  return (text) => {
    try {
      return parse(text)
    } catch (error) {
      if (error instanceof ConfigError) throw new InvalidArgumentError(error.message)
      throw error
    }
  }
}

export function collect(value: string, previous: string[] | undefined): string[] {
  return [...(previous ?? []), value]
}

/** A number above 0. @throws InvalidArgumentError */
export function positive(text: string): number {
  const value = Number(text)
  if (!Number.isFinite(value) || value <= 0) throw new InvalidArgumentError('expected a number above 0')
  return value
}

/** Seconds. @throws InvalidArgumentError */
export const duration = parsedBy(parseDuration)
/** Bytes. @throws InvalidArgumentError */
export const size = parsedBy(parseSize)

export function stateOption(command: Command): Command {
  return command
    .option('--state-dir <dir>', 'where identity and runs are kept')
    .option('--config <file>', 'settings as JSON')
}

export function jsonOption(command: Command): Command {
  return command.option('--json', 'one JSON value a line')
}

/** Whatever talks to the SODA host. */
export function hostOptions(command: Command): Command {
  return jsonOption(stateOption(command)).option('--socket-path <path>', 'where the SODA host listens')
}

/** Whatever joins the network. */
export function networkOptions(command: Command): Command {
  return stateOption(command).option(
    '--bootstrap <multiaddr>',
    'a peer to start from, with its id; may be repeated',
    collect
  )
}

export interface WantedFlags {
  cpu?: number
  memory?: number
  disk?: number
  time?: number
  image?: string
  label?: string[]
}

/** What is looked for, or asked of a provider. */
export function wantedOptions(command: Command): Command {
  return command
    .option('--cpu <number>', 'share of one CPU', positive)
    .option('--memory <size>', 'memory of the virtual server, such as 512M', size)
    .option('--disk <size>', 'writable disk, such as 1G', size)
    .option('--time <duration>', 'longest time the program may take, such as 2h', duration)
    .option('--image <name>', 'name or digest of an image')
    .option('--label <label>', 'the offer must carry it; may be repeated', collect)
}

export function queryOf(flags: WantedFlags): OfferQuery {
  return {
    ...(flags.cpu === undefined ? {} : { cpu: flags.cpu }),
    ...(flags.memory === undefined ? {} : { memoryBytes: flags.memory }),
    ...(flags.disk === undefined ? {} : { diskBytes: flags.disk }),
    ...(flags.time === undefined ? {} : { durationSeconds: flags.time }),
    ...(flags.image === undefined ? {} : { image: flags.image }),
    ...(flags.label === undefined ? {} : { labels: flags.label })
  }
}

/** Settings of the slice that the owner gives, as one flag: `cpu=2,memory=4G,disk=10G,servers=4`. */
export function sliceOption(command: Command): Command {
  const option = new Option(
    '--slice <parts>',
    'what the owner gives: cpu=2,memory=4G,disk=10G,servers=4; bandwidth=20M (bits), diskrate=200M (bytes) a second'
  )
  return command.addOption(option.argParser(sliceFlags))
}

const SLICE_PARTS = ['cpu', 'memory', 'disk', 'diskrate', 'bandwidth', 'servers']

function sliceFlags(text: string): Record<string, string> {
  const flags: Record<string, string> = {}
  for (const part of text.split(',')) {
    const [name = '', value] = part.split('=', 2)
    if (!SLICE_PARTS.includes(name) || value === undefined)
      throw new InvalidArgumentError(`expected ${SLICE_PARTS.join('=…, ')}=…, got ${JSON.stringify(part)}`)
    flags[`slice${name.charAt(0).toUpperCase()}${name.slice(1)}`] = value
  }
  return flags
}

/** One line of what a slice is. */
export function sliceWords(
  slice: { cpu: number; memoryBytes: number; diskBytes: number },
  servers: number
): string {
  const { cpu, memoryBytes, diskBytes } = slice
  return `${cpu} CPU, ${formatSize(memoryBytes)} memory, ${formatSize(diskBytes)} disk, ${servers} virtual servers`
}
