/** `npm run check`: format, style, types, imports, unused code; all of them, and then what failed. */
import { styleText } from 'node:util'
import { runProgram } from './child.ts'
import { runEntry } from './exit-status.ts'

const CHECKS: [name: string, program: string, args: string[]][] = [
  ['format', 'prettier', ['--check', '--log-level=warn', '.']],
  ['style', 'eslint', ['.']],
  ['types', 'tsc', ['--noEmit', '--project', '.']],
  [
    'imports',
    'depcruise',
    [
      '--config',
      '.dependency-cruiser.cjs',
      'src',
      'ipublish',
      'idiscover',
      'irun',
      'ifactory',
      'icompose',
      'soda-host',
      'test',
      'bench'
    ]
  ],
  ['unused code', 'knip', []]
]

await runEntry(async (signal) => {
  const results: string[] = []
  let failures = 0
  for (const [name, program, args] of CHECKS) {
    console.log(styleText('bold', `${name}: ${program}`))
    const status = await runProgram(program, args, { signal })
    if (status !== 0) failures++
    results.push(`  ${status === 0 ? 'passed' : 'FAILED'}  ${name}`)
  }
  console.log(results.join('\n'))
  return failures === 0 ? 0 : 1
})
