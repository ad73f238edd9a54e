/**
 * The software switch between virtual servers: a bridge that has no address, on which nobody talks to anybody without
 * a link.
 *
 * @see docs/decisions/0006-switch.md
 * @packageDocumentation
 */
export { keyOf, Switch, type SwitchInit } from './switch.ts'
export type * from './types.ts'
