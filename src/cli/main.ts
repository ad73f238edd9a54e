/** `ishare`: arguments in, plugin calls, exit status out. No logic lives here. */
import { Command, CommanderError } from 'commander'
import { doctorCommand } from './commands/doctor.ts'
import { discoverCommand } from './commands/discover.ts'
import { execCommand } from './commands/exec.ts'
import { factoryCommand } from './commands/factory.ts'
import { hostCommand } from './commands/host.ts'
import { idCommand } from './commands/id.ts'
import { offerCommand } from './commands/offer.ts'
import { peerCommand } from './commands/peer.ts'
import { provideCommand } from './commands/provide.ts'
import { attachCommand, logsCommand, psCommand, receiptCommand, stopCommand } from './commands/runs.ts'
import { rulesCommand } from './commands/rules.ts'
import { runCommand } from './commands/run.ts'
import { switchCommand } from './commands/switch.ts'
import {
  alertsCommand,
  openCommand,
  replayCommand,
  sessionsCommand,
  verifyCommand
} from './commands/sealed-logs.ts'
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
  ishare open | alerts | sessions | replay | verify LOG

Exit status: that of the program for run, attach and exec (125 if iShare failed), else 0, 1, 64 (usage),
69 (something needed is not there), 77 (refused by the provider's rules).`

const program = new Command('ishare')
  .description('Lend and borrow slices of Linux machines')
  .version('0.1.0')
  .enablePositionalOptions()
  .addHelpText('after', EXAMPLES)

for (const make of [
  runCommand,
  psCommand,
  logsCommand,
  attachCommand,
  execCommand,
  stopCommand,
  receiptCommand
])
  program.addCommand(make())
for (const make of [discoverCommand, offerCommand, provideCommand, hostCommand, peerCommand, factoryCommand])
  program.addCommand(make())
for (const make of [openCommand, alertsCommand, sessionsCommand, replayCommand, verifyCommand])
  program.addCommand(make())
for (const make of [switchCommand, rulesCommand, idCommand, doctorCommand]) program.addCommand(make())

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
