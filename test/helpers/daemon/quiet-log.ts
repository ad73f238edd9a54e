import type { DaemonLog } from '../../../soda-host/daemon/index.ts'

const nothing = (): void => undefined

/** For daemons that are made to fail: what they say is asked for where a test is about it. */
export const quietLog: DaemonLog = { info: nothing, warn: nothing, error: nothing }
