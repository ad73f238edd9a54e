/**
 * Virtual servers: guests that run one program each, behind the seam of types.ts.
 * @packageDocumentation
 */
export { umlLauncher, type UmlLauncherInit } from './launcher.ts'
export type * from './types.ts'
