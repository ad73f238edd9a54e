import { expect } from 'chai'
import { existsSync, readFileSync } from 'node:fs'
import { glob } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'

const ROOT = join(import.meta.dirname, '../../..')
const LINK = /\[([^\]]*)\]\(([^)\s]+)\)/g
const TEST_PATH = /`(test\/[^`\s]+)`/g

async function documents(): Promise<string[]> {
  const found: string[] = []
  for await (const path of glob(['*.md', 'docs/**/*.md'], { cwd: ROOT })) found.push(path)
  return found.sort()
}

interface Link {
  from: string
  text: string
  /** Absolute path. */
  target: string
}

function linksOf(from: string): Link[] {
  const text = readFileSync(join(ROOT, from), 'utf8')
  return [...text.matchAll(LINK)]
    .map(([, words = '', to = '']) => ({ from, text: words, to: to.split('#')[0] ?? '' }))
    .filter(({ to }) => to !== '' && !/^[a-z]+:/.test(to))
    .map(({ to, ...link }) => ({ ...link, target: join(ROOT, dirname(from), to) }))
}

/** `a/{b,c}.ts` → `a/b.ts`, `a/c.ts`. */
function alternatives(path: string): string[] {
  const [whole = '', words = ''] = /\{([^}]*)\}/.exec(path) ?? []
  return whole === '' ? [path] : words.split(',').map((word) => path.replace(whole, word))
}

describe('the documents', () => {
  it('link to files that are there', async () => {
    const links = (await documents()).flatMap(linksOf)
    expect(links.length).to.be.greaterThan(30)
    const broken = links.filter(({ target }) => !existsSync(target))
    expect(broken.map(({ from, target }) => `${from}: ${relative(ROOT, target)}`)).to.deep.equal([])
  })

  it('name tests that are there', async () => {
    const named = (await documents()).flatMap((from) =>
      [...readFileSync(join(ROOT, from), 'utf8').matchAll(TEST_PATH)].flatMap(([, path = '']) =>
        alternatives(path).map((one) => ({ from, path: one }))
      )
    )
    expect(named.length).to.be.greaterThan(10)
    const missing = named.filter(({ path }) => !existsSync(join(ROOT, path)))
    expect(missing.map(({ from, path }) => `${from}: ${path}`)).to.deep.equal([])
  })

  it('prove each claim by a test that says what they say it says', async () => {
    const quoted = (await documents())
      .flatMap(linksOf)
      .filter(({ text, target }) => target.endsWith('.test.ts') && /^`[^`]+`$/.test(text))
    expect(quoted.length).to.be.greaterThan(15)
    const untrue = quoted.filter(
      ({ text, target }) => !readFileSync(target, 'utf8').includes(`it('${text.slice(1, -1)}'`)
    )
    expect(untrue.map(({ from, text }) => `${from}: ${text}`)).to.deep.equal([])
  })
})
