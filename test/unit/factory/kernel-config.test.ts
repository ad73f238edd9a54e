import { readFile } from 'node:fs/promises'
import { expect } from 'chai'
import { parseKernelConfig, verifyKernelConfig } from '../../../soda-host/factory/kernel-config.ts'
import { codeOf, errorOf } from '../../helpers/errors.ts'

const FRAGMENT = new URL('../../../soda-host/factory/kernel.config', import.meta.url)

/** By each of these the guest's root could leave its kernel, change it, or look under it. */
const DOORS = [
  'HOSTFS',
  'MODULES',
  'DEVMEM',
  'DEVPORT',
  'KEXEC',
  'BPF_SYSCALL',
  'MCONSOLE',
  'KPROBES',
  'FTRACE',
  'PERF_EVENTS',
  'DEBUG_FS',
  'IO_URING',
  'PROC_KCORE',
  'SMP'
]

describe('factory: kernel configuration', () => {
  it('reads set options, unset options and comments', () => {
    const options = parseKernelConfig('# a comment\nCONFIG_A=y\n\n# CONFIG_B is not set\nCONFIG_C="x=y"\n')
    expect([...options]).to.deep.equal([
      ['CONFIG_A', 'y'],
      ['CONFIG_B', 'n'],
      ['CONFIG_C', '"x=y"']
    ])
  })

  for (const line of ['CONFIG_A', 'config_a=y', 'CONFIG_A=', ' CONFIG_A=y', 'rm -rf /'])
    it(`refuses the line ${JSON.stringify(line)}`, async () => {
      expect(await codeOf(() => parseKernelConfig(`CONFIG_X=y\n${line}\n`))).to.equal('ERR_KERNEL_CONFIG')
    })

  it('holds when every wish was granted, and an option that the source does not know counts as unset', () => {
    const wanted = parseKernelConfig('CONFIG_A=y\n# CONFIG_B is not set\n# CONFIG_C is not set\n')
    verifyKernelConfig(wanted, parseKernelConfig('CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_Z=y\n'))
  })

  it('names every option that did not hold: lost, changed and switched on', async () => {
    const wanted = parseKernelConfig('CONFIG_A=y\nCONFIG_N=15\n# CONFIG_B is not set\nCONFIG_OK=y\n')
    const actual = parseKernelConfig('CONFIG_N=17\nCONFIG_B=y\nCONFIG_OK=y\n')
    const error = await errorOf(() => verifyKernelConfig(wanted, actual))
    expect(error.code).to.equal('ERR_KERNEL_CONFIG')
    expect(error.message).to.include('CONFIG_A: wanted y, got n')
    expect(error.message).to.include('CONFIG_N: wanted 15, got 17')
    expect(error.message).to.include('CONFIG_B: wanted n, got y')
    expect(error.message).to.not.include('CONFIG_OK')
  })

  it('of this repository closes every door, and Kernort is the only security module', async () => {
    const options = parseKernelConfig(await readFile(FRAGMENT, 'utf8'))
    for (const door of DOORS) expect(options.get(`CONFIG_${door}`), door).to.equal('n')
    expect(options.get('CONFIG_SECURITY_KERNORT')).to.equal('y')
    expect(options.get('CONFIG_LSM')).to.equal('"kernort"')
  })
})
