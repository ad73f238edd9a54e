import { constants } from 'node:os'
import { getSystemErrorName } from 'node:util'
import { HostError } from '../../src/errors.ts'

const { E2BIG, EDQUOT, EFBIG, EMFILE, ENAMETOOLONG, ENOMEM, ENOSPC } = constants.errno
/** Of these the owner of the files had too much; everything else is a tree that must not be as it is. */
const LIMITS = new Set([E2BIG, EDQUOT, EFBIG, EMFILE, ENAMETOOLONG, ENOMEM, ENOSPC])

/** A guest's errno as our error: ERR_FILES_LIMIT or ERR_FILES_FORMAT. */
export function fileError(errno: number, what: string): HostError {
  const code = LIMITS.has(errno) ? 'ERR_FILES_LIMIT' : 'ERR_FILES_FORMAT'
  return new HostError(code, `the guest ${what}: ${getSystemErrorName(-errno)}`)
}
