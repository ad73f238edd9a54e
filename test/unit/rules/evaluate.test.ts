import { expect } from 'chai'
import fc from 'fast-check'
import { GIB, MIB } from '../../../src/constants.ts'
import type { Limits } from '../../../src/documents/index.ts'
import {
  accessRules,
  defaultRules,
  describeRules,
  evaluate,
  parseRules,
  type AccessRequest,
  type AccessRules,
  type RefusalCode
} from '../../../src/rules/index.ts'
import { sampleLimits } from '../../helpers/documents.ts'
import { errorOf } from '../../helpers/errors.ts'

const ANN = `12D3KooW${'A'.repeat(44)}`
const BOB = `12D3KooW${'B'.repeat(44)}`
const NOW = Date.UTC(2026, 0, 14, 12)

function rulesWith(changes: object = {}): AccessRules {
  return accessRules.parse({
    who: { kind: 'anyone' },
    perRun: sampleLimits({ cpu: 1, memoryBytes: GIB, diskBytes: GIB, durationSeconds: 7200 }),
    egress: { kind: 'none' },
    concurrentRunsPerPeer: 2,
    mayFreeze: true,
    ...changes
  })
}

function requestWith(changes: Partial<AccessRequest> = {}): AccessRequest {
  return { peer: ANN, limits: sampleLimits(), runsOfPeer: 0, ...changes }
}

function codesOf(rules: AccessRules, request: AccessRequest, nowMs = NOW): RefusalCode[] {
  const decision = evaluate(rules, request, nowMs)
  return decision.allowed ? [] : decision.reasons.map(({ code }) => code)
}

describe('rules: evaluate', () => {
  it('allows exactly what was asked, and outside what the rules say', () => {
    const request = requestWith()
    const nothing = { egress: { kind: 'none' }, inboundPorts: [] }
    const { limits } = request
    expect(evaluate(rulesWith(), request, NOW)).to.deep.equal({ allowed: true, limits, ...nothing })
    const something = { egress: { kind: 'internet' as const }, inboundPorts: [8080] }
    expect(evaluate(rulesWith(something), request, NOW)).to.deep.include({ limits, ...something })
  })

  it('allows the very limits, and nothing above any of them', () => {
    const rules = rulesWith()
    expect(codesOf(rules, requestWith({ limits: rules.perRun }))).to.deep.equal([])
    expect(codesOf(rules, requestWith({ rulesetBytes: 64 * MIB }))).to.deep.equal([])
    expect(codesOf(rules, requestWith({ rulesetBytes: 64 * MIB + 1 }))).to.deep.equal(['ruleset'])
    const expected: Record<keyof Limits, RefusalCode> = {
      cpu: 'cpu',
      memoryBytes: 'memory',
      diskBytes: 'disk',
      processesMax: 'processes',
      outboundBitsPerSecond: 'bandwidth',
      outputBytesMax: 'output',
      durationSeconds: 'duration'
    }
    for (const [name, code] of Object.entries(expected) as [keyof Limits, RefusalCode][]) {
      const limits = { ...rules.perRun, [name]: rules.perRun[name] + 1 }
      expect(codesOf(rules, requestWith({ limits })), name).to.deep.equal([code])
    }
  })

  it('gives every reason at once, naming what was asked and what is allowed', () => {
    const limits = sampleLimits({ cpu: 8, memoryBytes: 4 * GIB, durationSeconds: 86_400 })
    const decision = evaluate(rulesWith(), requestWith({ limits, runsOfPeer: 2 }), NOW)
    expect(decision).to.deep.equal({
      allowed: false,
      reasons: [
        { code: 'cpu', message: 'CPU: asked 8, allowed 1 a run' },
        { code: 'memory', message: 'memory: asked 4 GiB, allowed 1 GiB a run' },
        { code: 'duration', message: 'duration: asked 1d, allowed 2h a run' },
        { code: 'concurrent-runs', message: '2 runs of this peer now, allowed 2' }
      ]
    })
  })

  it('lets named peers in, and nobody else', () => {
    const rules = rulesWith({ who: { kind: 'peers', peers: [ANN] } })
    expect(codesOf(rules, requestWith({ peer: ANN }))).to.deep.equal([])
    expect(codesOf(rules, requestWith({ peer: BOB }))).to.deep.equal(['who'])
  })

  it('lets in who holds a token of the issuer with every claim that is asked for', () => {
    const jwk = { kty: 'OKP', crv: 'Ed25519', x: 'A'.repeat(43) }
    const who = { kind: 'token', issuer: 'https://lab', jwk, claims: { group: 'physics', level: 2 } }
    const rules = rulesWith({ who })
    const holding = (claims?: Record<string, unknown>) =>
      codesOf(rules, requestWith(claims === undefined ? {} : { claims }))
    expect(holding({ iss: 'https://lab', group: 'physics', level: 2, more: 1 })).to.deep.equal([])
    expect(holding()).to.deep.equal(['token'])
    expect(holding({ iss: 'https://other', group: 'physics', level: 2 })).to.deep.equal(['token'])
    expect(holding({ iss: 'https://lab', group: 'physics', level: '2' })).to.deep.equal(['token'])
    expect(holding({ iss: 'https://lab' })).to.deep.equal(['token', 'token'])
    const inherited = rulesWith({ who: { ...who, claims: { constructor: 'x' } } })
    expect(codesOf(inherited, requestWith({ claims: { iss: 'https://lab' } }))).to.deep.equal(['token'])
  })

  it('refuses what the slice has no room for', () => {
    const free = { cpu: 0.4, memoryBytes: GIB, diskBytes: GIB, servers: 0 }
    const decision = evaluate(rulesWith(), requestWith({ free }), NOW)
    expect(decision).to.deep.equal({
      allowed: false,
      reasons: [
        { code: 'slice', message: 'CPU: asked 0.5, free 0.4' },
        { code: 'slice', message: 'all virtual servers of the slice are taken' }
      ]
    })
  })

  it('refuses a run that would outlast its window, and says how long there is', () => {
    const rules = rulesWith({ windows: [{ days: ['wed'], from: '08:00', to: '12:30' }] })
    expect(codesOf(rules, requestWith({ limits: sampleLimits({ durationSeconds: 1800 }) }))).to.deep.equal([])
    const decision = evaluate(rules, requestWith({ limits: sampleLimits({ durationSeconds: 1801 }) }), NOW)
    expect(decision).to.deep.equal({
      allowed: false,
      reasons: [{ code: 'window', message: 'asked 30m 1s, but it closes in 30m; open wed 08:00-12:30 (UTC)' }]
    })
    expect(codesOf(rules, requestWith(), NOW + 1800_000)).to.deep.equal(['window'])
  })
})

const anyLimits = fc.record({
  cpu: fc.oneof(fc.double(), fc.integer({ min: 0, max: 4 })),
  memoryBytes: fc.oneof(fc.double(), fc.integer({ min: 0, max: 2 * GIB })),
  diskBytes: fc.oneof(fc.double(), fc.integer({ min: 0, max: 2 * GIB })),
  processesMax: fc.oneof(fc.double(), fc.integer({ min: 0, max: 100 })),
  outboundBitsPerSecond: fc.constantFrom(0, 1, NaN),
  outputBytesMax: fc.oneof(fc.double(), fc.integer({ min: 0, max: 32 * MIB })),
  durationSeconds: fc.oneof(fc.double(), fc.integer({ min: 1, max: 10_000 }))
})

describe('rules: properties of evaluate', () => {
  const windows = [
    { days: ['mon', 'tue', 'wed', 'thu', 'fri'], from: '18:00', to: '08:00' },
    { days: ['sat', 'sun'], from: '00:00', to: '24:00' }
  ]
  const rules = rulesWith({ windows, timeZone: 'Europe/Berlin', who: { kind: 'peers', peers: [ANN] } })
  const anyRequest = fc.record({
    peer: fc.constantFrom(ANN, BOB),
    limits: anyLimits,
    runsOfPeer: fc.integer({ min: 0, max: 4 }),
    free: fc.record({
      cpu: fc.double({ min: 0, max: 2, noNaN: true }),
      memoryBytes: fc.integer({ min: 0, max: GIB }),
      diskBytes: fc.integer({ min: 0, max: GIB }),
      servers: fc.integer({ min: 0, max: 2 })
    })
  })
  const anyTime = fc.integer({ min: Date.UTC(2025, 0), max: Date.UTC(2027, 0) })

  it('what is allowed was asked, is within the rules, within the slice and by one of the peers', () => {
    fc.assert(
      fc.property(anyRequest, anyTime, (request, now) => {
        const decision = evaluate(rules, request, now)
        if (!decision.allowed) {
          expect(decision.reasons).to.not.be.empty
          return
        }
        expect(decision.limits).to.deep.equal(request.limits)
        for (const name of Object.keys(rules.perRun) as (keyof Limits)[])
          expect(decision.limits[name]).to.be.within(0, rules.perRun[name])
        expect(decision.limits.cpu).to.be.at.most(request.free.cpu)
        expect(request.runsOfPeer).to.be.below(2)
        expect(request.peer).to.equal(ANN)
      }),
      { numRuns: 500 }
    )
  })

  it('who asks for less is not refused where more was allowed', () => {
    const within = rulesWith({ windows, timeZone: 'Europe/Berlin' })
    const share = fc.double({ min: 0.01, max: 1, noNaN: true })
    fc.assert(
      fc.property(share, share, share, anyTime, (cpu, memory, duration, now) => {
        const more = requestWith({ limits: within.perRun })
        if (!evaluate(within, more, now).allowed) return
        const { perRun } = within
        const limits = {
          ...perRun,
          cpu: perRun.cpu * cpu,
          memoryBytes: Math.floor(perRun.memoryBytes * memory),
          durationSeconds: Math.ceil(perRun.durationSeconds * duration)
        }
        expect(codesOf(within, requestWith({ limits }), now)).to.deep.equal([])
      })
    )
  })

  it('stricter rules never allow what looser ones refuse', () => {
    const looser = rulesWith({
      concurrentRunsPerPeer: 4,
      perRun: sampleLimits({ cpu: 2, memoryBytes: 2 * GIB, diskBytes: 2 * GIB, durationSeconds: 9000 })
    })
    fc.assert(
      fc.property(anyRequest, anyTime, (request, now) => {
        if (evaluate(rules, request, now).allowed) expect(codesOf(looser, request, now)).to.deep.equal([])
      }),
      { numRuns: 500 }
    )
  })

  it('does not change what it is given', () => {
    const request = Object.freeze({ ...requestWith(), limits: Object.freeze(sampleLimits()) })
    const frozen = structuredClone(rules)
    evaluate(rules, request, NOW)
    expect(rules).to.deep.equal(frozen)
  })
})

describe('rules: files and words', () => {
  const file = {
    who: { kind: 'anyone' },
    perRun: { ...sampleLimits(), memoryBytes: '512M', durationSeconds: '2h', outboundBitsPerSecond: '10M' },
    windows: [{ days: ['mon', 'tue'], from: '18:00', to: '08:00' }],
    timeZone: 'Europe/Berlin',
    egress: { kind: 'none' },
    concurrentRunsPerPeer: 1,
    mayFreeze: true
  }

  it('are read with quantities as people write them', () => {
    expect(parseRules(JSON.stringify(file)).perRun).to.deep.include({
      memoryBytes: 512 * MIB,
      durationSeconds: 7200,
      outboundBitsPerSecond: 10_000_000
    })
  })

  it('are refused with the field that is wrong', async () => {
    const cases: [object, RegExp][] = [
      [{ perRun: { ...file.perRun, memoryBytes: 'lots' } }, /expected a size/],
      [{ perRun: { ...file.perRun, cpu: 0 } }, /perRun\.cpu/],
      [{ timeZone: 'Nowhere' }, /timeZone: not a time zone/],
      [{ windows: [{ days: ['mon'], from: '08:00', to: '08:00' }] }, /windows\.0\.to: equals from/],
      [{ windows: [{ days: ['mon'], from: '24:00', to: '08:00' }] }, /windows\.0\.from/],
      [{ windows: [{ days: [], from: '01:00', to: '08:00' }] }, /windows\.0\.days/],
      [
        {
          who: {
            kind: 'token',
            issuer: 'i',
            jwk: { kty: 'OKP', crv: 'Ed25519', x: 'A'.repeat(43), d: 'secret' }
          }
        },
        /who\.jwk/
      ],
      [{ who: { kind: 'friends' } }, /who/],
      [{ extra: 1 }, /extra/]
    ]
    for (const [changes, message] of cases) {
      const error = await errorOf(() => parseRules(JSON.stringify({ ...file, ...changes })))
      expect(error).to.have.property('code', 'ERR_RULES_FORMAT')
      expect(error.message).to.match(message)
    }
    expect(await errorOf(() => parseRules('{'))).to.have.property('code', 'ERR_RULES_FORMAT')
  })

  it('by default give each run at most the slice', () => {
    const slice = { cpu: 2, memoryBytes: GIB, diskBytes: 4 * GIB, servers: 3 }
    expect(defaultRules(slice).perRun).to.deep.include({ cpu: 2, memoryBytes: GIB, diskBytes: 4 * GIB })
    expect(defaultRules(slice).concurrentRunsPerPeer).to.equal(3)
  })

  it('are said in plain lines', () => {
    expect(describeRules(parseRules(JSON.stringify(file)))).to.deep.equal([
      'Who: anyone.',
      'A run may have up to 0.5 CPU, 512 MiB of memory, 256 MiB of disk and 64 processes, for 2h.',
      'Output is kept up to 16 MiB a run.',
      'Runs of one peer at the same time: 1.',
      'When: open mon tue 18:00-08:00 (Europe/Berlin).',
      'Network: none.',
      'The owner may freeze runs when they need the machine.'
    ])
    const other = rulesWith({
      who: { kind: 'peers', peers: [ANN] },
      egress: { kind: 'allow', to: [{ host: 'example.org', protocol: 'tcp', port: 443 }] },
      inboundPorts: [8080],
      mayFreeze: false
    })
    expect(describeRules(other)).to.include.members([
      `Who: these peers: ${ANN}.`,
      'Network: only to example.org tcp/443; up to 0 bit/s outbound guaranteed, more while others leave it.',
      'Inbound ports: 8080.',
      'When: open always.'
    ])
    const say = (rulesetBytes: number) =>
      describeRules(rulesWith({ perRun: { ...other.perRun, rulesetBytes } }))
    expect(say(0)).to.include('Detection rules of a tenant are not taken.')
    expect(say(MIB)).to.include('Detection rules of a tenant are taken up to 1 MiB, compiled.')
    const jwk = { kty: 'OKP', crv: 'Ed25519', x: 'A'.repeat(43) }
    const token = rulesWith({
      who: { kind: 'token', issuer: 'https://lab', jwk, claims: { group: 'physics' } },
      egress: { kind: 'internet' }
    })
    expect(describeRules(token)).to.include.members([
      'Who: holders of a token of https://lab that says group: "physics".',
      "Network: the Internet, up to 0 bit/s outbound guaranteed, more while others leave it; never the owner's own network."
    ])
  })
})
