import { execFileSync } from 'node:child_process'
import { expect } from 'chai'
import {
  FRAME_FIELDS,
  FRAME_HEADER_BYTES,
  FRAME_SEALED_BYTES_MAX,
  LINK_BYTES,
  RECIPIENT_BYTES,
  RECIPIENTS_MAX,
  TAG_BYTES
} from '../../../soda-host/logs/frame-layout.ts'
import {
  FIELD_BYTES,
  KIND_LAYOUTS,
  RECORD_BYTES_MAX,
  RECORD_FIELDS,
  RECORD_HEADER_BYTES,
  type KindLayout
} from '../../../soda-host/logs/record-layout.ts'
import { requires } from '../../helpers/capabilities.ts'
import { buildHarness, type Harness } from '../../helpers/sealer.ts'

/** What harness/abi.c prints. */
interface Abi {
  frame: { size: number; fields: { name: string; offset: number; size: number }[] }
  record: { size: number; fields: { name: string; offset: number; size: number }[] }
  limits: Record<string, number>
  kinds: {
    name: string
    number: number
    size: number
    fields: { name: string; type: string; offset: number }[]
    tails: string[]
  }[]
}

describe('Layout of sealed logs, writer and reader', () => {
  let harness: Harness
  let abi: Abi

  before(function () {
    requires(this, 'libcrypto')
    harness = buildHarness()
    abi = JSON.parse(execFileSync(harness.abi, { encoding: 'utf8' })) as Abi
  })
  after(() => harness.remove())

  it('agrees on the headers of frames and records to the byte', () => {
    expect(abi.frame.size).to.equal(FRAME_HEADER_BYTES)
    expect(abi.frame.fields.map(({ name, offset, size }) => [name, offset, size])).to.deep.equal(FRAME_FIELDS)
    expect(abi.record.size).to.equal(RECORD_HEADER_BYTES)
    expect(abi.record.fields.map(({ name, offset, size }) => [name, offset, size])).to.deep.equal(
      RECORD_FIELDS
    )
  })

  it('agrees on every kind of record', () => {
    const kinds = abi.kinds.map(({ fields, ...kind }) => ({
      ...kind,
      fields: fields.map(({ name, type, offset }) => [name, type, offset])
    }))
    expect(kinds).to.deep.equal(KIND_LAYOUTS)
  })

  it('agrees on limits', () => {
    expect(abi.limits).to.deep.equal({
      recordSizeMax: RECORD_BYTES_MAX,
      sealedSizeMax: FRAME_SEALED_BYTES_MAX,
      recipientsMax: RECIPIENTS_MAX,
      recipientSize: RECIPIENT_BYTES,
      linkSize: LINK_BYTES,
      tagSize: TAG_BYTES
    })
  })

  it('has no field that overlaps another or passes the end of its kind', () => {
    for (const { name, size, fields } of KIND_LAYOUTS as readonly KindLayout[]) {
      let end = 0
      for (const [, type, offset] of fields) {
        expect(offset, name).to.be.at.least(end)
        end = offset + FIELD_BYTES[type]
      }
      expect(end, name).to.equal(size)
    }
  })

  it('passes the known answers of RFC 9180 A.2 in C', () => {
    expect(execFileSync(harness.sealer, ['--check'], { encoding: 'utf8' })).to.equal('ok\n')
  })
})
