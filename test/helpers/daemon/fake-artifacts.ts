import { createHash } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** An artifacts file for servers that boot nothing. @returns its path */
export async function fakeArtifacts(
  directory: string,
  images: readonly string[] = ['tiny']
): Promise<string> {
  await mkdir(directory, { recursive: true })
  const put = async (name: string): Promise<{ path: string; digest: string; sizeBytes: number }> => {
    const path = join(directory, name)
    const content = `this stands for ${name}`
    await writeFile(path, content, { mode: 0o755 })
    const digest = `sha256:${createHash('sha256').update(content).digest('hex')}`
    return { path, digest, sizeBytes: content.length }
  }
  const { sizeBytes: _kernelSize, ...kernel } = await put('kernel')
  const { sizeBytes: _initrdSize, ...initrd } = await put('initrd')
  const listed = await Promise.all(images.map(async (name) => ({ name, ...(await put(`image-${name}`)) })))
  const path = join(directory, 'artifacts.json')
  await writeFile(path, JSON.stringify({ kernel, initrd, images: listed }))
  return path
}
