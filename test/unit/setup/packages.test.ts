import { expect } from 'chai'
import { missingPackages, missingText, SYSTEM_PACKAGES } from '../../../src/setup/packages.ts'

const EVERYTHING = { isRoot: false, hasProgram: () => true, hasFile: () => true }

describe('system packages', () => {
  it('are all missing on a bare machine, and none where everything is there', () => {
    const bare = { isRoot: false, hasProgram: () => false, hasFile: () => false }
    expect(missingPackages(bare)).to.deep.equal(SYSTEM_PACKAGES.map(({ name }) => name))
    expect(missingPackages(EVERYTHING)).to.deep.equal([])
  })

  it('are known one by one: by a program, or by a file', () => {
    for (const { name, program, file } of SYSTEM_PACKAGES) {
      const machine = {
        isRoot: false,
        hasProgram: (wanted: string) => wanted !== program,
        hasFile: (wanted: string) => wanted !== file
      }
      expect(missingPackages(machine), name).to.deep.equal([name])
    }
  })

  it('that only users need are not asked of root', () => {
    const machine = { ...EVERYTHING, hasProgram: (program: string) => program !== 'newuidmap' }
    expect(missingPackages(machine)).to.deep.equal(['uidmap'])
    expect(missingPackages({ ...machine, isRoot: true })).to.deep.equal([])
  })

  it('are named as Debian names packages, each with a way to see that it is there', () => {
    for (const { name, program, file } of SYSTEM_PACKAGES) {
      expect(name).to.match(/^[a-z0-9][a-z0-9+.-]+$/)
      expect(program ?? file, name).to.be.a('string')
    }
  })

  it('that are missing are told with a line that can be typed as it stands', () => {
    const text = missingText(['flex', 'bison'])
    expect(text).to.match(/^ {4}sudo apt-get update && sudo apt-get install [^\n]* flex bison$/m)
  })
})
