import type { GuestImage } from '../../soda-host/virtual-server/types.ts'

/** Disk and memory of a guest that has neither. */
export const FAKE_IMAGE = {
  disk: partOf('what was on the disk'),
  memory: { ...partOf('what was in memory'), virtualBase: 0x6000_0000 }
} satisfies Omit<GuestImage, typeof Symbol.asyncDispose>

function partOf(text: string): GuestImage['disk'] {
  const bytes = Buffer.from(text)
  return {
    sizeBytes: bytes.length,
    async *content() {
      yield await Promise.resolve(bytes)
    }
  }
}
