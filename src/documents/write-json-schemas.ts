/** Run after a schema was changed: `node src/documents/write-json-schemas.ts`. A test compares the files. */
import { mkdir, writeFile } from 'node:fs/promises'
import { jsonSchemas } from './json-schema.ts'

const directory = new URL('../../docs/schemas/', import.meta.url)
await mkdir(directory, { recursive: true })
for (const [name, schema] of Object.entries(jsonSchemas()))
  await writeFile(new URL(name, directory), `${JSON.stringify(schema, null, 2)}\n`)
