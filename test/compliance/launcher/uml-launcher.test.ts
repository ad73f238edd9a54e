import { noCgroups } from '../../../soda-host/resources/cgroups.ts'
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

describe('launcher compliance: User-Mode Linux where no cgroups can be made', () => {
  before(function () {
    requires(this, 'uml', 'bubblewrap')
  })

  launcherSuite({
    launcher: () => umlLauncher({ cgroups: noCgroups('none, for this test') }),
    artifacts: (directory) => guestArtifacts(directory, 'tiny')
  })
})
