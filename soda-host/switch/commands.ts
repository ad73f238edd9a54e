/** Runs `ip`, `tc`, `bridge` and `nft`, inside network namespaces. */
import { execa, ExecaError } from 'execa'
import { HostError } from '../../src/errors.ts'
import { SECOND_MS } from '../../src/constants.ts'
import { hostPath } from '../resources/host-programs.ts'

const TIMEOUT_MS = 30 * SECOND_MS
/** A full set of denials, as JSON. */
const OUTPUT_BYTES_MAX = 64 * 2 ** 20

/** @returns standard output. @throws ERR_SWITCH with what the program complained about */
export async function command(file: string, args: readonly string[], input?: string): Promise<string> {
  try {
    const { stdout } = await execa(file, args, {
      ...(input === undefined ? { stdin: 'ignore' as const } : { input }),
      env: { PATH: hostPath(), LC_ALL: 'C' },
      extendEnv: false,
      timeout: TIMEOUT_MS,
      maxBuffer: OUTPUT_BYTES_MAX
    })
    return stdout
  } catch (cause) {
    const said =
      cause instanceof ExecaError ? String(cause.stderr).trim().split('\n').slice(0, 3).join(' ') : ''
    throw new HostError('ERR_SWITCH', `${file} failed: ${said || String(cause)}`, { cause })
  }
}

/** Where `ip netns` keeps the namespace of that name. */
export function namespacePath(namespace: string): string {
  return `/run/netns/${namespace}`
}

/** A program in a network namespace. */
export function inside(
  namespace: string,
  file: string,
  args: readonly string[],
  input?: string
): Promise<string> {
  return command('nsenter', [`--net=${namespacePath(namespace)}`, '--', file, ...args], input)
}

/** A shell script, ended by the first command that fails; `args` are its `$1` and so on. */
export function script(namespace: string, text: string, ...args: string[]): Promise<string> {
  return inside(namespace, '/bin/sh', ['-euc', text, 'soda-switch', ...args])
}

/** All or nothing. */
export async function nft(namespace: string, lines: readonly string[]): Promise<void> {
  if (lines.length > 0) await inside(namespace, 'nft', ['-f', '-'], `${lines.join('\n')}\n`)
}
