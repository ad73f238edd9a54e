import { openHost } from '../../helpers/daemon/open-host.ts'
import { fakeLauncher } from '../../helpers/fake-launcher.ts'
import { fakeArtifacts } from '../../helpers/daemon/fake-artifacts.ts'
import { runHostSuite } from '../run-host.suite.ts'

describe('RunHost compliance: daemon and client, host processes as guests', () => {
  runHostSuite({ open: () => openHost({ launcher: fakeLauncher(), artifacts: fakeArtifacts }) })
})
