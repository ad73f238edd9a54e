import { expect } from 'chai'
import { optionsOf, refusalOf, ruleWith } from '../../helpers/ruleset.ts'

/** What must be taken, and what it must mean. */
const TAKEN: Readonly<Record<string, readonly [options: string, expected: object]>> = {
  'byte_test with everything': [
    'content:"a"; byte_test:2,!>,0x10,-4,relative,little,bitmask 0xff00;',
    {
      kind: 'byte_test',
      count: 2,
      offset: -4,
      relative: true,
      order: 'little',
      negated: true,
      compare: '>',
      value: 16n,
      bitmask: 0xff00,
      base: undefined
    }
  ],
  'byte_test of text': [
    'content:"a"; byte_test:5,<,65537,0,relative,string,dec;',
    {
      kind: 'byte_test',
      count: 5,
      offset: 0,
      relative: true,
      order: 'big',
      negated: false,
      compare: '<',
      value: 65537n,
      bitmask: 0,
      base: 10
    }
  ],
  byte_jump: [
    'content:"a"; byte_jump:4,8,relative,align,multiplier 2,post_offset -3;',
    {
      kind: 'byte_jump',
      count: 4,
      offset: 8,
      relative: true,
      order: 'big',
      base: undefined,
      bitmask: 0,
      multiplier: 2,
      align: true,
      from: 'here',
      postOffset: -3
    }
  ],
  'isdataat negated': [
    'content:"a"; isdataat:!1,relative;',
    { kind: 'isdataat', negated: true, relative: true, at: 1 }
  ],
  base64_decode: [
    'content:"a"; base64_decode:bytes 12, offset 3, relative; base64_data; content:"x";',
    { kind: 'base64_decode', bytes: 12, offset: 3, relative: true }
  ],
  asn1: [
    'content:"a"; asn1:oversize_length 1024,relative_offset -1;',
    {
      kind: 'asn1',
      bitstringOverflow: false,
      doubleOverflow: false,
      oversizeLength: 1024,
      absoluteOffset: undefined,
      relativeOffset: -1
    }
  ],
  'pcre with flags': [
    String.raw`content:"a"; pcre:!"/b\/c/Rsmi";`,
    { kind: 'regex', source: String.raw`b\/c`, flags: 'ims', negated: true, relative: true }
  ]
}

/** Packet options: text to the only one that comes of it. */
const PACKET: Readonly<Record<string, object>> = {
  'dsize:10<>20;': { kind: 'field', field: 'dsize', test: { compare: 'between', low: 11, high: 19 } },
  'ttl:>5;': { kind: 'field', field: 'ttl', test: { compare: '>', low: 5, high: 5 } },
  'id:!7;': { kind: 'field', field: 'id', test: { compare: '!=', low: 7, high: 7 } },
  'flags:SF,12;': { kind: 'flags', mode: 'exact', flags: 3, ignored: 0xc0 },
  'flags:A+;': { kind: 'flags', mode: 'all', flags: 0x10, ignored: 0 },
  'flags:0;': { kind: 'flags', mode: 'exact', flags: 0, ignored: 0 },
  'fragbits:MD*;': { kind: 'fragbits', mode: 'any', bits: 0x6000 },
  'ipopts:lsrr;': { kind: 'ipopts', option: 'lsrr' },
  'stream_size:server,<,5;': { kind: 'stream_size', side: 'server', test: { compare: '<', low: 5, high: 5 } },
  'ip_proto:!tcp;': { kind: 'field', field: 'ip_proto', test: { compare: '!=', low: 6, high: 6 } },
  'rpc:100009,*,1;': { kind: 'rpc', program: 100_009, version: undefined, procedure: 1 },
  'flowbits:isset,a|b;': { kind: 'flowbits', isSet: true, names: ['a', 'b'] },
  'xbits:isnotset,x,track ip_pair;': { kind: 'xbits', isSet: false, name: 'x', track: 'by_both' },
  'flowint:n,>,3;': { kind: 'flowint', name: 'n', compare: '>', value: 3 },
  'tls.version:1.2;': { kind: 'tls_version', versions: 16, negated: false },
  'ssl_state:!client_hello;': { kind: 'ssl_state', states: 1, negated: true },
  'dce_opnum:1,5-7;': {
    kind: 'dce_opnum',
    ranges: [
      [1, 1],
      [5, 7]
    ]
  }
}

const REFUSED: Readonly<Record<string, string>> = {
  'byte_test:9,>,1,0;': 'value@9,>,1,0; sid',
  'byte_test:2,~,1,0;': 'value@~,1,0; sid:1',
  'byte_test:2,>,1;': 'value@2,>,1; sid:1',
  'byte_test:2,>,1,0,big,little;': 'combination@little; sid:',
  'byte_test:2,>,1,0,hex;': 'combination@2,>,1,0,hex;',
  'byte_test:2,>,unknown,0;': 'variable@unknown,0; s',
  'byte_test:2,>,99999999999999999999,0;': 'value@999999999999',
  'byte_jump:2,0,from_beginning,from_end;': 'combination@from_end; si',
  'byte_jump:2,0,sideways;': 'value@sideways; si',
  'byte_extract:2,0,1x;': 'value@1x; sid:1;)',
  'byte_math:bytes 1,offset 0,oper /,rvalue 0,result r;': 'value@0,result r; ',
  'isdataat:x;': 'variable@x; sid:1;)',
  'bsize:3;': 'combination@bsize:3; sid',
  'urilen:5<>5;': 'value@5<>5; sid:1;',
  'urilen:5,both;': 'value@5,both; sid:',
  'asn1:relative_offset 1;': 'value@relative_off',
  'flow:to_server,to_client;': 'combination@to_client; s',
  'flow:established,stateless;': 'combination@stateless; s',
  'flow:sideways;': 'value@sideways; si',
  'flow:to_server; flow:established;': 'combination@flow:establi',
  'flowbits:isset;': 'value@isset; sid:1',
  'flowbits:reset,a;': 'value@reset,a; sid',
  'flowbits:noalert,a;': 'value@a; sid:1;)',
  'xbits:set,x;': 'value@set,x; sid:1',
  'flowint:n,+;': 'value@+; sid:1;)',
  'threshold:type limit, track by_src, count 1;': 'value@type limit, ',
  'threshold:type limit, track by_src, count 0, seconds 1;': 'value@0, seconds 1',
  'threshold:type never, track by_src, count 1, seconds 1;': 'value@never, track',
  'detection_filter:track by_src, count 1, seconds 1; threshold:type limit, track by_src, count 1, seconds 1;':
    'combination@threshold:ty',
  'tag:session,5,bottles;': 'value@bottles; sid',
  'flags:X;': 'value@X; sid:1;)',
  'flags:S; flags:A;': 'combination@flags:A; sid',
  'itype:8;': 'combination@itype:8; sid',
  'ttl:256;': 'value@256; sid:1;)',
  'dsize:<0;': 'value@<0; sid:1;)',
  'ipopts:xyz;': 'value@xyz; sid:1;)',
  'stream_size:server,<;': 'value@server,<; si',
  'nonsense:1;': 'unknown-keyword@nonsense:1; ',
  'lua:x.lua;': 'unsupported@lua:x.lua; s',
  'sid:1;': 'combination@sid:1;)',
  'priority:0;': 'value@0; sid:1;)',
  'reference:url;': 'value@url; sid:1;)',
  'noalert:1;': 'syntax@1; sid:1;)',
  'content;': 'syntax@content; sid',
  ';': 'syntax@; sid:1;)',
  'pcre:"abc";': 'syntax@abc"; sid:1;',
  'pcre:"/a/q";': 'regex@q"; sid:1;)',
  'pcre:"/a/UH";': 'combination@H"; sid:1;)',
  'pcre:"/(a/";': 'regex@/"; sid:1;)',
  'pcre:"/a{3,2}/";': 'regex@/"; sid:1;)',
  'pcre:"/*a/";': 'regex@*a/"; sid:1;',
  'pcre:"/(?R)/";': 'unsupported@R)/"; sid:1;',
  'http.uri; content:"a"; dns.query; content:"b";': 'combination@tcp any any ',
  'http.uri; content:"a"; http.stat_code; content:"200";': 'combination@tcp any any ',
  'flow:to_client; http.uri; content:"a";': 'combination@tcp any any ',
  'dotprefix; content:"a";': 'combination@dotprefix; c',
  'http.host; content:"a"; dotprefix;': 'combination@dotprefix; s'
}

describe('keywords', () => {
  for (const [what, [options, expected]] of Object.entries(TAKEN))
    it(`reads ${what}`, () => {
      const { blocks } = ruleWith(options)
      expect(blocks[0]?.options.at(-1)).to.deep.equal(expected)
    })

  for (const [options, expected] of Object.entries(PACKET))
    it(`reads ${options}`, () => {
      expect(ruleWith(options).packet).to.deep.equal([expected])
    })

  it('reads what is remembered and how often it is told', () => {
    const rule = ruleWith(
      'flowbits:set,a; xbits:set,x,track ip_src,expire 9; tag:session,5,packets; threshold:type both, track by_dst, count 3, seconds 60;'
    )
    expect(rule.effects.map(({ kind }) => kind)).to.deep.equal(['flowbits', 'xbits', 'tag'])
    expect(rule.threshold).to.deep.equal({ type: 'both', track: 'by_dst', count: 3, seconds: 60 })
  })

  it('lets a relative option follow the match before it into its buffer', () => {
    expect(optionsOf('content:"a"; http_uri; isdataat:5,relative;').map(({ kind }) => kind)).to.deep.equal([
      'content',
      'isdataat'
    ])
  })

  it('uses variables only after they are extracted', () => {
    expect(ruleWith('byte_extract:1,0,n; content:"a"; offset:n;').blocks[0]?.options).to.have.length(2)
    expect(refusalOf('content:"a"; offset:n; byte_extract:1,0,n;')).to.equal('variable@n; byte_extr')
  })

  it('keeps several questions of one DNS rule apart, and joins what looks at one URI', () => {
    expect(ruleWith('dns.query; content:"a"; dns.query; content:"b";').blocks).to.have.length(2)
    expect(
      ruleWith('http.uri; content:"a"; http.method; content:"GET"; http.uri; content:"b";').blocks
    ).to.have.length(2)
  })

  it('takes the direction from the buffers', () => {
    expect(ruleWith('http.uri; content:"a";').flow.direction).to.equal('to_server')
    expect(ruleWith('http.stat_code; content:"200";')).to.have.nested.property('flow.direction', 'to_client')
    expect(ruleWith('http.uri; content:"a";').app).to.equal('http')
  })

  for (const [options, refusal] of Object.entries(REFUSED))
    it(`refuses ${options}`, () => {
      expect(refusalOf(options)).to.equal(refusal)
    })
})
