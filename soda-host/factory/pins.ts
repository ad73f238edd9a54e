/** What the factory is pinned to, and its limits. Each is written here and nowhere else. */
import { GIB, MINUTE_MS, SECOND_MS } from '../../src/constants.ts'

/** The Debian suite that images are made of; kernel sources come from its backports. */
export const DEBIAN_SUITE = 'trixie'
export const DEBIAN_BACKPORTS_SUITE = `${DEBIAN_SUITE}-backports`
/** Where the package `debian-archive-keyring` puts the keys that sign the archive. */
export const DEBIAN_KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'

/** The kernel source that the project is developed and soaked with. */
export const KERNEL_SOURCE = {
  package: 'linux-source-7.3',
  version: '7.3.4-1~bpo13+1',
  sha256: '703e369ddd4cce971452f5a593ee55df3a5c10c83caf0fa0df039633ed181ee3'
} as const

/** Versions leave the archive in time; then the newest package of this shape takes over. */
export const KERNEL_SOURCE_SERIES = /^linux-source-7\.(\d+)$/

/** Lines that `make` prints for one build of the pinned source: only the percentage shown depends on it. */
export const KERNEL_BUILD_STEPS = 1275

/** 2026-01-01, stands in for "now" wherever a build would write down the time. */
export const SOURCE_DATE_EPOCH = 1_767_225_600

/** Package lists younger than this are not fetched again. */
export const PACKAGE_LISTS_FRESH_MS = 30 * MINUTE_MS
export const UNPACK_TIMEOUT_MS = 20 * MINUTE_MS
export const KERNEL_BUILD_TIMEOUT_MS = 180 * MINUTE_MS
export const DOWNLOAD_TIMEOUT_MS = 120 * MINUTE_MS
export const IMAGE_BUILD_TIMEOUT_MS = 60 * MINUTE_MS
export const COMMAND_TIMEOUT_MS = 5 * MINUTE_MS

/** An image, unpacked, is no larger and has no more entries than this. */
export const IMAGE_BYTES_MAX = 16 * GIB
/** As an archive, with all headers. */
export const IMAGE_ARCHIVE_BYTES_MAX = 20 * GIB
export const IMAGE_ENTRIES_MAX = 1_000_000
/** PATH_MAX and NAME_MAX of Linux (limits.h), without the closing NUL. */
export const IMAGE_PATH_BYTES_MAX = 4095
export const IMAGE_NAME_BYTES_MAX = 255

/** Settings under which two builds give the same bytes. @see Documentation/kbuild/reproducible-builds.rst */
export const KERNEL_MAKE_SETTINGS = {
  ARCH: 'um',
  KBUILD_BUILD_TIMESTAMP: new Date(SOURCE_DATE_EPOCH * SECOND_MS).toUTCString(),
  KBUILD_BUILD_USER: 'ishare',
  KBUILD_BUILD_HOST: 'factory',
  KBUILD_BUILD_VERSION: '1',
  LOCALVERSION: '-ishare',
  // The guest kernel tells its configuration, which tells of these tools where a machine has them.
  RUSTC: 'none',
  BINDGEN: 'none',
  PAHOLE: 'none'
} as const
