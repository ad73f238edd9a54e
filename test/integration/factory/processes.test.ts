import { writeFile } from 'node:fs/promises'
import { setImmediate, setTimeout } from 'node:timers/promises'
import { text } from 'node:stream/consumers'
import { join } from 'node:path'
import { expect } from 'chai'
import { run, start } from '../../../soda-host/factory/command.ts'
import { withLock } from '../../../soda-host/factory/lock.ts'
import { codeOf, errorOf } from '../../helpers/errors.ts'
import { processesWith } from '../../helpers/processes.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

const CODE = { code: 'ERR_IMAGE_BUILD' } as const

describe('programs of the factory', () => {
  it('lose nothing of what they print before anybody reads, even if they have ended by then', async () => {
    const command = start('sh', ['-c', 'echo early; exit 0'], CODE)
    await command.done
    for (let turns = 0; turns < 5; turns++) await setImmediate()
    expect(await text(command.stdout)).to.equal('early\n')
  })

  it('fail with the status and their last words', async () => {
    const error = await errorOf(() => run('sh', ['-c', 'echo first; echo why >&2; exit 3'], CODE))
    expect(error).to.have.property('code', 'ERR_IMAGE_BUILD')
    expect(error.message).to.equal('sh ended with status 3\nwhy')
  })

  it('that do not exist, or take too long, fail with the same code', async () => {
    expect(await codeOf(() => run('no-such-program-anywhere', [], CODE))).to.equal('ERR_IMAGE_BUILD')
    const error = await errorOf(() => run('sleep', ['1000'], { ...CODE, timeoutMs: 50 }))
    expect(error.message).to.equal('sleep took too long')
  })

  it('end with the signal, and the reason passes through', async () => {
    const stop = new AbortController()
    const running = run('sh', ['-c', 'echo started; sleep 1000.125; true'], {
      ...CODE,
      signal: stop.signal,
      onLine: () => stop.abort(new Error('enough'))
    })
    expect((await errorOf(() => running)).message).to.equal('enough')
    expect(processesWith('1000.125'), 'the shell’s own child').to.deep.equal([])
    expect((await errorOf(() => run('true', [], { ...CODE, signal: stop.signal }))).message).to.equal(
      'enough'
    )
  })

  it('see nothing of our environment that could change what they make', async () => {
    process.env['CFLAGS'] = '-O0'
    process.env['MAKEFLAGS'] = '-i'
    process.env['SOURCE_DATE_EPOCH'] = '1'
    try {
      const seen = await run('env', [], { ...CODE, env: { WANTED: 'yes' } })
      expect(seen)
        .to.include('WANTED=yes')
        .and.include('LC_ALL=C')
        .and.not.match(/FLAGS|SOURCE_DATE/)
    } finally {
      for (const name of ['CFLAGS', 'MAKEFLAGS', 'SOURCE_DATE_EPOCH'])
        Reflect.deleteProperty(process.env, name)
    }
  })

  it('report each line, and what they say on descriptor 3', async () => {
    const lines: string[] = []
    const statuses: string[] = []
    await run('sh', ['-c', 'echo out; echo err >&2; echo status >&3'], {
      ...CODE,
      onLine: (line) => lines.push(line),
      onStatusLine: (line) => statuses.push(line)
    })
    expect(lines).to.have.members(['out', 'err'])
    expect(statuses).to.deep.equal(['status'])
  })
})

describe('the lock of the cache', () => {
  it('lets one in at a time, and says when one has to wait', async () => {
    await using directory = await temporaryDirectory()
    const path = join(directory.path, 'cache/kernel.lock')
    let inside = 0
    let most = 0
    let waits = 0
    const one = () =>
      withLock(path, { onWait: () => (waits += 1) }, async () => {
        most = Math.max(most, ++inside)
        await setTimeout(20)
        inside--
      })
    await Promise.all([one(), one(), one()])
    expect(most).to.equal(1)
    expect(waits).to.equal(2)
  })

  it('is free again after an error inside, which passes through', async () => {
    await using directory = await temporaryDirectory()
    const path = join(directory.path, 'lock')
    const failing = withLock(path, {}, async () => {
      throw new RangeError('inside')
    })
    expect((await errorOf(() => failing)).message).to.equal('inside')
    expect(await withLock(path, {}, async () => 'free')).to.equal('free')
  })

  it('can be waited for until one has had enough', async () => {
    await using directory = await temporaryDirectory()
    const path = join(directory.path, 'lock')
    const stop = new AbortController()
    await withLock(path, {}, async () => {
      const options = { signal: stop.signal, onWait: () => stop.abort(new Error('enough')) }
      const waiting = withLock(path, options, async () => 'in')
      expect((await errorOf(() => waiting)).message).to.equal('enough')
    })
  })

  it('fails where there is no place for it', async () => {
    await using directory = await temporaryDirectory()
    await writeFile(join(directory.path, 'file'), '')
    const inside = join(directory.path, 'file/lock')
    expect(await codeOf(() => withLock(inside, {}, async () => 0))).to.be.oneOf(['ENOTDIR', 'EEXIST'])
  })
})
