import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { expect } from 'chai'
import fc from 'fast-check'
import { extract } from 'tar-stream'
import {
  MODE_CHARACTER_DEVICE,
  MODE_DIRECTORY,
  MODE_FILE,
  packCpio
} from '../../../soda-host/factory/cpio.ts'
import type { ImageEntry } from '../../../soda-host/factory/image-entries.ts'
import { TAR_END, tarHeader, tarPadding } from '../../../soda-host/factory/tar-writer.ts'

/** Fields of a newc header after the magic, by number. @see buffer-format.rst */
const FIELD = { mode: 1, links: 4, size: 6, major: 9, minor: 10, nameSize: 11 }

/** An independent reader of newc archives. */
function readCpio(archive: Buffer): { name: string; fields: number[]; data: string }[] {
  const entries = []
  let offset = 0
  while (offset < archive.length) {
    expect(archive.toString('latin1', offset, offset + 6)).to.equal('070701')
    const hex = archive.toString('latin1', offset + 6, offset + 110)
    const fields = Array.from({ length: 13 }, (_, index) => parseInt(hex.slice(index * 8, index * 8 + 8), 16))
    const nameEnd = offset + 110 + fields[FIELD.nameSize]!
    const dataStart = Math.ceil(nameEnd / 4) * 4
    const dataEnd = dataStart + fields[FIELD.size]!
    const name = archive.toString('utf8', offset + 110, nameEnd - 1)
    entries.push({ name, fields, data: archive.toString('utf8', dataStart, dataEnd) })
    offset = Math.ceil(dataEnd / 4) * 4
  }
  return entries
}

describe('factory: cpio', () => {
  it('holds directories, device nodes and files, and ends with the trailer', () => {
    const archive = packCpio([
      { name: 'dev', mode: MODE_DIRECTORY | 0o755 },
      { name: 'dev/console', mode: MODE_CHARACTER_DEVICE | 0o600, device: { major: 5, minor: 1 } },
      { name: 'init', mode: MODE_FILE | 0o755, data: Buffer.from('hello') }
    ])
    const entries = readCpio(archive)
    expect(entries.map(({ name }) => name)).to.deep.equal(['dev', 'dev/console', 'init', 'TRAILER!!!'])
    expect(entries[0]?.fields[FIELD.mode]).to.equal(0o040755)
    expect(entries[1]?.fields.slice(FIELD.major, FIELD.minor + 1)).to.deep.equal([5, 1])
    expect(entries[2]).to.include({ data: 'hello' })
  })

  it('reads back for any name and content', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z]{1,40}$/), fc.string({ maxLength: 40 }), (name, text) => {
        const [entry] = readCpio(packCpio([{ name, mode: MODE_FILE | 0o644, data: Buffer.from(text) }]))
        return entry?.name === name && entry.data === text
      })
    )
  })
})

async function readTar(archive: Buffer): Promise<{ header: Partial<ImageEntry>; content: string }[]> {
  const parser = extract()
  const read = pipeline(Readable.from([archive]), parser)
  const entries = []
  for await (const source of parser) {
    const chunks: Uint8Array[] = []
    for await (const chunk of source) chunks.push(chunk as Uint8Array)
    const { name, type, mode, uid, gid, size, mtime, linkname } = source.header
    const header = { name, type: type as ImageEntry['type'], mode, uid, gid, size, mtime, linkname }
    entries.push({ header, content: Buffer.concat(chunks).toString() })
  }
  await read
  return entries
}

describe('factory: tar headers', () => {
  const id = fc.integer({ min: 0, max: 0o777777 })
  const path = fc
    .array(fc.stringMatching(/^[a-zäß0-9_]{1,60}$/), { minLength: 1, maxLength: 6 })
    .map((parts) => parts.join('/'))

  it('read back for any entry, whatever the length of its names', async () => {
    const entry = fc.record({
      name: path,
      linkname: path,
      mode: fc.integer({ min: 0, max: 0o7777 }),
      uid: id,
      gid: id
    })
    await fc.assert(
      fc.asyncProperty(
        entry,
        fc.string({ maxLength: 600 }),
        fc.constantFrom('file', 'symlink'),
        async (fields, text, type) => {
          const content = Buffer.from(type === 'file' ? text : '')
          const { linkname, ...rest } = fields
          const link = type === 'file' ? {} : { linkname }
          const written = {
            ...rest,
            ...link,
            type,
            size: content.length,
            mtime: new Date(1_700_000_000_000)
          } as const
          const archive = Buffer.concat([tarHeader(written), content, tarPadding(content.length), TAR_END])
          const [read] = await readTar(archive)
          expect(read?.content).to.equal(content.toString())
          expect(read?.header).to.deep.include(written)
        }
      )
    )
  })

  it('keep their shape where a name is exactly as long as its field, and one byte longer', async () => {
    for (const length of [99, 100, 101, 255, 256]) {
      const name = 'n'.repeat(length)
      const header = tarHeader({
        name,
        type: 'directory',
        mode: 0o755,
        uid: 0,
        gid: 0,
        size: 0,
        mtime: new Date(0)
      })
      const [read] = await readTar(Buffer.concat([header, TAR_END]))
      expect(read?.header.name).to.equal(name)
    }
  })
})
