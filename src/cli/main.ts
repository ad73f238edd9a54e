/** `ishare`: arguments in, plugin calls, exit status out. No logic lives here. */
import { Command, CommanderError } from 'commander'
import {
  EXIT_BROKEN_PIPE,
  EXIT_INTERRUPTED,
  EXIT_OK,
  EXIT_USAGE,
  exitStatusOf,
  failureLines
} from './exit-status.ts'

const EXAMPLES = `
Lend a part of this machine:
  ishare doctor                                  what this machine can do
  sudo ishare host start                         the part that runs virtual servers
  ishare provide --rules-file rules.json --page 0.0.0.0:8080

Use somebody else's:
  ishare discover --cpu 1 --memory 512M          who lends what
  ishare run --cpu 1 --memory 512M --image debian --in data.csv --out results -- python3 -c 'print(1)'
  ishare ps | logs | attach | stop | receipt     what became of it
  ishare exec last -t -- sh                      look around in its virtual server

Read what a virtual server's kernel has sealed for you:
  ishare open | alerts | sessions | replay | verify RUN   (or a file)

Exit status: that of the program for run, attach and exec (125 if iShare failed), else 0, 1, 64 (usage),
69 (something needed is not there), 77 (refused by the provider's rules).`

const program = new Command('ishare')
  .description('Lend and borrow slices of Linux machines')
  .version('0.1.0')
  .enablePositionalOptions()
  .addHelpText('after', EXAMPLES)

/** In the order of the help. Loading all of them takes longer than most of them do: only who asks for help waits. */
const COMMANDS: Record<string, () => Promise<Command>> = {
  run: async () => (await import('./commands/run.ts')).runCommand(),
  ps: async () => (await import('./commands/runs.ts')).psCommand(),
  logs: async () => (await import('./commands/runs.ts')).logsCommand(),
  attach: async () => (await import('./commands/runs.ts')).attachCommand(),
  exec: async () => (await import('./commands/exec.ts')).execCommand(),
  stop: async () => (await import('./commands/runs.ts')).stopCommand(),
  receipt: async () => (await import('./commands/runs.ts')).receiptCommand(),
  discover: async () => (await import('./commands/discover.ts')).discoverCommand(),
  offer: async () => (await import('./commands/offer.ts')).offerCommand(),
  provide: async () => (await import('./commands/provide.ts')).provideCommand(),
  host: async () => (await import('./commands/host.ts')).hostCommand(),
  peer: async () => (await import('./commands/peer.ts')).peerCommand(),
  factory: async () => (await import('./commands/factory.ts')).factoryCommand(),
  open: async () => (await import('./commands/sealed-logs.ts')).openCommand(),
  alerts: async () => (await import('./commands/sealed-logs.ts')).alertsCommand(),
  sessions: async () => (await import('./commands/sealed-logs.ts')).sessionsCommand(),
  replay: async () => (await import('./commands/sealed-logs.ts')).replayCommand(),
  verify: async () => (await import('./commands/sealed-logs.ts')).verifyCommand(),
  switch: async () => (await import('./commands/switch.ts')).switchCommand(),
  rules: async () => (await import('./commands/rules.ts')).rulesCommand(),
  key: async () => (await import('./commands/key.ts')).keyCommand(),
  id: async () => (await import('./commands/id.ts')).idCommand(),
  doctor: async () => (await import('./commands/doctor.ts')).doctorCommand()
}

const asked = COMMANDS[process.argv[2] ?? '']
for (const make of asked === undefined ? Object.values(COMMANDS) : [asked]) program.addCommand(await make())

/** Commands that are added do not inherit this. */
function failByThrowing(command: Command): void {
  command.exitOverride().showHelpAfterError('(see --help)')
  for (const sub of command.commands) failByThrowing(sub)
}
failByThrowing(program)

// As any program when its reader has gone (`ishare logs | head`). A run goes on: it is the provider's.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(EXIT_BROKEN_PIPE)
  throw error
})

/** Set by commands whose status is not simply success or failure. */
process.exitCode = EXIT_OK
try {
  await program.parseAsync()
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? EXIT_OK : EXIT_USAGE
  else if (error instanceof Error && error.name === 'AbortError') process.exitCode = EXIT_INTERRUPTED
  else {
    for (const line of failureLines(error)) console.error(line)
    process.exitCode = exitStatusOf(error)
  }
}
