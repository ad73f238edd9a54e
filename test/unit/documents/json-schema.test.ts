import { readdir, readFile } from 'node:fs/promises'
import { expect } from 'chai'
import { jsonSchemas } from '../../../src/documents/json-schema.ts'

const directory = new URL('../../../docs/schemas/', import.meta.url)

describe('documents: JSON Schemas', () => {
  it('in docs/schemas are those of the code (write them with `node src/documents/write-json-schemas.ts`)', async () => {
    const schemas = jsonSchemas()
    expect((await readdir(directory)).sort()).to.deep.equal(Object.keys(schemas).sort())
    for (const [name, schema] of Object.entries(schemas))
      expect(JSON.parse(await readFile(new URL(name, directory), 'utf8')), name).to.deep.equal(
        JSON.parse(JSON.stringify(schema))
      )
  })
})
