import { expect } from 'chai'
import { requires } from '../../helpers/capabilities.ts'
import { CommandLine } from '../../helpers/command-line.ts'

const CTRL_C = '\u0003'
const DETACH = '\u0010\u0011'

/** Says its size when it is started and when that changes; says what it reads. */
const TALKS = `trap "stty size" WINCH; stty size; echo up
while :; do
  read line || continue
  case "$line" in end) exit 5;; *) echo "got <$line>";; esac
done`

/** Says which signals it gets. */
const SIGNALLED = 'trap "echo INT here" INT; trap "exit 7" TERM; echo up; while :; do sleep 0.05; done'

/** What users of `docker attach`, `docker exec` and `ssh -t` expect, of real processes and a real guest. */
describe('Command line, joined to a run', function () {
  this.timeout(120_000)
  let world: CommandLine

  before(async function () {
    requires(this, 'root', 'uml', 'bubblewrap')
    world = await CommandLine.open('cpu=1,memory=256M,disk=256M,servers=1')
  })
  after(() => world[Symbol.asyncDispose]())

  const state = async (): Promise<unknown> => {
    const { stdout } = await world.ishare(['ps', '--all', '--json'])
    return (JSON.parse(stdout.split('\n')[0] ?? '') as { state: unknown }).state
  }

  it('by a terminal: its size, its keys, its changes; let go by keys and joined again at another size', async () => {
    await using terminal = await world.terminal('31 91', world.run(['-t'], 'sh', '-c', TALKS))
    await terminal.until(/31 91\s+up/)
    await terminal.resize('41 103')
    await terminal.until(/41 103/)
    terminal.type('one\r')
    await terminal.until(/got <one>/)
    terminal.type(`half${DETACH}`)
    expect(await terminal.ended).to.equal(0)
    expect(terminal.said).to.include('ishare attach')
    expect(await state()).to.equal('running')

    await using second = await world.terminal('25 80', ['attach', 'last', '--detach-keys', 'ctrl-a,d'])
    await second.until(/25 80/)
    second.type(`way\r${DETACH}\r`)
    // What was typed before the keys was the program's, and so are keys that are no detach keys now.
    await second.until(/got <halfway>/)
    await second.until(/got <\S+>/)
    second.type('\u0001d')
    expect(await second.ended).to.equal(0)

    await using third = await world.terminal('25 80', ['attach', 'last', '--from-start'])
    await third.until(/got <halfway>/)
    expect(third.said).to.match(/31 91\s+up/)
    third.type('end\r')
    expect(await third.ended).to.equal(5)
  })

  it('by pipes: Ctrl+C lets go of it, and twice stops it', async () => {
    await using running = world.talk(world.run([], 'sh', '-c', SIGNALLED))
    await running.until(/up/)
    running.child.kill('SIGINT')
    expect(await running.ended).to.equal(0)
    expect(await state()).to.equal('running')

    await using attached = world.talk(['attach', 'last', '--from-start'])
    await attached.until(/up/)
    attached.child.kill('SIGINT')
    await attached.until(/press Ctrl\+C again/)
    attached.child.kill('SIGINT')
    expect(await attached.ended).to.equal(7)
    expect(attached.said).to.not.include('INT here')
  })

  it('by pipes with --sig-proxy: signals are the program’s', async () => {
    await using running = world.talk(world.run(['--sig-proxy'], 'sh', '-c', SIGNALLED))
    await running.until(/up/)
    running.child.kill('SIGINT')
    await running.until(/INT here/)
    running.child.kill('SIGTERM')
    expect(await running.ended).to.equal(7)
  })

  describe('that goes on', () => {
    before(async () => {
      const counts = 'i=0; while :; do i=$((i+1)); echo line $i; sleep 0.1; done'
      expect((await world.ishare(world.run(['-d'], 'sh', '-c', counts))).exitCode).to.equal(0)
    })
    after(() => world.ishare(['stop', 'last']))

    it('while its provider dies and comes back: no line is lost or comes twice', async () => {
      await using attached = world.talk(['attach', 'last', '--from-start'])
      await attached.until(/line 3\n/)
      await world.restartProvider()
      const before = attached.said.split('\n').filter((line) => line.startsWith('line ')).length
      await attached.until(new RegExp(`line ${before + 5}\n`))
      const lines = attached.said.split('\n').filter((line) => /^line \d+$/.test(line))
      expect(lines).to.deep.equal(lines.map((_, index) => `line ${index + 1}`))
      attached.child.kill('SIGINT')
      await attached.ended
    })

    it('beside another program: streams, input and status are that one’s own', async () => {
      await using exec = world.talk(['exec', 'last', '--', 'sh', '-c', 'echo out; cat; exit 7'])
      exec.type('in\n')
      exec.child.stdin?.end()
      expect(await exec.ended).to.equal(7)
      expect(exec.said).to.equal('out\nin\n')
      const refused = await world.ishare(['exec', '-n', 'last', '--', 'no-such-program'])
      expect(refused.exitCode).to.equal(127)
    })

    it('beside one in a terminal: size, changes of it, Ctrl+C for what runs in it', async () => {
      await using terminal = await world.terminal('31 91', ['exec', '-t', 'last', '--', 'sh'])
      terminal.type('stty size\r')
      await terminal.until(/31 91/)
      await terminal.resize('41 103')
      // Said by what the key is for: before it is there, the key is the shell's.
      terminal.type('sh -c "echo on; exec sleep 1000"\r')
      await terminal.until(/\non\s/)
      terminal.type(CTRL_C)
      terminal.type('stty size; exit 3\r')
      await terminal.until(/41 103/)
      expect(await terminal.ended).to.equal(3)
    })

    it('beside one that gets the signals of its command', async () => {
      await using exec = world.talk(['exec', '-n', 'last', '--', 'sh', '-c', SIGNALLED])
      await exec.until(/up/)
      exec.child.kill('SIGINT')
      await exec.until(/INT here/)
      exec.child.kill('SIGTERM')
      expect(await exec.ended).to.equal(7)
    })

    it('beside one that ends when its command does', async () => {
      {
        await using exec = world.talk(['exec', 'last', '--', 'sh', '-c', 'echo $$; exec sleep 1234'])
        await exec.until(/\d+\n/)
      }
      for (let left = '1234'; left.includes('1234');)
        left = (await world.ishare(['exec', '-n', 'last', '--', 'sh', '-c', 'ps | grep "[s]leep 1234"; :']))
          .stdout
    })
  })
})
