import { z } from 'zod'
import { bytes, digest, nonce, peerId, seconds, stamped } from './fields.ts'

const words = z.string().min(1).max(200)

/** What a base kernel was built from: whoever has the same builds the same bytes. */
export const kernelInputs = z.strictObject({
  source: z.strictObject({ package: words, version: words, digest }),
  config: digest,
  patches: digest,
  kernort: digest,
  /** Of the settings that kbuild was called with. */
  settings: digest,
  /** First lines of what the programs say of their version, and the static C library. */
  toolchain: z.strictObject({ compiler: words, linker: words, assembler: words, libc: digest })
})
export type KernelInputs = z.infer<typeof kernelInputs>

const fields = z.strictObject({
  v: z.literal(1),
  /** The factory. */
  iss: peerId,
  iat: seconds,
  exp: seconds,
  nonce,
  /** SHA-256 of the compact JWS of the lease that the kernel was made for. */
  leaseDigest: digest,
  /** The stamped kernel. */
  kernel: z.strictObject({ digest, sizeBytes: bytes }),
  base: z.strictObject({ digest, inputs: kernelInputs }),
  stamp: z.strictObject({
    /** 16 bytes in hex, by which the sealed log names the server. */
    serverId: z.string().regex(/^[0-9a-f]{32}$/),
    ...stamped
  })
})

/** A factory says which kernel it made for one lease, from what, and what it stamped into it. */
export const kernelManifest = fields.superRefine((value, context) => {
  if (value.kernel.digest === value.base.digest)
    context.addIssue({ code: 'custom', path: ['kernel', 'digest'], message: 'is that of the base kernel' })
})
export type KernelManifest = z.infer<typeof kernelManifest>
