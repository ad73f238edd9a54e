/**
 * What the machine gives and what a server gets of it: admission, limits, cgroups, CPUs, and the machine's facts.
 * @packageDocumentation
 */
export { admit, promised, type Admission, type Shortage, type Slice } from './admission.ts'
export { openCgroups } from './cgroups.ts'
export type { CgroupCapability, Cgroups } from './cgroup-types.ts'
export { allowedCpus, chooseCpu, type PlacedServer } from './cpu-balancer.ts'
export { machineFacts, type FactStatus, type MachineFact } from './machine.ts'
