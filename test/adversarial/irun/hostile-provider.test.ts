/**
 * Attacker: a provider with a good offer and a key of its own, which lies about lease, states, output, files and
 * receipt, or says nothing.
 * Asset: the consumer's files and disk, its time, and the truth of what it shows and keeps.
 * Expected: ERR_PROVIDER_DISHONEST (or what the name says); nothing outside the output directory is touched, what
 * was there is unchanged, the disk holds no more than the lease allows, no lie is kept as a result.
 */
import { mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { runClient, type RunClient, type RunHandle } from '../../../irun/index.ts'
import { CHANNEL_FILES, CHANNEL_STDIN } from '../../../irun/messages.ts'
import { KIB, MIB } from '../../../src/constants.ts'
import { digestOf } from '../../../src/documents/index.ts'
import { createIdentity } from '../../../src/identity/index.ts'
import { codeOf, errorOf } from '../../helpers/errors.ts'
import {
  evilTar,
  hostileProvider,
  noTar,
  outputFrame,
  sendOutput,
  type HostileProvider,
  type Mischief
} from '../../helpers/irun/hostile-provider.ts'
import { smallLimits, startNode, type Node } from '../../helpers/irun/market.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'

const OUTPUT_BYTES_MAX = MIB

describe('a hostile provider', function () {
  this.timeout(30_000)
  let perTest: AsyncDisposableStack
  let directory: string
  let provider: HostileProvider
  let node: Node
  let client: RunClient

  beforeEach(async () => {
    perTest = new AsyncDisposableStack()
    directory = perTest.use(await temporaryDirectory()).path
    provider = perTest.use(await hostileProvider())
    node = perTest.use(await startNode())
    client = perTest.use(
      runClient(node, {
        stateDir: join(directory, 'state'),
        limits: { answerMs: 3000, overdueMs: 200, reconnectMsMin: 10, reconnectMsMax: 50 }
      })
    )
  })
  afterEach(() => perTest.disposeAsync())

  function submit(mischief: Mischief, durationSeconds = 600): Promise<RunHandle> {
    provider.mischief = mischief
    return client.submit({
      offer: provider.offer,
      limits: smallLimits({ outputBytesMax: OUTPUT_BYTES_MAX, durationSeconds }),
      image: 'tiny',
      program: { argv: ['true'] },
      outDir: join(directory, 'out')
    })
  }

  async function codeOfRun(mischief: Mischief, durationSeconds?: number): Promise<string> {
    const run = await submit(mischief, durationSeconds)
    return codeOf(() => run.done)
  }

  function stateOfRun(): string {
    return client.list()[0]?.state ?? 'none'
  }

  it('is believed as long as it does what an honest one does', async () => {
    const content = outputFrame(Buffer.from('hi'))
    const tar = await evilTar([{ name: 'a', content: 'A' }])
    const run = await submit({
      output: (stream) => sendOutput(stream, content),
      outputEnd: content.length,
      tar
    })
    expect((await run.done).files).to.deep.equal([{ path: 'a', sizeBytes: 1 }])
    expect(stateOfRun()).to.equal('receipt')
  })

  describe('that lies about the lease', () => {
    const now = () => Math.floor(Date.now() / 1000)
    const lies: [string, () => Mischief | Promise<Mischief>, string][] = [
      ['smaller limits', () => ({ lease: { limits: smallLimits({ cpu: 0.05 }) } }), 'ERR_LEASE_MISMATCH'],
      ['a shorter time', () => ({ lease: { exp: now() + 10 } }), 'ERR_LEASE_MISMATCH'],
      [
        'another image under the name',
        () => ({ lease: { image: { name: 'tiny', digest: digestOf('a trojan') } } }),
        'ERR_LEASE_MISMATCH'
      ],
      ['another run', () => ({ lease: { runId: '0123456789abcdefghjkmnpqrs' } }), 'ERR_PROVIDER_DISHONEST'],
      [
        'another acceptance',
        () => ({ lease: { acceptanceDigest: digestOf('x') } }),
        'ERR_PROVIDER_DISHONEST'
      ],
      ['an old lease', () => ({ lease: { iat: now() - 5000, exp: now() - 100 } }), 'ERR_PROVIDER_DISHONEST'],
      [
        'the signature of somebody else',
        async () => {
          const signer = await createIdentity()
          return { leaseSigner: signer, lease: { iss: signer.id } }
        },
        'ERR_PROVIDER_DISHONEST'
      ]
    ]
    for (const [what, mischief, code] of lies)
      it(`is sent nothing when it grants ${what}`, async () => {
        const lie = await mischief()
        expect(await codeOf(() => submit(lie))).to.equal(code)
        expect(stateOfRun()).to.equal('lost')
        expect(provider.heard).to.deep.equal(['submit'])
      })

    it('cannot speak to the terminal by its reasons, nor send a book of them', async () => {
      const refuse = (reasons: string[]): Mischief => ({
        answer: (stream, requestId) =>
          stream.send({
            kind: 'message',
            message: { type: 'refused', requestId, code: 'ERR_RULES_REFUSED', reasons }
          })
      })
      const error = await errorOf(() => submit(refuse(['\u001b[2Jall is well\u0007'])))
      expect(error).to.include({ code: 'ERR_RUN_REFUSED' })
      expect(error.reasons).to.deep.equal(['\ufffd[2Jall is well\ufffd'])
      expect(await codeOf(() => submit(refuse(Array<string>(100).fill('no'))))).to.equal(
        'ERR_PROVIDER_DISHONEST'
      )
    })

    it('is not waited for when it never answers', async () => {
      expect(await codeOf(() => submit({ deafTo: 'submit' }))).to.equal('ERR_PROVIDER_UNREACHABLE')
      expect(stateOfRun()).to.equal('lost')
    })
  })

  describe('that lies about states', () => {
    const lies: [string, Mischief][] = [
      ['the run goes back', { states: ['running', 'staged'], neverEnds: true }],
      ['a running lease was given back', { states: ['running', 'released'], neverEnds: true }],
      ['the run was refused after all', { states: ['refused'], neverEnds: true }],
      ['it took input that was not sent', { taken: { channel: CHANNEL_STDIN, offset: 99 }, neverEnds: true }],
      ['the output ends where it does not', { outputEnd: 5 }]
    ]
    for (const [what, mischief] of lies)
      it(`is not believed that ${what}`, async () => {
        const run = await submit(mischief)
        await run.writeStdin(Buffer.from('x'))
        expect(await codeOf(() => run.done)).to.equal('ERR_PROVIDER_DISHONEST')
        expect(stateOfRun()).to.equal('lost')
      })

    it('is given up when the program never ends although its lease has', async () => {
      expect(await codeOfRun({ neverEnds: true }, 1)).to.equal('ERR_PROVIDER_DISHONEST')
      expect(stateOfRun()).to.equal('lost')
    })
  })

  describe('that sends bad output', () => {
    async function spoolBytes(run: RunHandle): Promise<number> {
      return (await stat(join(directory, 'state', 'runs', run.runId, 'output.spool'))).size
    }

    it('cannot fill the disk, with large frames or with tiny ones', async () => {
      const large = outputFrame(new Uint8Array(64 * KIB))
      const tiny = Buffer.concat(Array.from({ length: 20_000 }, () => outputFrame(Buffer.from('x'))))
      for (const piece of [large, tiny]) {
        const run = await submit({
          neverEnds: true,
          output: async (stream) => {
            for (let at = 0; ; at += piece.length) await sendOutput(stream, piece, at)
          }
        })
        expect(await codeOf(() => run.done)).to.equal('ERR_PROVIDER_DISHONEST')
        expect(await spoolBytes(run)).to.be.at.most(2 * OUTPUT_BYTES_MAX + 64 * KIB)
      }
    })

    it('cannot promise a frame of four gigabytes, leave gaps, or send what is no frame', async () => {
      const endless = Buffer.from([0xff, 0xff, 0xff, 0xff, 1])
      const outputs: NonNullable<Mischief['output']>[] = [
        async (stream) => {
          await sendOutput(stream, endless)
          const data = new Uint8Array(100_000)
          for (let at = endless.length; ; at += data.length) await sendOutput(stream, data, at)
        },
        (stream) => sendOutput(stream, outputFrame(Buffer.from('x')), 100),
        (stream) => sendOutput(stream, outputFrame(Buffer.from('x'), 7)),
        (stream) => sendOutput(stream, Buffer.alloc(100)),
        (stream) => stream.send({ kind: 'data', channel: CHANNEL_FILES, offset: 0, data: new Uint8Array(5) })
      ]
      for (const [index, output] of outputs.entries()) {
        const run = await submit({ neverEnds: true, output })
        expect(await codeOf(() => run.done), String(index)).to.equal('ERR_PROVIDER_DISHONEST')
        expect(await spoolBytes(run)).to.be.at.most(2 * OUTPUT_BYTES_MAX + 64 * KIB)
      }
    })
  })

  describe('that sends bad files', () => {
    const long = 'x'.repeat(300)
    const tars: [string, Parameters<typeof evilTar>[0]][] = [
      ['a path that climbs', [{ name: '../evil', content: 'x' }]],
      ['a path that climbs from within', [{ name: 'a/../../evil', content: 'x' }]],
      ['an absolute path', [{ name: '/tmp/ishare-test-evil', content: 'x' }]],
      ['an empty part', [{ name: 'a//b', content: 'x' }]],
      ['a dot', [{ name: 'a/./b', content: 'x' }]],
      ['a link', [{ name: 'link', type: 'symlink', linkname: '/etc' }]],
      [
        'a link and a file through it',
        [
          { name: 'd', type: 'symlink', linkname: '..' },
          { name: 'd/evil', content: 'x' }
        ]
      ],
      ['a hard link', [{ name: 'hard', type: 'link', linkname: '/etc/passwd' }]],
      ['a device', [{ name: 'null', type: 'character-device', devmajor: 1, devminor: 3 }]],
      ['a disk', [{ name: 'disk', type: 'block-device', devmajor: 8, devminor: 0 }]],
      ['a pipe', [{ name: 'pipe', type: 'fifo' }]],
      [
        'a file twice',
        [
          { name: 'a', content: '1' },
          { name: 'a', content: '2' }
        ]
      ],
      [
        'a file below a file',
        [
          { name: 'a', content: '1' },
          { name: 'a/b', content: '2' }
        ]
      ],
      [
        'a file in place of a directory',
        [
          { name: 'a/b', content: '1' },
          { name: 'a', content: '2' }
        ]
      ],
      ['a name that is too long', [{ name: long, content: 'x' }]],
      ['a name that speaks to the terminal', [{ name: 'a\u001b[2J', content: 'x' }]]
    ]
    for (const [what, entries] of tars)
      it(`writes nothing when there is ${what} among good ones`, async () => {
        const tar = await evilTar([{ name: 'good', content: 'good' }, ...entries])
        await mkdir(join(directory, 'out'))
        await writeFile(join(directory, 'out', 'mine'), 'mine')
        expect(await codeOfRun({ tar })).to.equal('ERR_RUN_FILES')
        expect(await readdir(join(directory, 'out'))).to.deep.equal(['mine'])
        expect((await readdir(directory)).sort()).to.deep.equal(['out', 'state'])
        expect(stateOfRun()).to.equal('exited')
      })

    it('writes nothing through a link that is there already', async () => {
      await mkdir(join(directory, 'out'))
      await mkdir(join(directory, 'elsewhere'))
      await symlink(join(directory, 'elsewhere'), join(directory, 'out', 'd'))
      const tar = await evilTar([{ name: 'd/evil', content: 'x' }])
      expect(await codeOfRun({ tar })).to.equal('ERR_RUN_FILES')
      expect(await readdir(join(directory, 'elsewhere'))).to.deep.equal([])

      const file = join(directory, 'elsewhere', 'file')
      await writeFile(file, 'mine')
      await symlink(file, join(directory, 'out', 'f'))
      const run = await submit({ tar: await evilTar([{ name: 'f', content: 'theirs' }]) })
      await run.done
      expect(await readFile(file, 'utf8')).to.equal('mine')
      expect(await readFile(join(directory, 'out', 'f'), 'utf8')).to.equal('theirs')
    })

    it('takes no bytes that are no tar, nor more than the disk of the lease', async () => {
      await mkdir(join(directory, 'out'))
      expect(await codeOfRun({ tar: noTar() })).to.equal('ERR_RUN_FILES')
      const cut = (await evilTar([{ name: 'cut', content: Buffer.alloc(5000) }])).subarray(0, 2000)
      expect(await codeOfRun({ tar: cut })).to.equal('ERR_RUN_FILES')
      const bomb = await evilTar([{ name: 'bomb', content: Buffer.alloc(65 * MIB) }])
      expect(await codeOfRun({ tar: bomb })).to.equal('ERR_RUN_FILES')
      expect(await readdir(join(directory, 'out'))).to.deep.equal([])
    })

    it('takes neither more nor less than was said, nor a promise beyond all disks', async () => {
      const tar = await evilTar([{ name: 'a', content: 'A' }])
      for (const filesBytes of [tar.length - 1, tar.length + 1, 10 ** 15])
        expect(await codeOfRun({ tar, filesBytes }), String(filesBytes)).to.equal('ERR_PROVIDER_DISHONEST')
    })
  })

  describe('that lies in the receipt', () => {
    const lies: [string, () => Mischief | Promise<Mischief>][] = [
      ['another lease', () => ({ receipt: { leaseDigest: digestOf('x') } })],
      ['another run', () => ({ receipt: { runId: '0123456789abcdefghjkmnpqrs' } })],
      ['another outcome', () => ({ receipt: { outcome: { kind: 'status', status: 1 } } })],
      ['a time before the lease', () => ({ receipt: { startedAt: 900, endedAt: 1000 } })],
      [
        'files that were not sent',
        () => ({
          receipt: {
            used: {
              cpuSeconds: 0,
              memoryPeakBytes: 0,
              outputBytes: 0,
              outputDiscardedBytes: 0,
              filesBytes: 4096,
              bytesOut: 0
            }
          }
        })
      ],
      [
        'the signature of somebody else',
        async () => {
          const signer = await createIdentity()
          return { receiptSigner: signer, receipt: { iss: signer.id } }
        }
      ]
    ]
    for (const [what, mischief] of lies)
      it(`is caught with ${what}, and no receipt is kept`, async () => {
        expect(await codeOfRun(await mischief())).to.equal('ERR_PROVIDER_DISHONEST')
        const [run] = client.list()
        expect(run?.state).to.equal('lost')
        expect(await client.receipt(run!.runId)).to.equal(undefined)
      })
  })
})
