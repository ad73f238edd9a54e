/** The engine as programs of user space: compiled on first use, kept in the cache by the digest of sources and compiler. */
import { join } from 'node:path'
import { inputsSha256, workDirectory } from '../../factory/cache.ts'
import { run } from '../../factory/command.ts'
import type { FactoryOptions } from '../../factory/index.ts'
import { withLock } from '../../factory/lock.ts'
import { findResult, storeResult, type BuiltFile } from '../../factory/result.ts'
import { filesSha256, sourceFiles } from '../../factory/source-tree.ts'

const KERNORT_DIR = join(import.meta.dirname, '..')
const KIND = 'kernort-harness'

/** The engine and the one header that it takes from outside; not what belongs to sealing or to the kernel. */
const ENGINE_SOURCES =
  'engine/{actions,alerts,asn1,base64,certificate,console,content,conversation,decode,detect,dns,engine,evaluate,event_rules,event_state,events,file,flow,fragments,ftp,http,http_head,http_uri,http_views,inflate,lines,mime,number,predicates,reassembly,regex,regex_backtrack,regex_pike,ruleset,scan,smtp,stream,tag,tls,track,transform,tree,try,use_list,window}.c'

const WARNINGS = ['-Wall', '-Wextra', '-Werror']
const INCLUDES = ['-Ienv/user', '-Iinclude', '-Iengine', '-Iharness']

/** `replay` is for use; the others are tests, built so that a wrong access or an undefined operation ends them. */
const PROGRAMS = {
  replay: ['-O2'],
  check: ['-O1', '-g', '-fsanitize=address,undefined', '-fno-sanitize-recover=all'],
  fuzz: ['-O1', '-g', '-fsanitize=address,undefined', '-fno-sanitize-recover=all'],
  'dialogue-fuzz': [
    '-O1',
    '-g',
    '-fsanitize=address,undefined',
    '-fno-sanitize-recover=all',
    '-fsanitize-coverage=trace-pc'
  ],
  events: ['-O1', '-g', '-fsanitize=address,undefined', '-fno-sanitize-recover=all'],
  fuzz_events: ['-O1', '-g', '-fsanitize=address,undefined', '-fno-sanitize-recover=all'],
  oracle: ['-O2'],
  'fragment-oracle': ['-O2']
} as const

export type HarnessProgram = keyof typeof PROGRAMS

/**
 * A program of the harness: from the cache if its inputs are the same, else built.
 *
 * @throws ERR_HARNESS_BUILD when there is no compiler or it does not compile
 */
export async function ensureHarness(program: HarnessProgram, options: FactoryOptions): Promise<BuiltFile> {
  const { cacheDir, progress, signal } = options
  const sources = [
    ...(await sourceFiles(KERNORT_DIR, [ENGINE_SOURCES])),
    'harness/capture.c',
    `harness/${program}.c`
  ]
  const headers = await sourceFiles(KERNORT_DIR, ['{engine,include,env/user,harness,tests}/*.h'])
  const tests = program === 'check' ? await sourceFiles(KERNORT_DIR, ['tests/*_kunit.c']) : []
  const command = { code: 'ERR_HARNESS_BUILD', signal, cwd: KERNORT_DIR } as const
  const flags = ['-std=gnu11', ...PROGRAMS[program], ...WARNINGS, ...INCLUDES, '-Itests']
  const inputs = inputsSha256({
    files: await filesSha256(KERNORT_DIR, [...sources, ...headers, ...tests]),
    flags: flags.join(' '),
    compiler: await run('gcc', ['--version'], command)
  })
  const find = (): Promise<BuiltFile | undefined> => findResult(cacheDir, KIND, inputs)
  const found = await find()
  if (found !== undefined) return found
  return await withLock(join(cacheDir, `${KIND}.lock`), { signal }, async () => {
    const made = await find()
    if (made !== undefined) return made
    await using work = await workDirectory(cacheDir, KIND)
    const task = `compiling the detection engine (${program})`
    progress?.({ task })
    const path = join(work.path, program)
    await run('gcc', [...flags, '-o', path, ...sources, ...tests], command)
    const built = await storeResult(cacheDir, KIND, inputs, { path, name: program })
    progress?.({ task, isDone: true })
    return built
  })
}
