/**
 * @packageDocumentation
 *
 * Settings: one table of names, readers and defaults; flags, environment and file become one validated object.
 * Sizes, durations and rates are read and written here and nowhere else.
 */
export { readConfig, type Config, type ConfigSources } from './config.ts'
export { formatDuration, formatRate, formatSize, parseDuration, parseRate, parseSize } from './quantities.ts'
export type { Endpoint, FactoryPlace } from './readers.ts'
