import { expect } from 'chai'
import { Command } from 'commander'
import { queryOf, sliceOption, wantedOptions } from '../../../src/cli/options.ts'

function parse(make: (command: Command) => Command, args: string[]): Record<string, unknown> {
  const command = make(new Command('test').exitOverride().configureOutput({ writeErr: () => undefined }))
  command.parse(args, { from: 'user' })
  return command.opts()
}

describe('flags', () => {
  it('read a slice into its parts', () => {
    expect(parse(sliceOption, ['--slice', 'cpu=2,memory=4G,servers=3'])['slice']).to.deep.equal({
      sliceCpu: '2',
      sliceMemory: '4G',
      sliceServers: '3'
    })
  })

  for (const bad of ['cpu', 'cpus=1', '', 'cpu=1,,memory=1G'])
    it(`refuse the slice ${JSON.stringify(bad)}`, () => {
      expect(() => parse(sliceOption, ['--slice', bad])).to.throw()
    })

  it('become a query with the units of the documents', () => {
    const flags = parse(wantedOptions, [
      '--cpu',
      '0.5',
      '--memory',
      '512M',
      '--time',
      '2h',
      '--label',
      'a',
      '--label',
      'b'
    ])
    expect(queryOf(flags)).to.deep.equal({
      cpu: 0.5,
      memoryBytes: 512 * 2 ** 20,
      durationSeconds: 7200,
      labels: ['a', 'b']
    })
  })

  for (const bad of [
    ['--cpu', '0'],
    ['--cpu', 'x'],
    ['--memory', 'much'],
    ['--time', '-1']
  ])
    it(`refuse ${bad.join(' ')}`, () => {
      expect(() => parse(wantedOptions, bad)).to.throw()
    })
})
