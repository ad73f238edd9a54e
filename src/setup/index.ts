/**
 * Set-up of the machine: what the command line shares with `npm start`.
 *
 * @packageDocumentation
 */
export { ensurePackages } from './packages.ts'
export { progressLine } from './progress-line.ts'
