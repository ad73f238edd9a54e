import { writeFile } from 'node:fs/promises'
import { FAKE_IMAGE } from '../fake-image.ts'
import { HostError } from '../../../src/errors.ts'
import type {
  GuestFile,
  RunningServer,
  ServerEnd,
  ServerLauncher,
  ServerListener
} from '../../../soda-host/virtual-server/types.ts'

/** A guest whose every move is a test's: by default it does what it is asked and says nothing. */
export interface ScriptedGuest extends Partial<Omit<RunningServer, 'record' | 'ended' | 'run'>> {
  /** What it does when its program is started; it may die of it, or later. */
  run(listener: ServerListener, die: (end: ServerEnd) => void): Promise<void>
}

export interface ScriptedLauncher extends ServerLauncher {
  /** Guests that are there now. */
  living(): number
}

/** Guests that are nothing but a script, in this process. */
export function scriptedLauncher(script: ScriptedGuest): ScriptedLauncher {
  let living = 0
  return {
    living: () => living,
    async launch(_spec, listener) {
      living += 1
      const end = Promise.withResolvers<ServerEnd>()
      let isGone = false
      const die = (how: ServerEnd): void => {
        if (isGone) return
        isGone = true
        living -= 1
        end.resolve(how)
      }
      const leave = (kind: ServerEnd['kind']): void => die({ kind, detail: '' })
      return {
        record: { pid: 2 ** 22 + living, startTime: '0', cgroups: [] },
        ended: end.promise,
        ready: async () => undefined,
        putFile: async () => undefined,
        stdin: async () => undefined,
        stdinEnd: async () => undefined,
        signal: async () => undefined,
        resize: async () => undefined,
        exec: async () => {
          throw new HostError('ERR_SESSION_LOST', 'the script says nothing of other programs')
        },
        getFiles: () => noFiles(),
        powerOff: async () => leave('halted'),
        kill: async () => leave('killed'),
        usage: async () => ({ cpuSeconds: 1, memoryPeakBytes: 2 }),
        setLimits: async () => undefined,
        setMemory: async () => 'given',
        moveTo: async () => undefined,
        freeze: async () => undefined,
        thaw: async () => undefined,
        layerBytes: async () => 0,
        copyLayer: async (path) => writeFile(path, 'a layer'),
        image: async () => ({ ...FAKE_IMAGE, [Symbol.asyncDispose]: async () => undefined }),
        release: async () => undefined,
        ...script,
        run: async () => script.run(listener, die)
      }
    },
    adopt: async () => ({
      isAlive: false,
      end: { kind: 'killed', detail: 'gone with its process' },
      usage: { cpuSeconds: 0, memoryPeakBytes: 0 }
    }),
    sweep: async () => undefined
  }
}

async function* noFiles(): AsyncGenerator<GuestFile> {
  // The output directory is empty.
}
