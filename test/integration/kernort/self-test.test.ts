import { expect } from 'chai'
import { execa } from 'execa'
import { readArtifacts } from '../../../soda-host/factory/index.ts'
import { requires } from '../../helpers/capabilities.ts'

describe('Kernort in the guest kernel', () => {
  it('passes the known answers of RFC 9180 A.2', async function () {
    requires(this, 'uml')
    const { kernel } = await readArtifacts(process.env['ISHARE_ARTIFACTS']!)
    // Without a disk it panics behind the test, and ends by that.
    const { stdout } = await execa(
      kernel.path,
      ['mem=64M', 'seccomp=off', 'con=null', 'con0=null,fd:1', 'quiet', 'kernort.selftest=1'],
      { reject: false, timeout: 15_000, stdin: 'ignore' }
    )
    expect(stdout).to.match(/^kernort: self-test passed\r?$/m)
  })
})
