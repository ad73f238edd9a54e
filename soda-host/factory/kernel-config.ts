/** The configuration fragment `kernel.config`: what the guest kernel must have and must not have. */
import { FactoryError } from '../../src/errors.ts'

/** Wanted value of an option, as it stands in a `.config` after the equals sign; `n` for "is not set". */
export type KernelOptions = Map<string, string>

/**
 * Read a `.config` or a fragment of one.
 *
 * @throws ERR_KERNEL_CONFIG when a line is neither an option, an "is not set", nor a comment
 */
export function parseKernelConfig(text: string): KernelOptions {
  const options: KernelOptions = new Map()
  for (const [index, line] of text.split('\n').entries()) {
    const set = /^(CONFIG_\w+)=(.+)$/.exec(line)
    const unset = /^# (CONFIG_\w+) is not set$/.exec(line)
    if (set?.[1] !== undefined && set[2] !== undefined) options.set(set[1], set[2])
    else if (unset?.[1] !== undefined) options.set(unset[1], 'n')
    else if (line !== '' && !line.startsWith('#'))
      throw new FactoryError('ERR_KERNEL_CONFIG', `line ${index + 1} is not a kernel option: ${line}`)
  }
  return options
}

/**
 * Check that the configuration which the kernel's own tools made of our wishes still grants them all.
 *
 * @throws ERR_KERNEL_CONFIG naming every option that did not hold
 */
export function verifyKernelConfig(wanted: KernelOptions, actual: KernelOptions): void {
  const broken = [...wanted].flatMap(([option, value]) => {
    const got = actual.get(option) ?? 'n'
    return got === value ? [] : [`${option}: wanted ${value}, got ${got}`]
  })
  if (broken.length > 0)
    throw new FactoryError('ERR_KERNEL_CONFIG', `the kernel source did not grant:\n  ${broken.join('\n  ')}`)
}
