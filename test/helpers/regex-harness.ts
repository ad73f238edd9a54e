/** The C machines of regular expressions, built with sanitizers, fed with cases. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { REGEX_FLAG } from '../../soda-host/kernort/rules/table/layout.ts'
import type { CompiledRegex } from './regex.ts'

const KERNORT = fileURLToPath(new URL('../../soda-host/kernort/', import.meta.url))
const SOURCES = ['harness/regex_cases.c', 'engine/regex.c', 'engine/regex_backtrack.c', 'engine/regex_pike.c']
const FLAGS = [
  '-std=gnu11',
  '-O1',
  '-g',
  '-Wall',
  '-Wextra',
  '-Werror',
  '-fsanitize=address,undefined',
  '-fno-sanitize-recover'
]

export interface RegexCase extends CompiledRegex {
  readonly subject: Uint8Array
  readonly from?: number
}

/** Builds the program into `directory`; gives its path. */
export function buildRegexHarness(directory: string): string {
  const program = `${directory}/regex-cases`
  const includes = ['include', 'engine', 'env/user'].map((name) => `-I${KERNORT}${name}`)
  const built = spawnSync('gcc', [
    ...FLAGS,
    ...includes,
    ...SOURCES.map((name) => KERNORT + name),
    '-o',
    program
  ])
  if (built.status !== 0) throw new Error(`gcc: ${built.stderr.toString()}`)
  return program
}

/** For each case: what the search finds, and what Pike's machine alone does. */
export function runRegexHarness(program: string, cases: readonly RegexCase[]): (readonly [string, string])[] {
  const input = Buffer.concat(cases.map(encodeCase))
  const ran = spawnSync(program, { input, maxBuffer: 64 * 1024 * 1024 })
  if (ran.status !== 0) throw new Error(`regex-cases: ${ran.stderr.toString()}`)
  const lines = ran.stdout.toString().trimEnd().split('\n')
  if (lines.length !== cases.length) throw new Error(`${lines.length} answers to ${cases.length} cases`)
  return lines.map((line) => {
    const [search = '', pike = ''] = line.split(' ')
    return [search, pike] as const
  })
}

function encodeCase({ program, sets, subject, from = 0 }: RegexCase): Buffer {
  const flags =
    (program.isLinear ? REGEX_FLAG.LINEAR : 0) |
    (program.isAnchored ? REGEX_FLAG.ANCHORED : 0) |
    (program.first === undefined ? 0 : REGEX_FLAG.HAS_FIRST)
  const all = program.first === undefined ? sets : [...sets, program.first]
  const head = [
    flags,
    all.length - (program.first === undefined ? 0 : 1),
    program.captureCount,
    program.markCount
  ]
  const sizes = [program.words.length, all.length, subject.length, from]
  const words = Uint32Array.from([...head, ...sizes, ...program.words])
  return Buffer.concat([Buffer.from(words.buffer), ...all, subject])
}
