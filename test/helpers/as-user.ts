/** Run a part of this checkout as an ordinary user, wherever the checkout is. */
import { join, relative } from 'node:path'

const ROOT = join(import.meta.dirname, '../..')

/** A uid and gid that no account, service or virtual server has. */
export const USER_ID = 1_999_000

/**
 * Joins groups as root, then leaves everything that is root's behind. The checkout may lie where only root can walk:
 * in a mount namespace of its own the user finds it at a place that is open.
 */
const SCRIPT = `set -eu
at=$1 root=$2 id=$3
shift 3
while [ "$1" != -- ]; do echo $$ > "$1"; shift; done
shift
mount --bind -- "$root" "$at"
cd /
unset NODE_V8_COVERAGE
exec setpriv --reuid="$id" --regid="$id" --clear-groups --inh-caps=-all "$@"`

/**
 * The command that runs node so. `at`: an empty directory that everybody can walk to, where the user finds the
 * checkout; paths in `args` that lie in ours are those of the user's. `joinFiles`: `cgroup.procs` of groups to be in.
 */
export function asUser(
  args: readonly string[],
  { at, joinFiles = [] }: { at: string; joinFiles?: readonly string[] }
): [string, ...string[]] {
  const there = (path: string): string =>
    path.startsWith(`${ROOT}/`) ? join(at, relative(ROOT, path)) : path
  const words = [at, ROOT, String(USER_ID), ...joinFiles, '--', there(process.execPath), ...args.map(there)]
  return ['unshare', '--mount', '--', '/bin/sh', '-c', SCRIPT, 'as-user', ...words]
}
