/** What fake launcher and fake guest say to each other: one JSON value per line. */
import type {
  OutputStream,
  ProgramExit,
  ProgramSpec,
  TerminalSize
} from '../../soda-host/virtual-server/types.ts'

/** Bytes in one direction that nobody has acknowledged. */
export const FAKE_WINDOW_BYTES = 1024 * 1024

export type FakeEvent =
  | { type: 'hello'; stdinReceived: number; stdinTaken: number }
  | { type: 'output'; stream: OutputStream; offset: number; data: string }
  | { type: 'stdinTaken'; offset: number }
  | { type: 'exit'; exit: ProgramExit }

export type FakeCommand =
  | { type: 'ack'; sequence: number }
  | { type: 'run'; program: ProgramSpec }
  | { type: 'stdin'; offset: number; data: string }
  | { type: 'stdinEnd' }
  | { type: 'signal'; signal: number }
  | { type: 'resize'; size: TerminalSize }
  | { type: 'powerOff' }
