import { once } from 'node:events'
import { createServer } from 'node:net'
import { link } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { connectGuestChannel } from '../../../soda-host/virtual-server/channel.ts'
import { abortable } from '../../../soda-host/virtual-server/channel-turns.ts'
import { codeOf } from '../../helpers/errors.ts'
import { RecordingListener } from '../../helpers/launched.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

describe('A channel that is closed', () => {
  it('at any moment of connecting to a guest that is gone harms nobody', async () => {
    await using directory = await temporaryDirectory()
    const path = join(directory.path, 's')
    const dead = join(directory.path, 'dead')
    const server = createServer().listen(path)
    await once(server, 'listening')
    await link(path, dead)
    await new Promise((resolve) => server.close(resolve))
    const unhandled: unknown[] = []
    const note = (reason: unknown) => unhandled.push(reason)
    process.on('unhandledRejection', note)
    try {
      for (let turns = 0; turns < 30; turns++) {
        const channel = connectGuestChannel({ socketPath: dead, listener: new RecordingListener() })
        for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve))
        await channel.close()
        expect(await codeOf(() => channel.ready())).to.equal('ERR_CHANNEL_CLOSED')
      }
    } finally {
      process.off('unhandledRejection', note)
    }
    expect(unhandled).to.deep.equal([])
  })

  it('leaves nothing behind that fails later, unseen', async () => {
    const { promise, reject } = Promise.withResolvers<undefined>()
    const unhandled: unknown[] = []
    const note = (reason: unknown) => unhandled.push(reason)
    process.on('unhandledRejection', note)
    try {
      const outcome = await abortable(promise, AbortSignal.abort('closed')).catch((reason: unknown) => reason)
      expect(outcome).to.equal('closed')
      reject(new Error('too late'))
      await new Promise((resolve) => setImmediate(resolve))
    } finally {
      process.off('unhandledRejection', note)
    }
    expect(unhandled).to.deep.equal([])
  })
})
