import { dirname } from 'node:path'
import type { ServerCgroup } from '../resources/cgroup-types.ts'
import { diskDevice } from '../resources/disk-share.ts'
import type { ServerFiles } from './server-files.ts'
import type { ServerLimits } from './types.ts'

/** A server's rate at the disk that its writable layer is on; where the machine has none of these, nothing. @throws ERR_CGROUP */
export async function limitDisk(
  group: ServerCgroup,
  { disk }: Pick<ServerFiles, 'disk'>,
  { diskBytesPerSecond }: Pick<ServerLimits, 'diskBytesPerSecond'>
): Promise<void> {
  const device = diskDevice(dirname(disk))
  if (device !== undefined) await group.limitDisk(device, diskBytesPerSecond)
}
