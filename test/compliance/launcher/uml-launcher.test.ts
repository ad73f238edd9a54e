import { umlLauncher } from '../../../soda-host/virtual-server/index.ts'
import { guestArtifacts } from '../../helpers/guest-artifacts.ts'
import { requires } from '../../helpers/capabilities.ts'
import { launcherSuite } from './launcher.suite.ts'

describe('launcher compliance: User-Mode Linux', () => {
  before(function () {
    requires(this, 'uml', 'bubblewrap')
  })

  launcherSuite({ launcher: umlLauncher, artifacts: (directory) => guestArtifacts(directory, 'tiny') })
})
