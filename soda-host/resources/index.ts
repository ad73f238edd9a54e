/**
 * What the machine gives and what a server gets of it: admission, limits, cgroups, CPUs. The daemon uses the parts;
 * for everybody else there are the facts of the machine.
 * @packageDocumentation
 */
export { machineFacts } from './machine.ts'
export type { FactStatus, MachineFact } from './machine-fact.ts'
