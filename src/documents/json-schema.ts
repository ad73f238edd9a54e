import { z } from 'zod'
import { accessRules } from '../rules/schema.ts'
import { KINDS, typeOf, type DocumentKind } from './kinds.ts'

/** The JSON Schemas in docs/schemas by file name: one for each document's payload, and one for a rules file. */
export function jsonSchemas(): Record<string, object> {
  const kinds = Object.keys(KINDS) as DocumentKind[]
  const documents = kinds.map((kind) => {
    const title = `iShare ${kind}: payload of a compact JWS of type ${typeOf(kind)}`
    return [`${kind}.json`, jsonSchema(KINDS[kind].schema, title)]
  })
  return Object.fromEntries([
    ...documents,
    ['access-rules.json', jsonSchema(accessRules, 'iShare access rules')]
  ]) as Record<string, object>
}

function jsonSchema(schema: z.ZodType, title: string): object {
  // As it may come in: a field with a default may be absent.
  return { title, ...z.toJSONSchema(schema, { io: 'input' }) }
}
