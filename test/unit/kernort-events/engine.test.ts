import { expect } from 'chai'
import { judge, type Act } from '../../helpers/events.ts'

const exec = (path: string, args: string, fields: Record<string, number | string> = {}): Act => ({
  kind: 'exec',
  fields: { 'exec.path': path, 'exec.args': args, 'parent.name': 'httpd', ...fields }
})

describe('rules on system calls', function () {
  this.timeout(120_000)

  it('match the texts of their events, and only those', async () => {
    const rules = `
      alert syscall any any -> any any (msg:"a shell"; event:exec; exec.path; content:"/bin/sh"; endswith; sid:1;)
      alert syscall (msg:"interactive"; event:exec; exec.args; pcre:"/^\\S*sh -i\\b/"; sid:2;)
      alert syscall (msg:"written"; event:write; file.path; content:"/etc/"; startswith; sid:3;)`
    const acts: Act[] = [
      exec('/bin/sh', 'sh -c ls'),
      exec('/bin/sh', 'sh -i'),
      exec('/bin/shred', 'shred -i'),
      exec('/bin/busybox', '/bin/sh -i'),
      { kind: 'write', fields: { 'file.path': '/etc/passwd' } },
      { kind: 'read', fields: { 'file.path': '/etc/passwd' } }
    ]
    expect(await judge(rules, acts)).to.deep.equal([
      'allowed 1',
      'allowed 1 2',
      'allowed',
      'allowed 2',
      'allowed 3',
      'allowed'
    ])
  })

  it('match numbers, words and their negations, and nothing that an event does not tell', async () => {
    const rules = `
      alert syscall (event:exec; stdio:socket|local; uid:!0; sid:1;)
      alert syscall (event:exec; stdio:!socket; sid:2;)
      alert syscall (event:cred; cred.euid_before:>0; cred.euid_after:0; cred.saved_uid:!0; sid:3;)
      alert syscall (event:signal; signal.number:9-15; target.pid:1; sid:4;)`
    const acts: Act[] = [
      exec('/a', 'a', { stdio: 1, uid: 5 }),
      exec('/a', 'a', { stdio: 1, uid: 0 }),
      exec('/a', 'a', { stdio: 12, uid: 5 }),
      exec('/a', 'a'),
      { kind: 'cred', fields: { 'cred.euid_before': 33, 'cred.euid_after': 0, 'cred.saved_uid': 33 } },
      { kind: 'cred', fields: { 'cred.euid_before': 33, 'cred.euid_after': 0, 'cred.saved_uid': 0 } },
      { kind: 'signal', fields: { 'signal.number': 15, 'target.pid': 1 } },
      { kind: 'signal', fields: { 'signal.number': 16, 'target.pid': 1 } }
    ]
    expect(await judge(rules, acts)).to.deep.equal([
      'allowed 1',
      'allowed',
      'allowed 2',
      'allowed',
      'allowed 3',
      'allowed',
      'allowed 4',
      'allowed'
    ])
  })

  it('say by their header where a process connects to, and who connects to it', async () => {
    const rules = `
      alert syscall any any -> !10.0.0.0/8 [4444,8000:9000] (event:connect; sid:1;)
      alert syscall 192.168.0.0/16 any -> any any (event:accept; sid:2;)
      alert syscall any any -> any 22 (event:bind|listen; sid:3;)`
    const acts: Act[] = [
      { kind: 'connect', to: '1.2.3.4:4444' },
      { kind: 'connect', to: '10.2.3.4:4444' },
      { kind: 'connect', to: '1.2.3.4:80' },
      { kind: 'accept', to: '192.168.7.7:5000' },
      { kind: 'accept', to: '1.2.3.4:4444' },
      { kind: 'listen', to: '0.0.0.0:22' },
      { kind: 'connect', fields: { 'socket.path': '/dev/log' } }
    ]
    expect(await judge(rules, acts)).to.deep.equal([
      'allowed 1',
      'allowed',
      'allowed',
      'allowed 2',
      'allowed',
      'allowed 3',
      'allowed'
    ])
  })

  it('deny what a drop or reject rule matches, unless a pass rule does', async () => {
    const rules = `
      drop syscall (msg:"no programs but its own"; event:exec; exec.path; content:!"/usr/sbin/httpd"; sid:1;)
      reject syscall (event:write; file.path; content:"/etc/"; startswith; noalert; sid:2;)
      pass syscall (event:exec; exec.path; content:"/bin/date"; bsize:9; sid:3;)`
    const acts: Act[] = [
      exec('/bin/sh', 'sh'),
      exec('/usr/sbin/httpd', 'httpd'),
      exec('/bin/date', 'date'),
      { kind: 'write', fields: { 'file.path': '/etc/shadow' } },
      { kind: 'write', fields: { 'file.path': '/tmp/x' } }
    ]
    expect(await judge(rules, acts)).to.deep.equal(['denied 1', 'allowed', 'allowed', 'denied', 'allowed'])
  })

  it('learn what a service starts, and tell of each program that is new afterwards, once', async () => {
    const rules = 'alert syscall (event:exec; exec.path; first_time:60; sid:1;)'
    const at = (seconds: number, path: string): Act => ({ ...exec(path, path), seconds })
    const acts = [at(1, '/a'), at(59, '/b'), at(60, '/a'), at(61, '/c'), at(62, '/c'), at(900, '/b')]
    expect(await judge(rules, acts)).to.deep.equal([
      'allowed',
      'allowed',
      'allowed',
      'allowed 1',
      'allowed',
      'allowed'
    ])
  })

  it('go on telling when more was new than can be remembered', async () => {
    const rules = 'alert syscall (event:exec; exec.path; first_time; sid:1;)'
    const acts = Array.from({ length: 5000 }, (_, number) => exec(`/${number}`, ''))
    const outcomes = await judge(rules, [...acts, exec('/4999', '')])
    expect(new Set(outcomes)).to.deep.equal(new Set(['allowed 1']))
  })

  it('remember by flowbits what a process did, through forks and execs to its end', async () => {
    const rules = `
      alert syscall (event:connect; flowbits:set,called; flowbits:noalert; sid:1;)
      alert syscall (event:exec; flowbits:isset,called; exec.path; content:"/bin/sh"; sid:2;)`
    const sh = (pid: number): Act => ({ ...exec('/bin/sh', 'sh'), pid })
    const acts: Act[] = [
      { kind: 'connect', pid: 5, to: '1.2.3.4:4' },
      { fork: [5, 6] },
      { fork: [7, 8] },
      sh(5),
      sh(6),
      sh(8),
      { exit: 6 },
      sh(6)
    ]
    expect(await judge(rules, acts)).to.deep.equal([
      'allowed',
      'allowed',
      'allowed',
      'allowed 2',
      'allowed 2',
      'allowed',
      'allowed',
      'allowed'
    ])
  })

  it('count by process or together, for thresholds and detection filters', async () => {
    const rules = `
      alert syscall (event:connect; threshold:type limit,track by_rule,count 1,seconds 10; sid:1;)
      alert syscall (event:connect; detection_filter:track by_src,count 2,seconds 10; sid:2;)`
    const acts = [1, 1, 1, 2, 1].map((pid, index): Act => ({ kind: 'connect', pid, seconds: index * 3 }))
    expect(await judge(rules, acts)).to.deep.equal([
      'allowed 1',
      'allowed',
      'allowed 2',
      'allowed',
      'allowed 1'
    ])
  })

  it('cost an act no more than is bounded, and say so when rules were not tried', async () => {
    const dear = Array.from(
      { length: 60 },
      (_, index) => `alert syscall (event:exec; exec.args; pcre:"/(a*)*\\1${index}b$/"; sid:${index + 2};)`
    ).join('\n')
    const rules = `alert syscall (event:exec; exec.path; content:"/x"; sid:1;)\n${dear}`
    const outcomes = await judge(rules, [exec('/x', 'a'.repeat(16_000)), exec('/x', 'aa')])
    expect(outcomes).to.deep.equal(['allowed cut 1', 'allowed 1'])
  })

  it('tell the gravest of many first, and say no more than eight at once', async () => {
    const rules = Array.from(
      { length: 12 },
      (_, index) => `alert syscall (event:exec; priority:${(index % 4) + 1}; sid:${index + 1};)`
    ).join('\n')
    expect(await judge(rules, [exec('/a', 'a')])).to.deep.equal(['allowed 1 5 9 2 6 10 3 7'])
  })
})

describe('rules on consoles', function () {
  this.timeout(120_000)

  const shown = (bytes: string, terminal = 1): Act => ({ terminal, kind: 'shown', bytes })
  const typed = (bytes: string, terminal = 1): Act => ({ terminal, kind: 'typed', bytes })
  const rules = `
    alert console (msg:"typed"; flow:to_server; content:"wget "; pcre:"/\\bhttp:/R"; sid:1;)
    alert console (msg:"shown"; flow:to_client; content:"root@"; nocase; sid:2;)
    alert console (msg:"either"; content:"secret"; sid:3;)`

  it('look at whole lines, in whatever pieces they come', async () => {
    const acts = [
      typed('wg'),
      typed('et htt'),
      typed('p://x\r'),
      shown('Root@host'),
      shown(':~# \r\nsecret\n')
    ]
    expect(await judge(rules, acts)).to.deep.equal([
      'allowed',
      'allowed',
      'allowed 1',
      'allowed',
      'allowed 2 3'
    ])
  })

  it('keep terminals and directions apart', async () => {
    const acts = [typed('sec', 1), typed('ret\r', 2), shown('ret\n', 1), typed('ret\r', 1)]
    expect(await judge(rules, acts)).to.deep.equal(['allowed', 'allowed', 'allowed', 'allowed 3'])
  })

  it('read as a person does: what is rubbed out is gone, colours are no letters', async () => {
    const acts = [
      typed('secrxx\x7f\x7fet\r'),
      typed('secret\x15nothing\r'),
      shown('\x1b[31msec\x1b[0mret\n'),
      shown('\x1b]0;secret\x07\n'),
      shown('secx\b \bret\n')
    ]
    expect(await judge(rules, acts)).to.deep.equal([
      'allowed 3',
      'allowed',
      'allowed 3',
      'allowed',
      'allowed 3'
    ])
  })

  it('find a word in a line that is too long, wherever it is cut', async () => {
    for (const before of [1000, 1018, 1022, 1024, 3000])
      expect(await judge(rules, [shown(`${'x'.repeat(before)}secret\n`)])).to.deep.equal(['allowed 3'])
  })
})
