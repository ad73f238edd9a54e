import { z } from 'zod'
import * as api from './api.ts'
import { operations, type Operation } from './operations.ts'

/** Shapes with a name of their own in the document. */
const named = {
  Server: api.server,
  ServerSpec: api.serverSpec,
  Limits: api.limits,
  Program: api.program,
  TerminalSize: api.terminalSize,
  Snapshot: api.snapshot,
  Capacity: api.capacity,
  Image: api.image,
  HostEvent: api.hostEvent,
  Link: api.link,
  Port: api.port,
  Denial: api.denial,
  PublishedPort: api.publishedPort,
  Egress: api.egress,
  OutsideState: api.outsideState,
  Error: api.errorBody
} satisfies Record<string, z.ZodType>

type Json = Record<string, unknown>

/** The API as OpenAPI 3.1, whose schemas are JSON Schema 2020-12. @see https://spec.openapis.org/oas/v3.1.1.html */
export function openApiDocument(): Json {
  const paths: Record<string, Json> = {}
  for (const operation of operations)
    (paths[operation.path] ??= {})[operation.method.toLowerCase()] = describeOperation(operation)
  return {
    openapi: '3.1.1',
    info: {
      title: 'SODA host',
      version: '1',
      description:
        'Virtual servers of one machine, over HTTP on a Unix socket. Who may connect may do everything.'
    },
    paths,
    components: { schemas: schemasOf() }
  }
}

function schemasOf(): Json {
  const registry = z.registry<{ id: string }>()
  for (const [id, schema] of Object.entries(named)) registry.add(schema, { id })
  const { schemas } = z.toJSONSchema(registry, { uri: refTo, io: 'input' })
  return Object.fromEntries(Object.entries(schemas).map(([id, schema]) => [id, bare(schema)]))
}

function refTo(id: string): string {
  return `#/components/schemas/${id}`
}

/** Without what belongs to a schema file of its own. */
function bare(schema: object): Json {
  const { $schema: _schema, $id: _id, ...rest } = schema as Json
  return rest
}

function schemaOf(schema: z.ZodType): Json {
  const name = Object.entries(named).find(([, known]) => known === schema)?.[0]
  if (name !== undefined) return { $ref: refTo(name) }
  if (schema instanceof z.ZodArray) return { type: 'array', items: schemaOf(schema.element as z.ZodType) }
  return bare(z.toJSONSchema(schema, { io: 'input' }))
}

function describeOperation({ name, path, summary, query, body, answer }: Operation): Json {
  return {
    operationId: name,
    summary,
    parameters: [...pathParameters(path), ...queryParameters(query)],
    ...(body !== undefined && { requestBody: { required: true, content: contentOf(body) } }),
    responses: {
      ...(answer === undefined
        ? { '204': { description: 'done' } }
        : { '200': { description: 'the answer', content: contentOf(answer) } }),
      default: { description: 'refused, with the reason', content: contentOf(api.errorBody) }
    }
  }
}

function contentOf(what: z.ZodType | string | { type: string }): Json {
  if (what instanceof z.ZodType) return { 'application/json': { schema: schemaOf(what) } }
  return { [typeof what === 'string' ? what : what.type]: {} }
}

function pathParameters(path: string): Json[] {
  if (!path.includes('{id}')) return []
  return [{ name: 'id', in: 'path', required: true, schema: schemaOf(api.serverId) }]
}

function queryParameters(query: z.ZodObject): Json[] {
  const { properties = {}, required = [] } = z.toJSONSchema(query, { io: 'input' })
  return Object.entries(properties).map(([name, schema]) => ({
    name,
    in: 'query',
    required: required.includes(name),
    schema
  }))
}
