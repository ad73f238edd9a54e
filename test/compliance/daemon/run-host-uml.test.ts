import { umlLauncher } from '../../../soda-host/virtual-server/index.ts'
import { requires } from '../../helpers/capabilities.ts'
import { openHost } from '../../helpers/daemon/open-host.ts'
import { runHostSuite } from '../run-host.suite.ts'

describe('RunHost compliance: daemon and client, User-Mode Linux guests', function () {
  this.timeout(60_000)

  before(function () {
    requires(this, 'root', 'uml', 'bubblewrap')
  })

  runHostSuite({
    open: () =>
      openHost({ launcher: umlLauncher(), artifacts: async () => process.env['ISHARE_ARTIFACTS'] ?? '' })
  })
})
