import type { LookupAddress } from 'node:dns'
import { expect } from 'chai'
import { isPublicAddress, pinnedLookup } from '../../../idiscover/pages/addresses.ts'

const PUBLIC = [
  '1.1.1.1',
  '93.184.216.34',
  '172.32.0.1',
  '100.128.0.1',
  '2606:4700::1111',
  '2a00:1450:4001::1'
]
const NOT_PUBLIC = [
  '0.0.0.0',
  '10.1.2.3',
  '100.64.0.1',
  '127.0.0.1',
  '127.255.255.254',
  '169.254.169.254',
  '172.16.0.1',
  '172.31.255.255',
  '192.168.1.1',
  '198.18.0.1',
  '224.0.0.1',
  '255.255.255.255',
  '::',
  '::1',
  '::ffff:10.0.0.1',
  '::ffff:1.1.1.1',
  '64:ff9b::7f00:1',
  'fc00::1',
  'fe80::1',
  'fe80::1%eth0',
  'ff02::1',
  '2001::1',
  '2001:db8::1',
  '2002:7f00:1::',
  'localhost',
  ''
]

function look(lookup: ReturnType<typeof pinnedLookup>, host: string): Promise<string[]> {
  return new Promise((resolve, reject) =>
    lookup(host, { all: true }, (error, found) => {
      if (error !== null) reject(error)
      else resolve((found as LookupAddress[]).map(({ address }) => address))
    })
  )
}

describe('Addresses that pages may be fetched from', () => {
  for (const address of PUBLIC)
    it(`${address} is public`, () => {
      expect(isPublicAddress(address)).to.equal(true)
    })
  for (const address of NOT_PUBLIC)
    it(`${address || 'an empty text'} is not public`, () => {
      expect(isPublicAddress(address)).to.equal(false)
    })

  it('of the addresses of a host only the allowed ones are given to the socket', async () => {
    const lookup = pinnedLookup(isPublicAddress, (_host, callback) =>
      callback(null, [
        { address: '10.0.0.1', family: 4 },
        { address: '1.1.1.1', family: 4 },
        { address: '::1', family: 6 }
      ])
    )
    expect(await look(lookup, 'mixed.example')).to.deep.equal(['1.1.1.1'])
  })

  it('a host stays where it was first, whatever the name server says later', async () => {
    const answers = ['1.1.1.1', '127.0.0.1']
    const lookup = pinnedLookup(
      () => true,
      (_host, callback) => callback(null, [{ address: answers.shift() ?? '10.0.0.1', family: 4 }])
    )
    expect(await look(lookup, 'rebinding.example')).to.deep.equal(['1.1.1.1'])
    expect(await look(lookup, 'rebinding.example')).to.deep.equal(['1.1.1.1'])
    expect(answers).to.deep.equal(['127.0.0.1'])
  })

  it('a host without an allowed address is refused, also the second time', async () => {
    const lookup = pinnedLookup(isPublicAddress, (_host, callback) =>
      callback(null, [{ address: '169.254.169.254', family: 4 }])
    )
    for (let time = 0; time < 2; time++) {
      const error: unknown = await look(lookup, 'metadata.example').catch((reason: unknown) => reason)
      expect(error).to.have.property('code', 'ERR_PAGE_ADDRESS')
    }
  })
})
