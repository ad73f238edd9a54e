/** Which uplink does what when: the one place where the kinds are told apart. */
import { closeDedicated, describeDedicated, openDedicated } from './uplink-dedicated.ts'
import { chooseTransfer, closeNat, openNat } from './uplink-nat.ts'
import { closePasta, openPasta } from './uplink-pasta.ts'
import type { Uplink, UplinkChoice, UplinkContext, UplinkRecord } from './uplink.ts'

/** What an uplink will need to be undone; nothing is changed yet. @throws ERR_UPLINK */
export async function describeUplink(context: UplinkContext, choice: UplinkChoice): Promise<UplinkRecord> {
  switch (choice.kind) {
    case 'nat':
      return await chooseTransfer(context)
    case 'dedicated':
      return await describeDedicated(context, choice.interface)
    case 'none':
    case 'pasta':
      return choice
  }
}

/** Make it, or go on with it. @throws ERR_UPLINK, ERR_SWITCH */
export async function openUplink(context: UplinkContext, record: UplinkRecord): Promise<Uplink> {
  switch (record.kind) {
    case 'nat':
      return await openNat(context, record)
    case 'dedicated':
      return await openDedicated(context, record)
    case 'pasta':
      return await openPasta(context)
    case 'none':
      return { record, arriving: (publishedAddress) => publishedAddress, update: () => Promise.resolve() }
  }
}

/** Undo it, whatever of it there is. */
export async function closeUplink(context: UplinkContext, record: UplinkRecord): Promise<void> {
  switch (record.kind) {
    case 'nat':
      await closeNat(context)
      break
    case 'dedicated':
      await closeDedicated(context, record)
      break
    case 'pasta':
      await closePasta(context)
      break
    case 'none':
  }
}
