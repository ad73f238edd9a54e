import { expect } from 'chai'
import { createHash, randomBytes } from 'node:crypto'
import type { GuestFile } from '../../../soda-host/virtual-server/types.ts'
import { bareGuest } from '../../helpers/bare-guest.ts'
import { requires } from '../../helpers/capabilities.ts'
import { codeOf, errorOf } from '../../helpers/errors.ts'
import { shell } from '../../helpers/guests.ts'
import { inputDirectory, inputFile, readFiles } from '../../helpers/launched.ts'

const MIB = 1024 * 1024
const COPY = 'cp -a /work/. /out/'

/** A file of random bytes that is never in memory as a whole, and its digest so far. */
function bigFile(path: string, sizeBytes: number): { file: GuestFile; digest: () => string } {
  const hash = createHash('sha256')
  async function* content(): AsyncGenerator<Uint8Array> {
    for (let left = sizeBytes; left > 0; left -= Math.min(left, 100_000)) {
      const data = randomBytes(Math.min(left, 100_000))
      hash.update(data)
      yield data
    }
  }
  return {
    file: { path, mode: 0o600, kind: 'file', sizeBytes, content: content() },
    digest: () => hash.digest('hex')
  }
}

describe('files of a guest', function () {
  this.timeout(60_000)
  before(function () {
    requires(this, 'uml')
  })

  it('go in and come out unchanged: empty, small, deep, with modes and odd names', async () => {
    await using guest = await bareGuest()
    const deep = Array.from({ length: 40 }, (_, level) => `d${level}`).join('/')
    const content = new Map<string, Buffer | undefined>([
      ['empty', Buffer.alloc(0)],
      ['small', Buffer.from('hello\n')],
      [`${deep}/leaf`, Buffer.from('deep')],
      [' leading space', Buffer.from('1')],
      ['-rf', Buffer.from('2')],
      ['quote\'"\\$(x)\n', Buffer.from('3')],
      ['ünïcödé ✓', Buffer.from('4')],
      ['n'.repeat(255), Buffer.from('5')],
      ['a/b', undefined]
    ])
    for (const [path, data] of content)
      await guest.channel.putFile(data === undefined ? inputDirectory(path) : inputFile(path, data, 0o751))
    await guest.channel.run(shell(COPY))
    expect(await guest.listener.exited).to.deep.equal({ kind: 'status', status: 0 })
    const modes = new Map<string, number>()
    const found = new Map<string, Buffer | undefined>()
    for await (const file of guest.channel.getFiles()) {
      modes.set(file.path, file.mode)
      for (const [path, data] of await readFiles(oneOf(file))) found.set(path, data)
    }
    for (const [path, data] of content) expect(found.get(path), path).to.deep.equal(data)
    expect(modes.get('small')).to.equal(0o751)
    const paths = [...found.keys()]
    for (const path of paths.filter((name) => name.includes('/')))
      expect(paths.indexOf(path.slice(0, path.lastIndexOf('/'))), path).to.be.within(
        0,
        paths.indexOf(path) - 1
      )
  })

  it('of 100 MB go in and come out intact', async () => {
    await using guest = await bareGuest({ diskBytes: 512 * MIB })
    const { file, digest } = bigFile('big', 100 * MIB)
    await guest.channel.putFile(file)
    await guest.channel.run(shell('ln /work/big /out/big; sha256sum < big'))
    await guest.listener.exited
    const expected = digest()
    expect(guest.listener.text('stdout')).to.include(expected)
    const hash = createHash('sha256')
    for await (const { content, sizeBytes } of guest.channel.getFiles()) {
      expect(sizeBytes).to.equal(100 * MIB)
      for await (const data of content) hash.update(data)
    }
    expect(hash.digest('hex')).to.equal(expected)
  })

  it('in great number come out complete', async () => {
    await using guest = await bareGuest({ diskBytes: 512 * MIB })
    await guest.channel.run(
      shell(
        'cd /out; for i in $(seq 20); do mkdir d$i; for j in $(seq 50); do echo $i.$j > d$i/f$j; done; done'
      )
    )
    expect(await guest.listener.exited).to.deep.equal({ kind: 'status', status: 0 })
    const found = await readFiles(guest.channel.getFiles())
    expect(found.size).to.equal(20 * 51)
    expect(found.get('d7/f33')?.toString()).to.equal('7.33\n')
  })

  it('that are skipped, in whole or in part, do not disturb those that follow; a walk may be given up and begun anew', async () => {
    await using guest = await bareGuest()
    await guest.channel.run(
      shell(
        'cd /out; for f in 1 2 3 4; do dd if=/dev/zero of=$f bs=1M count=3 2>/dev/null; done; echo end > 5'
      )
    )
    await guest.listener.exited
    let seen = 0
    for await (const { content } of guest.channel.getFiles()) {
      if (++seen % 2 === 0) for await (const data of content) if (data.length > 0) break
    }
    expect(seen).to.equal(5)
    for await (const { path } of guest.channel.getFiles()) if (path !== '') break
    const again = await readFiles(guest.channel.getFiles())
    expect([...again.keys()].toSorted()).to.deep.equal(['1', '2', '3', '4', '5'])
    expect(again.get('5')?.toString()).to.equal('end\n')
    expect(again.get('1')?.length).to.equal(3 * MIB)
  })

  it('that are no files are left out; links are not followed', async () => {
    await using guest = await bareGuest()
    await guest.channel.run(
      shell(
        'cd /out; ln -s /etc/passwd link; ln -s /etc dir; mkfifo pipe; mknod null c 1 3; echo x > file; nc -lU s & sleep 0.2'
      )
    )
    await guest.listener.exited
    expect([...(await readFiles(guest.channel.getFiles())).keys()]).to.deep.equal(['file'])
  })

  it('are none when the program has removed the output directory, or put a link in its place', async () => {
    await using removed = await bareGuest()
    await removed.channel.run(shell('rm -r /out'))
    await removed.listener.exited
    expect((await readFiles(removed.channel.getFiles())).size).to.equal(0)
    await using linked = await bareGuest()
    await linked.channel.run(shell('rm -r /out; ln -s /etc /out'))
    await linked.listener.exited
    expect(await codeOf(() => readFiles(linked.channel.getFiles()))).to.equal('ERR_FILES_FORMAT')
  })

  it('nested too deeply, or with too long a path, are refused with a limit', async () => {
    await using deep = await bareGuest()
    await deep.channel.run(shell('cd /out; for i in $(seq 70); do mkdir d; cd d; done'))
    await deep.listener.exited
    expect(await codeOf(() => readFiles(deep.channel.getFiles()))).to.equal('ERR_FILES_LIMIT')
    await using long = await bareGuest()
    await long.channel.run(
      shell('cd /out; n=$(printf %0200d 0); for i in $(seq 6); do mkdir $n; cd $n; done')
    )
    await long.listener.exited
    expect(await codeOf(() => readFiles(long.channel.getFiles()))).to.equal('ERR_FILES_LIMIT')
  })

  it('beyond the disk are refused with a limit, and the guest lives on', async () => {
    await using guest = await bareGuest({ diskBytes: 16 * MIB })
    const { file } = bigFile('big', 64 * MIB)
    expect(await codeOf(() => guest.channel.putFile(file))).to.equal('ERR_FILES_LIMIT')
    await guest.channel.putFile(inputDirectory('still/alive'))
  })

  it('with paths that lead elsewhere are not written', async () => {
    await using guest = await bareGuest()
    for (const path of ['../etc/x', '/etc/x', 'a/../../x', 'a//b', '.', 'a/'])
      expect(await codeOf(() => guest.channel.putFile(inputFile(path, 'x'))), path).to.equal(
        'ERR_FILES_FORMAT'
      )
    await guest.channel.run(shell('ls /work /etc/x 2>/dev/null | wc -l'))
    await guest.listener.exited
    expect(guest.listener.text('stdout')).to.equal('1\n')
  })

  it('in place of which the program made a pipe or a link do not stop the guest', async () => {
    await using guest = await bareGuest()
    await guest.channel.run(shell('mkfifo pipe; ln -s /etc/passwd link; echo made; sleep 1000'))
    await guest.listener.until(({ outputBytes }) => outputBytes > 0)
    for (const path of ['pipe', 'link'])
      expect(await codeOf(() => guest.channel.putFile(inputFile(path, 'x'))), path).to.equal(
        'ERR_FILES_FORMAT'
      )
    await guest.channel.putFile(inputFile('fine', 'x'))
  })

  it('whose content is not as long as was said are refused; the next one is whole', async () => {
    await using guest = await bareGuest()
    const wrong = (said: number): GuestFile => ({ ...inputFile('f', 'four'), sizeBytes: said })
    for (const said of [3, 5])
      expect(await codeOf(() => guest.channel.putFile(wrong(said)))).to.equal('ERR_FILES_FORMAT')
    await guest.channel.putFile(inputFile('f', 'right'))
    await guest.channel.run(shell('cat f'))
    await guest.listener.exited
    expect(guest.listener.text('stdout')).to.equal('right')
  })

  it('in the middle of which the caller gives up leave the channel as it was', async () => {
    await using guest = await bareGuest()
    const abort = new AbortController()
    const { file } = bigFile('big', 64 * MIB)
    async function* content(): AsyncGenerator<Uint8Array> {
      let bytes = 0
      for await (const data of file.content) {
        yield data
        bytes += data.length
        if (bytes > 3 * MIB) abort.abort()
      }
    }
    expect(
      (await errorOf(() => guest.channel.putFile({ ...file, content: content() }, abort.signal))).name
    ).to.equal('AbortError')
    await guest.channel.putFile(inputFile('f', 'whole'))
    await guest.channel.run(shell(`cat f; ${COPY}`))
    await guest.listener.exited
    expect(guest.listener.text('stdout')).to.equal('whole')
    const leave = AbortSignal.abort()
    expect((await errorOf(() => readFiles(guest.channel.getFiles(leave)))).name).to.equal('AbortError')
    expect((await readFiles(guest.channel.getFiles())).get('f')?.toString()).to.equal('whole')
  })
})

async function* oneOf(file: GuestFile): AsyncGenerator<GuestFile> {
  yield file
}
