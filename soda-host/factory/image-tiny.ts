/** The image `tiny`: busybox under every name it answers to, and the few files that programs look for. */
import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { extract } from 'tar-stream'
import { SECOND_MS } from '../../src/constants.ts'
import { FactoryError } from '../../src/errors.ts'
import { workDirectory } from './cache.ts'
import { run, start } from './command.ts'
import { DebianArchive } from './debian-archive.ts'
import type { TarStream } from './image-archive.ts'
import type { ImageEntry } from './image-entries.ts'
import { SOURCE_DATE_EPOCH } from './pins.ts'
import type { FactoryOptions } from './progress.ts'
import { TAR_END, tarHeader, tarPadding } from './tar-writer.ts'

const BUSYBOX_PACKAGE = 'busybox-static'

const FILES: Record<string, string> = {
  'etc/passwd': 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n',
  'etc/group': 'root:x:0:\ntty:x:5:\nnogroup:x:65534:\n',
  'etc/hosts': '127.0.0.1 localhost\n',
  'etc/profile': 'export PATH=/usr/bin:/bin:/usr/sbin:/sbin\n',
  'etc/shells': '/bin/sh\n',
  'etc/os-release': 'NAME="iShare tiny"\nID=ishare-tiny\nPRETTY_NAME="iShare tiny (busybox)"\n'
}
const DIRECTORIES: Record<string, number> = {
  etc: 0o755,
  root: 0o700,
  usr: 0o755,
  'usr/bin': 0o755,
  var: 0o755
}
const LINKS: Record<string, string> = {
  bin: 'usr/bin',
  sbin: 'usr/bin',
  'usr/sbin': 'bin',
  'var/run': '/run'
}

/** All that decides over this image but for the version of the package. */
export const TINY_RECIPE = JSON.stringify({ BUSYBOX_PACKAGE, FILES, DIRECTORIES, LINKS })

/** Fetch busybox and write the image as a tar archive. */
export async function tinyTar(options: FactoryOptions): Promise<TarStream> {
  const { cacheDir, signal } = options
  await using work = await workDirectory(cacheDir, 'image')
  const archive = await DebianArchive.open(options)
  const [wanted] = await archive.versions(BUSYBOX_PACKAGE)
  if (wanted === undefined) throw new FactoryError('ERR_IMAGE_BUILD', `the archive has no ${BUSYBOX_PACKAGE}`)
  const deb = await archive.download(wanted, work.path)
  const busybox = await readMember(deb, /^(?:\.\/)?(?:usr\/)?bin\/busybox$/, signal)
  const program = join(work.path, 'busybox')
  await writeFile(program, busybox)
  await chmod(program, 0o755)
  const applets = await run(program, ['--list'], { code: 'ERR_IMAGE_BUILD', signal })
  return Readable.from(packTiny(busybox, applets.split('\n').filter(Boolean)))
}

/** The content of the first file in a Debian package whose name matches. */
async function readMember(deb: string, name: RegExp, signal: AbortSignal | undefined): Promise<Buffer> {
  const files = start('dpkg-deb', ['--fsys-tarfile', deb], { code: 'ERR_IMAGE_BUILD', signal })
  files.stdin.end()
  const parser = extract()
  const read = pipeline(files.stdout, parser)
  read.catch(() => undefined)
  let found: Buffer | undefined
  for await (const entry of parser) {
    if (found === undefined && entry.header.type === 'file' && name.test(entry.header.name))
      found = await buffer(entry as AsyncIterable<Uint8Array>)
    else entry.resume()
  }
  await Promise.all([read, files.done])
  if (found === undefined) throw new FactoryError('ERR_IMAGE_BUILD', `${deb}: no busybox inside`)
  return found
}

function* packTiny(busybox: Buffer, applets: readonly string[]): Generator<Uint8Array> {
  const links = Object.fromEntries(
    applets.filter((applet) => applet !== 'busybox').map((applet) => [`usr/bin/${applet}`, 'busybox'])
  )
  for (const [name, mode] of Object.entries(DIRECTORIES)) yield header(name, 'directory', mode)
  for (const [name, target] of Object.entries({ ...LINKS, ...links }))
    yield header(name, 'symlink', 0o777, 0, target)
  for (const [name, text] of Object.entries(FILES)) yield* file(name, 0o644, Buffer.from(text))
  yield* file('usr/bin/busybox', 0o755, busybox)
  yield TAR_END
}

function header(
  name: string,
  type: ImageEntry['type'],
  mode: number,
  size = 0,
  linkname?: string
): Uint8Array {
  const mtime = new Date(SOURCE_DATE_EPOCH * SECOND_MS)
  return tarHeader({
    name,
    type,
    mode,
    size,
    uid: 0,
    gid: 0,
    mtime,
    ...(linkname !== undefined && { linkname })
  })
}

function* file(name: string, mode: number, content: Uint8Array): Generator<Uint8Array> {
  yield header(name, 'file', mode, content.length)
  yield content
  yield tarPadding(content.length)
}
