/**
 * Long-lived peers parse what strangers send, so they never do it as root: once every module is loaded and
 * before the first byte from the network is read, they become an account without privileges.
 */
import { lchown, lstat, mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ConfigError } from '../errors.ts'

export interface Account {
  uid: number
  gid: number
}

/**
 * Used where the machine has no account named `ishare`: in the range that systemd keeps for dynamic users,
 * so no person and no other service has it.
 */
export const PEER_ACCOUNT: Account = { uid: 61_420, gid: 61_420 }

const ACCOUNT_NAME = 'ishare'

/**
 * The account that peers run under when started by root.
 *
 * @param wanted - a name, `UID` or `UID:GID`; none means the account `ishare`, or {@link PEER_ACCOUNT}
 * @throws ERR_CONFIG_VALUE when the name is not known or the account is root
 */
export async function peerAccount(wanted?: string): Promise<Account> {
  const account = await lookUp(wanted)
  if (account.uid === 0)
    throw new ConfigError('ERR_CONFIG_VALUE', `--user: expected an account without privileges, got root`)
  return account
}

async function lookUp(wanted: string | undefined): Promise<Account> {
  const numbers = /^(\d{1,9})(?::(\d{1,9}))?$/.exec(wanted ?? '')
  if (numbers !== null) return { uid: Number(numbers[1]), gid: Number(numbers[2] ?? numbers[1]) }
  const found = await accountNamed(wanted ?? ACCOUNT_NAME)
  if (found !== undefined) return found
  if (wanted === undefined) return PEER_ACCOUNT
  throw new ConfigError(
    'ERR_CONFIG_VALUE',
    `--user: this machine has no account named ${JSON.stringify(wanted)}`
  )
}

async function accountNamed(name: string): Promise<Account | undefined> {
  const lines = (await readFile('/etc/passwd', 'utf8')).split('\n')
  const fields = lines.map((line) => line.split(':')).find((entry) => entry[0] === name)
  if (fields?.[2] === undefined || fields[3] === undefined) return undefined
  return { uid: Number(fields[2]), gid: Number(fields[3]) }
}

/** True when this process may change who it is. */
export function isRoot(): boolean {
  return process.getuid?.() === 0
}

/** Make `directory` the account's own, with what is in it; links are not followed. */
export async function giveDirectory(directory: string, account: Account): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  await lchown(directory, account.uid, account.gid)
  for (const entry of await readdir(directory)) {
    const path = join(directory, entry)
    const status = await lstat(path)
    if (status.isDirectory()) await giveDirectory(path, account)
    else if (status.isFile() && status.nlink === 1) await lchown(path, account.uid, account.gid)
  }
}

/** Become `account` for good; the kernel takes all capabilities away with it. */
export function dropPrivileges(account: Account): void {
  process.setgroups?.([account.gid])
  process.setgid?.(account.gid)
  process.setuid?.(account.uid)
}

/** Make the state directory and stop being root, if this process is: before the network is touched. */
export async function becomeUnprivileged(stateDir: string, user: string | undefined): Promise<void> {
  if (!isRoot()) {
    await mkdir(stateDir, { recursive: true, mode: 0o700 })
    return
  }
  const account = await peerAccount(user)
  await giveDirectory(stateDir, account)
  dropPrivileges(account)
}
