import { expect } from 'chai'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { openApiDocument } from '../../../soda-host/daemon/openapi.ts'

const path = join(import.meta.dirname, '..', '..', '..', 'docs', 'guides', 'soda-host-api.json')

describe('the description of the host API', () => {
  it('is the one in docs (ISHARE_UPDATE_DOCS=1 writes it)', async () => {
    const current = openApiDocument()
    if (process.env['ISHARE_UPDATE_DOCS'] === '1')
      await writeFile(path, `${JSON.stringify(current, null, 2)}\n`)
    expect(JSON.parse(await readFile(path, 'utf8'))).to.deep.equal(current)
  })

  it('refers only to shapes that it holds', () => {
    const text = JSON.stringify(openApiDocument())
    const { schemas } = openApiDocument()['components'] as { schemas: object }
    const referred = [...text.matchAll(/"#\/components\/schemas\/(\w+)"/g)].map(([, name]) => name)
    expect(referred).to.not.be.empty
    for (const name of referred) expect(schemas).to.have.property(name ?? '')
  })

  it('holds every operation with its own name', () => {
    const { paths } = openApiDocument() as { paths: Record<string, Record<string, { operationId: string }>> }
    const names = Object.values(paths).flatMap((path) =>
      Object.values(path).map(({ operationId }) => operationId)
    )
    expect(new Set(names).size).to.equal(names.length)
    expect(names).to.include.members(['capacity', 'create', 'putFiles', 'output', 'stdin', 'wait', 'events'])
  })
})
