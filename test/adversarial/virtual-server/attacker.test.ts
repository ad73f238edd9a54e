/**
 * Attacker: code that took over a guest kernel: a program that is run in its place, in the very same jail.
 * Asset: the host: its files, processes, kernel, network and owner; the neighbours.
 * Outcome: every attempt ends as the table says, by the barrier that is meant to stop it and, with the system-call
 * filter taken off, by the one behind it. Nobody outside notices anything.
 */
import { expect } from 'chai'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmod, readFile, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo, type Server } from 'node:net'
import { join } from 'node:path'
import { hostKnobs } from '../../../soda-host/resources/limits.ts'
import { umlLauncher } from '../../../soda-host/virtual-server/index.ts'
import { uidOfSlot } from '../../../soda-host/virtual-server/jail.ts'
import type { LaunchSpec } from '../../../soda-host/virtual-server/types.ts'
import { USER_ID } from '../../helpers/as-user.ts'
import { attack, buildAttacker, outcomesOf, writeFacts } from '../../helpers/attacker.ts'
import { requires } from '../../helpers/capabilities.ts'
import { leftoversOf } from '../../helpers/guest-processes.ts'
import { realGuests, shell, type Guest, type Guests } from '../../helpers/guests.ts'
import { RecordingListener } from '../../helpers/launched.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

/** Where nothing else is sure to stop it: the filter is the one barrier. */
const ONLY_FILTER = ''

/**
 * Attempt of test/fixtures/virtual-server/attacker.c → what comes of it: in the jail as it is, and behind its filter.
 * SIGSYS is the filter's; `|` separates what different kernels of hosts say.
 */
const ATTEMPTS: Record<string, [outcome: string, behindFilter: string]> = {
  // files
  open_host_accounts: ['ENOENT', 'ENOENT'],
  open_host_secret: ['ENOENT', 'ENOENT'],
  open_above_root: ['ENOENT', 'ENOENT'],
  open_root_of_init: ['ENOENT', 'ENOENT'],
  open_channel_socket: ['ENOENT', 'ENOENT'],
  open_memory_device: ['ENOENT', 'ENOENT'],
  open_kvm: ['ENOENT', 'ENOENT'],
  open_terminal: ['ENOENT', 'ENOENT'],
  open_pty_master: ['ENOENT', 'ENOENT'],
  open_fuse: ['ENOENT', 'ENOENT'],
  open_tun: ['ENOENT', 'ENOENT'],
  open_sysrq: ['ENOENT', 'ENOENT'],
  open_core_pattern: ['ENOENT', 'ENOENT'],
  open_kernel_memory: ['ENOENT', 'ENOENT'],
  open_own_memory_by_proc: ['ENOENT', 'ENOENT'],
  open_kernel_symbols: ['ENOENT', 'ENOENT'],
  open_key_list: ['ENOENT', 'ENOENT'],
  open_kernel_log: ['ENOENT', 'ENOENT'],
  open_uevent_helper: ['ENOENT', 'ENOENT'],
  open_cgroups: ['ENOENT', 'ENOENT'],
  overwrite_guest_kernel: ['EACCES', 'EACCES'],
  overwrite_by_own_exe: ['EROFS', 'EROFS'],
  overwrite_image: ['EACCES', 'EACCES'],
  overwrite_initrd: ['EACCES', 'EACCES'],
  overwrite_cpuinfo: ['EACCES', 'EACCES'],
  make_file_in_root: ['EROFS', 'EROFS'],
  make_file_in_dev: ['EROFS', 'EROFS'],
  list_directory_of_host: ['ENOENT', 'ENOENT'],
  list_processes: ['ENOENT', 'ENOENT'],
  find_inherited_directory: ['ENOENT', 'ENOENT'],
  find_inherited_terminal: ['ENOTTY', 'ENOTTY'],
  make_directory_in_root: ['EROFS', 'EROFS'],
  remove_image: ['EROFS', 'EROFS'],
  rename_image: ['SIGSYS', 'EXDEV|EROFS'],
  link_image: ['SIGSYS', 'EXDEV|EROFS|EPERM'],
  symlink_in_home: ['SIGSYS', ONLY_FILTER],
  make_kernel_setuid: ['SIGSYS', 'EROFS'],
  give_kernel_to_root: ['SIGSYS', 'EROFS'],
  change_root: ['SIGSYS', 'EPERM'],
  change_directory: ['SIGSYS', ONLY_FILTER],
  make_disk_node: ['SIGSYS', 'EPERM'],
  make_memory_node: ['SIGSYS', 'EPERM'],
  set_attribute: ['SIGSYS', 'EROFS'],
  open_by_handle: ['SIGSYS', 'EPERM|ENOSYS|ESTALE'],
  // bounds
  fill_home: ['ENOSPC', 'ENOSPC'],
  fill_memory_file_system: ['ENOSPC', 'ENOSPC'],
  grow_disk: ['EFBIG', 'EFBIG'],
  grow_memory_file: ['EFBIG', 'EFBIG'],
  open_descriptors_without_end: ['EMFILE', 'EMFILE'],
  fork_without_end: ['EAGAIN', 'EAGAIN'],
  lock_memory: ['SIGSYS', 'EPERM'],
  map_locked_memory: ['EPERM', 'EPERM'],
  raise_descriptor_limit: ['SIGSYS', 'EPERM'],
  raise_file_size_limit: ['SIGSYS', 'EPERM'],
  raise_core_limit: ['EPERM', 'EPERM'],
  raise_process_limit: ['SIGSYS', 'EPERM'],
  limit_another_process: ['SIGSYS', 'ESRCH'],
  leave_cpu: ['SIGSYS', ONLY_FILTER],
  run_in_real_time: ['SIGSYS', 'EPERM'],
  raise_priority: ['SIGSYS', 'EACCES'],
  raise_io_priority: ['SIGSYS', 'EPERM'],
  make_message_queue: ['SIGSYS', 'EMFILE|ENOSYS'],
  make_shared_memory: ['SIGSYS', ONLY_FILTER],
  merge_memory: ['SIGSYS', ONLY_FILTER],
  dump_core: ['EPERM', 'EPERM'],
  // processes
  kill_victim: ['ESRCH', 'ESRCH'],
  kill_daemon: ['ESRCH', 'ESRCH'],
  attach_to_victim: ['SIGSYS', 'ESRCH'],
  seize_victim: ['SIGSYS', 'ESRCH'],
  read_registers_of_victim: ['ESRCH', 'ESRCH'],
  read_memory_of_victim: ['SIGSYS', 'ESRCH'],
  write_memory_of_victim: ['SIGSYS', 'ESRCH'],
  compare_with_victim: ['SIGSYS', 'ESRCH|ENOSYS'],
  open_pidfd_of_victim: ['SIGSYS', 'ESRCH'],
  take_descriptor: ['SIGSYS', 'EBADF'],
  signal_by_queue: ['SIGSYS', 'ESRCH'],
  read_affinity_of_victim: ['ESRCH', 'ESRCH'],
  // privileges and namespaces
  become_root: ['SIGSYS', 'EINVAL'],
  become_root_group: ['SIGSYS', 'EINVAL'],
  become_real_root: ['SIGSYS', 'EINVAL'],
  join_groups: ['SIGSYS', 'EPERM'],
  take_capabilities: ['SIGSYS', 'EPERM'],
  keep_ambient_capability: ['SIGSYS', 'EPERM'],
  allow_new_privileges: ['EINVAL', 'EINVAL'],
  take_filter_off: ['SIGSYS', 'EINVAL'],
  suspend_filter: ['SIGSYS', 'ESRCH'],
  unshare_users: ['SIGSYS', 'ENOSPC'],
  unshare_users_and_mounts: ['SIGSYS', 'ENOSPC'],
  unshare_mounts: ['SIGSYS', 'EPERM'],
  unshare_network: ['SIGSYS', 'EPERM'],
  clone_users: ['SIGSYS', 'ENOSPC'],
  clone_pids: ['SIGSYS', 'EPERM'],
  clone3_users: ['ENOSYS', 'ENOSPC'],
  clone3_into_cgroup: ['ENOSYS', 'EPERM'],
  enter_namespace: ['SIGSYS', 'EINVAL'],
  mount_tmpfs: ['SIGSYS', 'EPERM'],
  mount_proc: ['SIGSYS', 'EPERM'],
  make_root_writable: ['SIGSYS', 'EPERM'],
  mount_disk: ['SIGSYS', 'EPERM'],
  unmount_image: ['SIGSYS', 'EPERM'],
  turn_root: ['SIGSYS', 'EPERM'],
  clone_mount_tree: ['SIGSYS', 'EPERM|ENOSYS'],
  open_file_system: ['SIGSYS', 'EPERM|ENOSYS'],
  change_mount: ['SIGSYS', 'EPERM|EINVAL|ENOSYS'],
  // the host's kernel
  load_module: ['SIGSYS', 'EPERM|ENOSYS'],
  load_module_file: ['SIGSYS', 'EPERM|ENOSYS'],
  remove_module: ['SIGSYS', 'EPERM|ENOSYS'],
  load_kernel: ['SIGSYS', 'EPERM|ENOSYS'],
  load_kernel_file: ['SIGSYS', 'EPERM|ENOSYS'],
  reboot_host: ['SIGSYS', 'EPERM'],
  read_kernel_log: ['SIGSYS', 'EPERM|ENOSYS'],
  set_clock: ['SIGSYS', 'EPERM'],
  set_host_name: ['SIGSYS', 'EPERM'],
  use_ports: ['SIGSYS', 'EPERM|ENOSYS'],
  use_port: ['SIGSYS', 'EPERM|ENOSYS'],
  swap_on_disk: ['SIGSYS', 'EPERM|ENOSYS'],
  account_processes: ['SIGSYS', 'EPERM|ENOSYS'],
  change_quota: ['SIGSYS', 'ENOTBLK|EPERM|ENOSYS'],
  change_segments: ['SIGSYS', ONLY_FILTER],
  fault_in_user_space: ['SIGSYS', ONLY_FILTER],
  make_ring: ['SIGSYS', ONLY_FILTER],
  add_key_to_keyring: ['SIGSYS', ONLY_FILTER],
  ask_for_key: ['SIGSYS', ONLY_FILTER],
  join_session_keyring: ['SIGSYS', ONLY_FILTER],
  watch_host: ['SIGSYS', 'EPERM|ENOSYS'],
  hide_memory: ['SIGSYS', ONLY_FILTER],
  load_bpf_program: ['SIGSYS', 'EPERM|ENOSYS'],
  make_bpf_map: ['SIGSYS', 'EPERM|ENOSYS'],
  make_sandbox: ['SIGSYS', ONLY_FILTER],
  watch_by_inotify: ['SIGSYS', 'ENOENT'],
  count_events_of_cpu: ['SIGSYS', ONLY_FILTER],
  call_as_x32: ['SIGSYS', ONLY_FILTER],
  call_as_i386: ['SIGSYS', ONLY_FILTER],
  call_newest: ['SIGSYS', 'ENOSYS'],
  call_nothing: ['SIGSYS', 'ENOSYS'],
  // terminals
  type_for_owner: ['SIGSYS', 'ENOTTY'],
  paste_for_owner: ['SIGSYS', 'ENOTTY'],
  take_terminal: ['SIGSYS', 'ENOTTY'],
  // network
  make_packet_socket: ['SIGSYS', 'EPERM'],
  make_raw_socket: ['SIGSYS', 'EPERM'],
  make_raw_socket6: ['SIGSYS', 'EPERM'],
  make_crypto_socket: ['SIGSYS', ONLY_FILTER],
  make_bluetooth_socket: ['SIGSYS', ONLY_FILTER],
  make_can_socket: ['SIGSYS', ONLY_FILTER],
  make_tipc_socket: ['SIGSYS', ONLY_FILTER],
  make_key_socket: ['SIGSYS', ONLY_FILTER],
  make_xdp_socket: ['SIGSYS', 'EPERM|EAFNOSUPPORT'],
  connect_to_host: ['SIGSYS', 'ECONNREFUSED'],
  connect_to_metadata: ['SIGSYS', 'ENETUNREACH'],
  connect_to_abstract_socket: ['SIGSYS', 'ECONNREFUSED'],
  connect_to_channel: ['SIGSYS', 'ENOENT'],
  send_to_abstract_socket: ['ECONNREFUSED', 'ECONNREFUSED'],
  make_interface: ['SIGSYS', 'EPERM'],
  listen_to_audit: ['SIGSYS', 'EPERM|EPROTONOSUPPORT|ECONNREFUSED'],
  connect_by_vsock: ['SIGSYS', ONLY_FILTER],
  bind_channel_elsewhere: ['SIGSYS', 'EINVAL'],
  change_channel_options: ['SIGSYS', 'EINVAL']
}

/** An ordinary user owns the files that the jail is made of: what keeps them is that they are mounted read-only. */
const AS_USER: Record<string, string> = {
  overwrite_guest_kernel: 'EROFS|ETXTBSY',
  overwrite_initrd: 'EROFS',
  overwrite_cpuinfo: 'EROFS'
}

describe('an attacker in place of the guest kernel', function () {
  this.timeout(120_000)

  const resources = new AsyncDisposableStack()
  let directory: string
  let guests: Guests
  let neighbour: Guest
  let kernelPath: string
  let secret: string
  let host: Server
  let abstractName: string
  let connections = 0

  before(async function () {
    requires(this, 'root', 'uml', 'bubblewrap')
    directory = resources.use(await temporaryDirectory()).path
    await chmod(directory, 0o711)
    guests = resources.use(await realGuests())
    kernelPath = await buildAttacker(directory)
    secret = join(directory, 'secret')
    await writeFile(secret, 'of the host', { mode: 0o666 })
    host = await listening({ port: 0, host: '127.0.0.1' })
    abstractName = `ishare-test-${process.pid}`
    await listening({ path: `\0${abstractName}` })
    neighbour = await guests.start(shell('cat'))
  })

  after(async () => {
    await resources.disposeAsync()
  })

  async function listening(where: { port: number; host: string } | { path: string }): Promise<Server> {
    const server = createServer((socket) => {
      connections += 1
      socket.destroy()
    })
    server.listen(where)
    await once(server, 'listening')
    resources.defer(() => void server.close())
    return server
  }

  /** A process of the same uid, outside: nothing but the jail is between them. */
  async function victim(uid: number): Promise<ChildProcess & AsyncDisposable> {
    const child = spawn('setpriv', [`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', 'sleep', '1000'], {
      stdio: 'ignore'
    })
    await once(child, 'spawn')
    return Object.assign(child, {
      async [Symbol.asyncDispose]() {
        const hasEnded = child.exitCode !== null || child.signalCode !== null
        expect(hasEnded, 'the victim has been ended').to.equal(false)
        child.kill('SIGKILL')
        await once(child, 'exit')
      }
    })
  }

  async function specFor(target: ChildProcess, facts: Record<string, string> = {}): Promise<LaunchSpec> {
    const spec = await guests.spec({ kernelPath })
    const initrdPath = await writeFacts(directory, {
      victim: target.pid ?? 0,
      daemon: process.pid,
      secret,
      channel: join(neighbour.spec.directory, 'channel.sock'),
      abstract: abstractName,
      port: (host.address() as AddressInfo).port,
      memory: hostKnobs(spec.limits).memoryFileSystemBytes,
      ...facts
    })
    return { ...spec, initrdPath }
  }

  async function expectNobodyNoticed(): Promise<void> {
    expect(connections).to.equal(0)
    expect(await readFile(secret, 'utf8')).to.equal('of the host')
    const word = `${Math.random()}\n`
    const before = neighbour.listener.stdinTakenBytes
    await neighbour.server.stdin(before, Buffer.from(word))
    await neighbour.listener.until((listener) => listener.text('stdout').endsWith(word))
  }

  function expectOutcomes(outcomes: Map<string, string>, expected: (name: string) => string): void {
    const wrong = Object.keys(ATTEMPTS).filter((name) => {
      const outcome = outcomes.get(name)
      const allowed = expected(name)
      return outcome === undefined || (allowed !== ONLY_FILTER && !allowed.split('|').includes(outcome))
    })
    expect(
      wrong.map((name) => `${name}: ${outcomes.get(name) ?? 'not tried'}, not ${expected(name)}`)
    ).to.deep.equal([])
    expect([...outcomes.keys()].sort()).to.deep.equal(Object.keys(ATTEMPTS).sort())
  }

  it('gets nowhere, and a call that its jail forbids ends it and is told', async () => {
    const slot = 900
    let spec: LaunchSpec
    {
      await using target = await victim(uidOfSlot(slot))
      spec = { ...(await specFor(target, { last: 'forbidden' })), slot }
      const server = await umlLauncher().launch(spec, new RecordingListener())
      expect(await server.ended).to.deep.equal({
        kind: 'killed',
        detail: 'the guest kernel made a system call that its jail forbids'
      })
      expectOutcomes(await outcomesOf(spec), (name) => ATTEMPTS[name]?.[0] ?? '')
    }
    await expectNobodyNoticed()
    expect(await leftoversOf(spec)).to.deep.equal([])
  })

  it('is stopped by what stands behind, where the filter has fallen', async () => {
    await using target = await victim(uidOfSlot(901))
    const spec = { ...(await specFor(target)), slot: 901 }
    expectOutcomes(await attack(spec, { isUnfiltered: true }), (name) => ATTEMPTS[name]?.[1] ?? '')
    await expectNobodyNoticed()
  })

  it('gets nowhere in the jail of an ordinary user either', async () => {
    await using target = await victim(USER_ID)
    const outcomes = await attack(await specFor(target), { asUser: USER_ID })
    expectOutcomes(outcomes, (name) => AS_USER[name] ?? ATTEMPTS[name]?.[0] ?? '')
    await expectNobodyNoticed()
  })
})
