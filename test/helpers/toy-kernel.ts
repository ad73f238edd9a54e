import { execFileSync } from 'node:child_process'
import { mkdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { KernelRecipe } from '../../soda-host/factory/kernel-recipe.ts'
import { readKernelRecipe } from '../../soda-host/factory/kernel-recipe.ts'
import { fileSha256 } from '../../soda-host/factory/cache.ts'
import type { KernelSource } from '../../soda-host/factory/kernel-source.ts'

/**
 * A source package of the same shape as Debian's, with a tree that builds in a moment: `allnoconfig` takes over the
 * wishes but never grants CONFIG_REFUSED, `linux` compiles one file and everything in security/kernort.
 */
const MAKEFILE = `
allnoconfig:
\t@grep -v CONFIG_REFUSED $(KCONFIG_ALLCONFIG) > .config
linux:
\t@echo '  CC      init/main.o'
\t@if grep -q CONFIG_SLOW .config; then sleep 1000.25; fi
\t@echo '  LD      linux'
\t@gcc -include message.h -o linux init.c security/kernort/linux/*.c
`

async function makeTree(tree: string): Promise<void> {
  await mkdir(join(tree, 'security'), { recursive: true })
  await writeFile(join(tree, 'Makefile'), MAKEFILE)
  await writeFile(join(tree, 'message.h'), '#define MESSAGE "unpatched"\n')
  await writeFile(
    join(tree, 'init.c'),
    '#include <stdio.h>\nint kernort(void);\nint main(void) { puts(MESSAGE); return kernort(); }\n'
  )
  await writeFile(join(tree, 'security/Kconfig'), 'menu\nsource "security/yama/Kconfig"\nendmenu\n')
  await writeFile(join(tree, 'security/Makefile'), 'obj-y += yama/\n')
}

/** Build the package and put it where the factory looks for sources. */
export async function toySource(directory: string, cacheDir: string): Promise<KernelSource> {
  const name = 'linux-source-7.99'
  const root = join(directory, 'package')
  await makeTree(join(directory, name))
  await mkdir(join(root, 'usr/src'), { recursive: true })
  await mkdir(join(root, 'DEBIAN'))
  const control = `Package: ${name}\nVersion: 7.99.1-1\nArchitecture: all\nMaintainer: Nobody <nobody@example.org>\nDescription: toy\n`
  await writeFile(join(root, 'DEBIAN/control'), control)
  execFileSync('tar', ['-cJf', join(root, `usr/src/${name}.tar.xz`), '-C', directory, name])
  const deb = join(directory, 'toy.deb')
  execFileSync('dpkg-deb', ['--build', '--root-owner-group', root, deb], { stdio: 'ignore' })
  const source = { package: name, version: '7.99.1-1', sha256: await fileSha256(deb) }
  await mkdir(join(cacheDir, 'sources'), { recursive: true })
  await rename(deb, join(cacheDir, 'sources', `${source.sha256}.deb`))
  return source
}

/** A recipe with one patch and a kernort of one file. */
export async function toyRecipe(
  directory: string,
  config: string,
  patched = 'patched'
): Promise<KernelRecipe> {
  const at = (name: string) => join(directory, name)
  await mkdir(at('kernort/linux'), { recursive: true })
  await mkdir(at('patches'), { recursive: true })
  await writeFile(at('kernel.config'), config)
  await writeFile(
    at('kernort/linux/lsm.c'),
    `__attribute__((section(".kernort_stamp"), used)) const unsigned char kernort_stamp[16384] = { 0 };
int kernort(void) { return 0; }
`
  )
  await writeFile(at('kernort/Makefile'), 'kernort-y := linux/lsm.o\n')
  await writeFile(at('kernort/Kconfig'), 'config SECURITY_KERNORT\n')
  const lines = [
    '--- a/message.h',
    '+++ b/message.h',
    '@@ -1 +1 @@',
    '-#define MESSAGE "unpatched"',
    `+#define MESSAGE "${patched}"`
  ]
  await writeFile(at('patches/0001-message.patch'), `${lines.join('\n')}\n`)
  return readKernelRecipe({
    configPath: at('kernel.config'),
    patchesDir: at('patches'),
    kernortDir: at('kernort')
  })
}
