/**
 * `node bench/soak.ts [MINUTES]`: works one virtual server hard (fork, exec, files, pipes, its channel) and fails if
 * its kernel panics, its programs see a wrong result, or it does not end as told. ISHARE_ARTIFACTS names the kernel.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { RunningServer } from '../soda-host/virtual-server/types.ts'
import { MINUTE_MS } from '../src/constants.ts'
import { withServer } from './launched-server.ts'

const MINUTES_DEFAULT = 10
const SIGTERM = 15

/** One line of input is one round; every round answers with one line. */
const PROGRAM = `
fail() { echo "FAILED: $1"; exit 1; }
forks() { i=0; while [ $i -lt 40 ]; do /bin/true || fail exec; (exit 3); [ $? = 3 ] || fail status; i=$((i+1)); done; }
pipes() { [ "$(seq 2000 | sort -rn | cat | sort -n | md5sum)" = "$SUM" ] || fail pipe; }
files() {
  dd if=/dev/urandom of=a bs=64k count=16 2>/dev/null; cp a b; cmp a b || fail copy
  mkdir -p d/e/f; i=0; while [ $i -lt 30 ]; do echo $i > d/e/f/$i; i=$((i+1)); done
  tar cf t d && rm -rf d && tar xf t && [ "$(cat d/e/f/29)" = 29 ] || fail tar
  gzip -c a | gunzip -c | cmp - b || fail gzip; rm -rf a b d t
}
jobs_() { for i in 1 2 3 4 5 6 7 8; do sleep 100 & done; kill -9 $(jobs -p); wait; mkfifo p; cat p > q & echo x > p; wait; [ "$(cat q)" = x ] || fail fifo; rm p q; }
memory() { dd if=/dev/zero of=/tmp/m bs=1M count=20 2>/dev/null; rm /tmp/m; }
SUM="$(seq 2000 | md5sum)"
trap 'exit 0' TERM
while read round; do forks; pipes; files; jobs_ 2>/dev/null; memory; echo "$round"; done`

async function work(server: RunningServer, answered: () => number, untilMs: number): Promise<number> {
  let offset = 0
  let round = 0
  let toldAt = performance.now()
  for (; performance.now() < untilMs; round++) {
    const line = Buffer.from(`${round}\n`)
    await server.stdin(offset, line)
    offset += line.length
    const path = `in-${round % 10}`
    await server.putFile({ path, kind: 'file', mode: 0o644, sizeBytes: line.length, content: one(line) })
    for await (const { content } of server.getFiles()) for await (const _ of content);
    // One round ahead at most.
    while (answered() < round) await delay(20)
    if (performance.now() - toldAt < MINUTE_MS) continue
    toldAt = performance.now()
    console.log(`round ${round}, ${Math.ceil((untilMs - performance.now()) / MINUTE_MS)} min to go`)
  }
  return round
}

async function* one(data: Uint8Array): AsyncGenerator<Uint8Array> {
  yield data
}

async function soak(artifacts: string, minutes: number): Promise<number> {
  const exited = Promise.withResolvers<string>()
  let text = ''
  let lines = 0
  const listener = {
    output: async (_stream: unknown, data: Uint8Array): Promise<void> => {
      const piece = Buffer.from(data).toString()
      text = (text + piece).slice(-2000)
      lines += piece.split('\n').length - 1
    },
    stdinTaken: () => undefined,
    programExited: async (exit: object) => exited.resolve(JSON.stringify(exit))
  }
  return await withServer(artifacts, listener, async (server) => {
    await server.run({ argv: ['sh', '-c', PROGRAM], env: {} })
    const early = Promise.race([
      exited.promise.then((exit) => Promise.reject(new Error(`the program ended: ${exit} ${text}`))),
      server.ended.then((end) => Promise.reject(new Error(`the guest ended: ${JSON.stringify(end)} ${text}`)))
    ])
    early.catch(() => undefined)
    const rounds = await Promise.race([
      early,
      work(server, () => lines, performance.now() + minutes * MINUTE_MS)
    ])
    await server.signal(SIGTERM)
    const exit = await exited.promise
    if (!exit.includes('"status":0')) throw new Error(`it ended with ${exit}: ${text}`)
    await server.powerOff()
    const end = await server.ended
    if (end.kind !== 'halted') throw new Error(`the guest ended: ${JSON.stringify(end)}`)
    return rounds
  })
}

const minutes = Number(process.argv[2] ?? MINUTES_DEFAULT)
const artifacts = process.env['ISHARE_ARTIFACTS']
if (artifacts === undefined || !(minutes > 0)) {
  console.error('usage: ISHARE_ARTIFACTS=FILE node bench/soak.ts [MINUTES]')
  process.exit(64)
}
console.log(`soaked: ${await soak(artifacts, minutes)} rounds in ${minutes} min, no panic, nothing wrong`)
