/**
 * The first file that `npm start`, `npm test`, `npm run check` and `npm run bench` run. It is plain JavaScript for
 * whatever Node the machine has (18 or newer), without any package: it installs the packages, Node 24 among them,
 * and hands over to TypeScript on that Node.
 *
 *   node src/setup/bootstrap.mjs start | test | check | bench [ARGUMENT…]
 */
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { constants } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../..')
const MODULES = join(ROOT, 'node_modules')
const VERBS = ['start', 'test', 'check', 'bench']
/** sysexits.h: the command was used incorrectly. */
const EX_USAGE = 64

/** True if node_modules holds just what package-lock.json says; npm writes its own list when an install is complete. */
function isInstalled() {
  const installed = packagesIn(join(MODULES, '.package-lock.json'))
  if (installed === undefined || !existsSync(join(MODULES, '.bin/node'))) return false
  const wanted = packagesIn(join(ROOT, 'package-lock.json')) ?? {}
  return Object.entries(wanted).every(([path, { version, optional }]) => {
    // Builds for other machines are optional, and not there.
    if (path === '' || (optional && installed[path] === undefined)) return true
    return installed[path]?.version === version
  })
}

function packagesIn(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8')).packages
  } catch {
    return undefined
  }
}

/**
 * Run a program on our terminal and return its exit status. It is told of signals that only we got; Ctrl+C on a
 * terminal reaches it anyway, and a second copy could mean something else to it.
 */
function run(file, args, env = process.env) {
  return new Promise((resolve) => {
    const child = spawn(file, args, { cwd: ROOT, env, stdio: 'inherit' })
    const forward = (signal) => {
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal)
    }
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, forward)
    const end = (status) => {
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.off(signal, forward)
      resolve(status)
    }
    child.once('error', (error) => {
      console.error(`${file}: ${error.message}`)
      end(1)
    })
    child.once('close', (status, signal) => end(signal === null ? status : 128 + constants.signals[signal]))
  })
}

/** npm tells those it runs where it is itself. */
function npm(args) {
  const own = process.env.npm_execpath
  const usesOwn = own !== undefined && own.endsWith('.js') && existsSync(own)
  return usesOwn ? run(process.execPath, [own, ...args]) : run('npm', args)
}

async function main([verb, ...args]) {
  if (!VERBS.includes(verb)) {
    console.error(`usage: npm start | npm test | npm run check | npm run bench -- NAME…`)
    return EX_USAGE
  }
  if (!isInstalled()) {
    console.error('installing the packages of package-lock.json (npm ci)')
    const status = await npm(['ci', '--no-audit', '--no-fund', '--loglevel=error', '--progress=true'])
    if (status !== 0) return status
    console.error('packages installed')
  }
  const bin = join(MODULES, '.bin')
  const env = { ...process.env, PATH: [bin, process.env.PATH].join(delimiter) }
  const entry = join(ROOT, 'src/setup', `${verb}.ts`)
  return run(join(bin, 'node'), ['--disable-warning=ExperimentalWarning', entry, ...args], env)
}

process.exitCode = await main(process.argv.slice(2))
