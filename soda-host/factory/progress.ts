/** What a long step tells about itself. */
export interface ProgressEvent {
  /** The step, in words for people: `compiling the guest kernel`. The same words until the step ends. */
  task: string
  /** 0..1, absent while unknown. */
  fraction?: number
  /** What is going on within the step: bytes, a file, a package. */
  detail?: string
  /** True once, when the step is over. */
  isDone?: boolean
  /** Something that a person must not miss, whatever the terminal. */
  isWarning?: boolean
}

export type ProgressListener = (event: ProgressEvent) => void

/** What every slow call of the factory takes. */
export interface FactoryOptions {
  /** Holds everything that was downloaded or built. Created if absent. */
  cacheDir: string
  progress?: ProgressListener
  signal?: AbortSignal
}

/** Bytes in the unit that a person would use: `166.8 MB`. */
export function bytesText(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let unit = 0
  let value = bytes
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000
    unit++
  }
  return `${value.toFixed(unit === 0 ? 0 : 1)} ${units[unit] ?? ''}`
}
