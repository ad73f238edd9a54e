/** Names of a log's segments: they sort in the order of writing. */

export const SEGMENT_NAME = /^\d{8}\.klog$/

export function segmentName(number: number): string {
  return `${String(number).padStart(8, '0')}.klog`
}
