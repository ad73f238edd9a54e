import { fakeArtifacts } from './daemon/fake-artifacts.ts'
import { openHost, type OpenedHost } from './daemon/open-host.ts'
import { fakeLauncher } from './fake-launcher.ts'
import type { DaemonConfig } from '../../soda-host/daemon/index.ts'

/**
 * A RunHost whose guests are host processes: the real daemon and client, the fake launcher below. It passes the
 * compliance suite of RunHosts (test/compliance/daemon/run-host-fake-guests.test.ts).
 */
export function fakeRunHost(config: Partial<DaemonConfig> = {}): Promise<OpenedHost> {
  return openHost({ launcher: fakeLauncher(), artifacts: (directory) => fakeArtifacts(directory), config })
}
