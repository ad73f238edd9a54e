import { createHash } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { execa } from 'execa'
import type { Coverage } from '../../../soda-host/kernort/rules/index.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

const ISHARE = join(import.meta.dirname, '../../../src/cli/ishare')

const RULES = [
  'alert tcp any any -> $HOME_NET 21 (msg:"good"; content:"USER"; sid:1;)',
  'alert tcp any any -> any 80 (msg:"bad"; content:"x"; depth:0; sid:2;)',
  '# alert udp any any -> any 53 (msg:"off"; content:"y"; sid:3;)'
].join('\n')

function rules(...args: string[]) {
  return execa(ISHARE, ['rules', ...args], { reject: false, stdin: 'ignore', timeout: 60_000 })
}

describe('ishare rules', function () {
  this.timeout(60_000)

  it('says which rules are understood, and why others are not', async () => {
    await using directory = await temporaryDirectory()
    const file = join(directory.path, 'local.rules')
    await writeFile(file, RULES)
    const people = await rules('check', file)
    expect(people.exitCode).to.equal(0)
    expect(people.stdout).to.include(
      `${file}:2:60: combination: depth 0 is less than the content's 1 bytes [2]`
    )
    expect(people.stdout).to.match(/^compiled +1 \(50\.00 %\)$/m)
    const programs = await rules('check', '--json', '--enable', '3', file)
    const report = JSON.parse(programs.stdout) as Coverage
    expect(report).to.include({ read: 3, compiled: 2 })
    expect(report.keywords).to.deep.include({ keyword: 'content', rules: 3, compiled: 2 })
  })

  it('writes a table that is named by its digest', async () => {
    await using directory = await temporaryDirectory()
    const [file, out] = [join(directory.path, 'local.rules'), join(directory.path, 'table')]
    await writeFile(file, RULES)
    const { stdout } = await rules(
      'compile',
      file,
      '--out',
      out,
      '--json',
      '--variable',
      'HOME_NET=10.0.0.0/8'
    )
    const { digest, bytes } = JSON.parse(stdout) as { digest: string; bytes: number }
    const table = await readFile(out)
    expect(table.length).to.equal(bytes)
    table.fill(0, 16, 48)
    expect(createHash('sha256').update(table).digest('hex')).to.equal(digest)
  })

  it('answers files and options that it cannot use with what is wrong', async () => {
    expect((await rules('check', '/nowhere.rules')).stderr).to.include('ERR_RULESET_FILE')
    expect((await rules('check')).exitCode).to.equal(64)
    expect((await rules('check', '--service', 'smtp', '/dev/null')).exitCode).to.equal(64)
    await using directory = await temporaryDirectory()
    const file = join(directory.path, 'local.rules')
    await writeFile(file, RULES)
    const { stderr } = await rules('check', '--variable', 'HOME_NET=nonsense', file)
    expect(stderr).to.include('ERR_RULESET_VARIABLE')
  })
})
