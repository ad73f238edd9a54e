import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'

/** Where whole rule sets are, if anywhere. */
export const RULESETS = process.env['ISHARE_IDS_RULES'] ?? '../shared/ids/rules'

/**
 * What a test may need of the machine. A test that lacks something is skipped aloud, or fails when
 * ISHARE_REQUIRE (comma-separated) names the capability, so that nothing can hide in a skip.
 */
const probes = {
  root: () => (process.getuid?.() === 0 ? undefined : 'not root'),
  /** The set-up step builds kernel, initrd and images and names the file that lists them. */
  uml: () =>
    process.env['ISHARE_ARTIFACTS'] === undefined ? 'no guest kernel: run through `npm test`' : undefined,
  age: () => (onPath('age') ? undefined : 'age is not installed'),
  pasta: () => (onPath('pasta') ? undefined : 'pasta is not installed'),
  /** Where the 560 detection cases are. */
  cases: () =>
    process.env['ISHARE_IDS_CASES'] === undefined ? 'ISHARE_IDS_CASES names no folder of cases' : undefined,
  bubblewrap: () => (onPath('bwrap') ? undefined : 'bwrap is not installed'),
  nftables: () => (onPath('nft') ? undefined : 'nft is not installed'),
  /** Whole rule sets are too large for the repository. */
  rulesets: () => (existsSync(RULESETS) ? undefined : 'no rule sets: ISHARE_IDS_RULES names their directory'),
  /** Headers and library that the sealing code's user-space harness is compiled with. */
  libcrypto: () => (existsSync('/usr/include/openssl/evp.h') ? undefined : 'libssl-dev is not installed'),
  cgroups: () => (existsSync('/sys/fs/cgroup') ? undefined : 'no cgroup file system')
} satisfies Record<string, () => string | undefined>

export type Capability = keyof typeof probes

function onPath(program: string): boolean {
  return spawnSync('/bin/sh', ['-c', `command -v ${program}`]).status === 0
}

/** Call at the head of a `before` hook or test: `requires(this, 'root', 'uml')`. */
export function requires(context: Mocha.Context, ...capabilities: Capability[]): void {
  const demanded = new Set((process.env['ISHARE_REQUIRE'] ?? '').split(',').map((name) => name.trim()))
  for (const capability of capabilities) {
    const reason = probes[capability]()
    if (reason === undefined) continue
    if (demanded.has(capability)) throw new Error(`ISHARE_REQUIRE demands ${capability}: ${reason}`)
    console.warn(`    SKIPPED, needs ${capability}: ${reason}`)
    context.skip()
  }
}
