import { fakeLauncher } from '../../helpers/fake-launcher.ts'
import { launcherSuite } from './launcher.suite.ts'

describe('launcher compliance: host processes (fake)', () => {
  launcherSuite({
    launcher: fakeLauncher,
    artifacts: async () => ({ kernelPath: '/bin/sh', initrdPath: '/bin/sh', imagePath: '/bin/sh' })
  })
})
