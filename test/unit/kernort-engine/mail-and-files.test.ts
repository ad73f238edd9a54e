/** Conversations by lines: SMTP and its mails, FTP and its files, SSH's banner. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { replay } from '../../../soda-host/kernort/harness/index.ts'
import { compileRuleset } from '../../../soda-host/kernort/rules/index.ts'
import { captureOf } from '../../helpers/captures.ts'
import { cacheDir } from '../../helpers/engine.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'
import { tcpDialogue, type Turn } from '../../helpers/traffic.ts'

const server = (text: string): Turn => ({ isFromServer: true, text })
const client = (text: string | Buffer): Turn => ({ text })
const SECRET = 'MZ this program cannot be run'

function mailed(mail: string): Turn[] {
  return [
    server('220 mail.example.org ESMTP\r\n'),
    client('EHLO laptop.example.org\r\n'),
    server('250-mail.example.org\r\n250 PIPELINING\r\n'),
    client(
      'MAIL FROM:<alice@example.org> SIZE=1000\r\nRCPT TO:<bob@example.org>\r\nRCPT TO:<eve@example.org>\r\nDATA\r\n'
    ),
    server('250 ok\r\n250 ok\r\n250 ok\r\n354 go on\r\n'),
    client(mail),
    client('.\r\nQUIT\r\n'),
    server('250 queued\r\n221 bye\r\n')
  ]
}

function multipart(encoding: string, content: string): string {
  return [
    'Subject: a picture',
    'MIME-Version: 1.0',
    'Content-Type: multipart/mixed;',
    ' boundary="=_outer one"',
    '',
    'preamble',
    '--=_outer one',
    'Content-Type: multipart/alternative; boundary=inner',
    '',
    '--inner',
    'Content-Type: text/plain',
    '',
    'hello',
    '--inner--',
    '--=_outer one',
    'Content-Type: application/octet-stream; name=picture.exe',
    `Content-Transfer-Encoding: ${encoding}`,
    '',
    content,
    '--=_outer one--',
    'epilogue',
    ''
  ].join('\r\n')
}

const base64 = (text: string): string => Buffer.from(text).toString('base64').replaceAll(/.{10}/g, '$&\r\n')

describe('lines, mails and files in the detection engine', function () {
  this.timeout(120_000)

  it('shows the commands of SMTP', async () => {
    const told = await sidsOf(
      [
        'alert smtp any any -> any any (msg:"a"; smtp.helo; content:"laptop.example.org"; bsize:18; sid:1;)',
        'alert smtp any any -> any any (msg:"a"; smtp.mail_from; content:"alice@example.org"; bsize:17; sid:2;)',
        'alert smtp any any -> any any (msg:"a"; smtp.rcpt_to; content:"eve@example.org"; bsize:15; sid:3;)',
        'alert smtp any any -> any any (msg:"a"; smtp.rcpt_to; content:"alice"; sid:4;)'
      ],
      tcpDialogue(mailed('Subject: x\r\n\r\nRCPT TO:<alice@example.org>\r\n'), { port: 25 })
    )
    expect(told).to.deep.equal([1, 2, 3])
  })

  const FILE = [
    `alert tcp any any -> any any (msg:"a"; flow:to_server; file_data; content:"${SECRET}"; depth:${SECRET.length}; sid:1;)`,
    'alert tcp any any -> any any (msg:"a"; file_data; content:"epilogue"; sid:2;)',
    'alert tcp any any -> any any (msg:"a"; file_data; content:"hello"; depth:5; sid:3;)'
  ]

  it('decodes the parts of a mail, each a file', async () => {
    for (const [encoding, content] of [
      ['base64', base64(SECRET)],
      ['BASE64', base64(SECRET)],
      ['quoted-printable', SECRET.replaceAll('i', '=69').replace('program', 'pro=\r\ngram')],
      ['8bit', SECRET]
    ] as const) {
      const frames = tcpDialogue(mailed(multipart(encoding, content)), { port: 25 })
      expect(await sidsOf(FILE, frames), encoding).to.deep.equal([1, 3])
    }
  })

  it('reads mail in whatever pieces it comes, with its dots, and by BDAT', async () => {
    const mail = multipart('base64', base64(SECRET))
    const pieces = (text: string): Turn[] =>
      Array.from({ length: text.length }, (_, at) => client(text.charAt(at)))
    const turns = mailed('')
    const bySingleBytes = [...turns.slice(0, 5), ...pieces(mail), ...turns.slice(6)]
    expect(await sidsOf(FILE, tcpDialogue(bySingleBytes, { port: 25 }))).to.deep.equal([1, 3])
    const dotted = `Subject: x\r\n\r\n..\r\n.${SECRET}\r\n`
    const rule = `alert smtp any any -> any any (msg:"a"; file_data; content:".|0d 0a|${SECRET}"; sid:1;)`
    expect(await sidsOf([rule], tcpDialogue(mailed(dotted), { port: 25 }))).to.deep.equal([1])
    const half = Math.floor(mail.length / 2)
    const byChunks = [
      ...turns.slice(0, 3),
      client(
        `MAIL FROM:<a@b>\r\nBDAT ${half}\r\n${mail.slice(0, half)}BDAT ${mail.length - half} LAST\r\n${mail.slice(half)}`
      )
    ]
    const whole = [FILE[1] ?? '', FILE[2] ?? '']
    expect(await sidsOf(whole, tcpDialogue(byChunks, { port: 25 }))).to.deep.equal([3])
  })

  it('reads no mail that the server did not ask for, and nothing after STARTTLS', async () => {
    const text = `Content-Type: text/plain\r\n\r\n${SECRET}\r\n`
    const refused = mailed(text).with(4, server('250 ok\r\n250 ok\r\n250 ok\r\n554 no\r\n'))
    expect(await sidsOf(FILE, tcpDialogue(refused, { port: 25 }))).to.deep.equal([])
    const encrypted = [
      ...mailed(text).slice(0, 3),
      client('STARTTLS\r\n'),
      server('220 go\r\n'),
      ...mailed(text).slice(3)
    ]
    expect(await sidsOf(FILE, tcpDialogue(encrypted, { port: 25 }))).to.deep.equal([])
  })

  it('shows the commands of FTP, and what comes through the connections that they announce', async () => {
    const rules = [
      'alert ftp any any -> any any (msg:"a"; ftp.command; content:"RETR"; ftp.command_data; content:"picture.exe"; bsize:11; sid:1;)',
      `alert ftp-data any any -> any any (msg:"a"; file_data; content:"${SECRET}"; sid:2;)`
    ]
    const login = [
      server('220 ftp\r\n'),
      client('USER anonymous\r\n'),
      server('331 password\r\n'),
      client('PASS x\r\n'),
      server('230 ok\r\n')
    ]
    for (const [asked, answered] of [
      ['PASV', '227 Entering Passive Mode (10,0,0,2,31,64)'],
      ['EPSV', '229 Entering Extended Passive Mode (|||8000|)']
    ]) {
      const control = tcpDialogue(
        [...login, client(`${asked}\r\n`), server(`${answered}\r\n`), client('RETR picture.exe\r\n')],
        { port: 21, isLeftOpen: true }
      )
      const file = tcpDialogue([server(SECRET)], { port: 8000, clientPort: 5000 })
      expect(await sidsOf(rules, [...control, ...file]), asked).to.deep.equal([1, 2])
      const other = tcpDialogue([server(SECRET)], { port: 8001, clientPort: 5000 })
      expect(await sidsOf(rules, [...control, ...other]), asked).to.deep.equal([1])
    }
  })

  it('shows the versions that SSH begins with', async () => {
    const rules = [
      'alert ssh any any -> any any (msg:"a"; flow:to_client; ssh.software; content:"dropbear_2020.81"; bsize:16; sid:1;)',
      'alert ssh any any -> any any (msg:"a"; flow:to_server; ssh.proto; content:"2.0"; bsize:3; sid:2;)'
    ]
    const turns = [server('SSH-2.0-dropbear_2020.81 comment\r\n'), client('SSH-2.0-OpenSSH_9.2\r\n')]
    expect(await sidsOf(rules, tcpDialogue(turns, { port: 22 }))).to.deep.equal([1, 2])
  })
})

async function sidsOf(rules: readonly string[], frames: readonly Buffer[]): Promise<number[]> {
  const { table, coverage } = compileRuleset([{ file: 'lines.rules', text: rules.join('\n') }])
  expect(coverage.refusals).to.deep.equal([])
  await using directory = await temporaryDirectory()
  const path = join(directory.path, 'lines.pcap')
  await writeFile(path, captureOf(frames))
  const { alerts } = await replay(table.bytes, path, { cacheDir, ignoresChecksums: true })
  return alerts.map(({ sid }) => sid)
}
