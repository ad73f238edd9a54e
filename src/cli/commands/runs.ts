/** What became of runs: `ps`, `logs`, `attach`, `stop`, `receipt`. */
import { Command } from 'commander'
import type { RunClient, RunSummary } from '../../../irun/index.ts'
import { formatDuration, formatSize } from '../../config/index.ts'
import { RunError } from '../../errors.ts'
import { withConsumer } from '../consumer.ts'
import { attachingOf, attachingOptions, type AttachingFlags } from '../detach-keys.ts'
import { exitStatusOfRun } from '../exit-status.ts'
import { jsonOption, networkOptions } from '../options.ts'
import { note, printFacts, printJson, printTable } from '../output.ts'
import { resolveRun, RUN_ARGUMENT } from '../run-argument.ts'
import { runSession } from '../run-session.ts'

function outcomeText({ outcome, failure }: RunSummary): string {
  if (outcome !== undefined) {
    if (outcome.kind === 'failed') return outcome.code
    return outcome.kind === 'status' ? `exit ${outcome.status}` : `signal ${outcome.signal}`
  }
  return failure?.code ?? ''
}

/** Short: its words are for whoever is attached. */
function noticeCodes({ notice }: RunSummary): string {
  return notice === undefined ? '' : [notice.code, ...(notice.cause ? [notice.cause] : [])].join(' ')
}

const ENDED = new Set(['receipt', 'refused', 'released', 'lost'])

/** Longest time that `ps` waits for a provider. */
const REFRESH_MS = 3000

/** A provider that does not answer leaves a run as it was last known. */
async function refreshed(runs: RunClient, run: RunSummary): Promise<RunSummary> {
  if (ENDED.has(run.state)) return run
  return runs.refresh(run.runId, { signal: AbortSignal.timeout(REFRESH_MS) }).catch(() => run)
}

export function psCommand(): Command {
  const command = new Command('ps')
    .description('list runs, as their providers see them now where they answer')
    .option('-a, --all', 'also those that have ended')
  return jsonOption(networkOptions(command)).action(async (flags: { all?: boolean; json?: boolean }) => {
    await withConsumer({ ...flags }, async (peer) => {
      const { runs } = peer.services.ishare
      const all = await Promise.all(runs.list().map((run) => refreshed(runs, run)))
      const shown = flags.all === true ? all : all.filter(({ state }) => !ENDED.has(state))
      if (flags.json === true) {
        for (const run of shown) printJson(run)
        return
      }
      const age = (run: RunSummary) => formatDuration((Date.now() - run.createdAtMs) / 1000)
      printTable(
        ['RUN', 'STATE', 'AGE', 'OUTCOME', 'NOTICE', 'PROVIDER', 'PROGRAM'],
        shown.map((run) => [
          run.runId,
          run.state,
          age(run),
          outcomeText(run),
          noticeCodes(run),
          run.provider,
          run.argv.join(' ')
        ])
      )
    })
  })
}

export function logsCommand(): Command {
  const command = new Command('logs')
    .description('print what a program wrote; works when its provider is gone')
    .argument('<run>', RUN_ARGUMENT)
    .option('-f, --follow', 'until the program ends')
  return networkOptions(command).action(async (wanted: string, flags: { follow?: boolean }) => {
    await withConsumer({ ...flags }, async (peer) => {
      const { runs } = peer.services.ishare
      const { runId } = resolveRun(runs, wanted)
      const stop = new AbortController()
      const onInterrupt = () => stop.abort()
      process.once('SIGINT', onInterrupt)
      try {
        for await (const { stream, data } of runs.logs(runId, {
          follow: flags.follow === true,
          signal: stop.signal
        }))
          process[stream].write(data)
      } catch (error) {
        if (!stop.signal.aborted) throw error
      } finally {
        process.off('SIGINT', onInterrupt)
      }
    })
  })
}

export function attachCommand(): Command {
  const command = new Command('attach')
    .description('come back to a run')
    .argument('<run>', RUN_ARGUMENT)
    .option('--from-start', 'print the output from its start')
    .option('--out <dir>', 'where the files go')
    .option('-n, --no-input', 'do not pass standard input on')
  const action = async (
    wanted: string,
    flags: { fromStart?: boolean; out?: string; input: boolean; json?: boolean } & AttachingFlags
  ) => {
    await withConsumer({ ...flags }, async (peer) => {
      const { runs } = peer.services.ishare
      const run = resolveRun(runs, wanted)
      if (run.outcome !== undefined && run.state === 'receipt') {
        note(`The run has ended (${outcomeText(run)}); see: ishare logs ${run.runId}`)
        process.exitCode = exitStatusOfRun({ outcome: run.outcome })
        return
      }
      const handle = await runs.attach(run.runId, {
        fromStart: flags.fromStart === true,
        ...(flags.out === undefined ? {} : { outDir: flags.out })
      })
      const { ishare } = peer.services
      process.exitCode = await runSession(handle, {
        ...(handle.lease.payload.factory === undefined
          ? {}
          : { alerts: (signal: AbortSignal) => ishare.alerts(run.runId, { follow: true, signal }) }),
        terminal: run.hasTerminal,
        stdin: flags.input,
        json: flags.json === true,
        quiet: false,
        detachWhenRunning: false,
        ...attachingOf(flags)
      })
    })
  }
  return jsonOption(attachingOptions(networkOptions(command))).action(action)
}

export function stopCommand(): Command {
  const command = new Command('stop')
    .description('end a program: SIGTERM, some seconds later SIGKILL; its files are kept')
    .argument('<run...>', RUN_ARGUMENT)
  return networkOptions(command).action(async (wanted: string[], flags: object) => {
    await withConsumer({ ...flags }, async (peer) => {
      const { runs } = peer.services.ishare
      for (const name of wanted) {
        const { runId } = resolveRun(runs, name)
        await runs.stop(runId)
        console.log(runId)
      }
    })
  })
}

export function receiptCommand(): Command {
  const command = new Command('receipt')
    .description('show what the provider has signed: how the run ended, and what it used')
    .argument('<run>', RUN_ARGUMENT)
    .option('--token', 'print the signed document itself')
    .option('--manifest', 'print the manifest of its kernel instead, for `ishare factory verify`')
  return jsonOption(networkOptions(command)).action(
    async (wanted: string, flags: { json?: boolean; token?: boolean; manifest?: boolean }) => {
      await withConsumer({ ...flags }, async (peer) => {
        const { runs } = peer.services.ishare
        const { runId, state } = resolveRun(runs, wanted)
        if (flags.manifest === true) {
          const manifest = await runs.manifest(runId)
          if (manifest === undefined)
            throw new RunError(
              'ERR_RUN_STATE',
              `run ${runId} is ${state}: no manifest of its kernel is known`
            )
          console.log(manifest.token)
          return
        }
        const receipt = await runs.receipt(runId)
        if (receipt === undefined)
          throw new RunError(
            'ERR_RUN_STATE',
            `run ${runId} is ${state}: there is no receipt yet; see: ishare attach ${runId}`
          )
        if (flags.token === true) console.log(receipt.token)
        else if (flags.json === true) printJson(receipt.payload)
        else printFacts(receiptFacts(receipt.payload), false)
      })
    }
  )
}

function receiptFacts(
  receipt: NonNullable<Awaited<ReturnType<RunClient['receipt']>>>['payload']
): Record<string, unknown> {
  const { used, outcome } = receipt
  return {
    run: receipt.runId,
    provider: receipt.iss,
    outcome: outcome.kind === 'status' ? `exit ${outcome.status}` : Object.values(outcome).join(' '),
    ...(receipt.cut === undefined ? {} : { cut: receipt.cut }),
    ended: new Date(receipt.endedAt * 1000).toISOString(),
    cpu: `${used.cpuSeconds.toFixed(2)} s`,
    memory: `${formatSize(used.memoryPeakBytes)} at most`,
    output: `${formatSize(used.outputBytes)}, ${formatSize(used.outputDiscardedBytes)} thrown away`,
    files: formatSize(used.filesBytes),
    lease: receipt.leaseDigest
  }
}
