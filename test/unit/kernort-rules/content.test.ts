import { expect } from 'chai'
import { optionsOf, refusalOf, ruleWith } from '../../helpers/ruleset.ts'

function patternOf(text: string): string {
  const [content] = optionsOf(`content:${text};`)
  return content?.kind === 'content' ? Buffer.from(content.pattern).toString('latin1') : ''
}

describe('content and its modifiers', () => {
  it('reads text, bytes in hexadecimal, and escapes', () => {
    expect(patternOf('"GET|20 0d0A|x"')).to.equal('GET \r\nx')
    expect(patternOf(String.raw`"a\;b\"c\\d\:e"`)).to.equal('a;b"c\\d:e')
  })

  it('keeps each modifier with the content before it', () => {
    const [first, second] = optionsOf(
      'content:"abc"; offset:2; depth:9; nocase; content:!"de"; distance:-1; within:7;'
    )
    expect(first).to.include({
      kind: 'content',
      offset: 2,
      depth: 9,
      nocase: true,
      relative: false,
      negated: false
    })
    expect(second).to.include({
      kind: 'content',
      offset: -1,
      depth: 7,
      nocase: false,
      relative: true,
      negated: true
    })
  })

  it('makes a depth of startswith and a mark of endswith', () => {
    expect(optionsOf('content:"abc"; startswith; endswith;')[0]).to.include({
      depth: 3,
      offset: 0,
      endsWith: true
    })
  })

  it('gives the same tree for a modifier of Snort and a sticky buffer of Suricata', () => {
    const snort = ruleWith('content:"/a"; http_uri; nocase; content:"b"; http_uri; distance:0;')
    const suricata = ruleWith('http.uri; content:"/a"; nocase; content:"b"; distance:0;')
    expect(snort.blocks).to.deep.equal(suricata.blocks)
    expect(ruleWith('uricontent:"/a"; nocase;').blocks[0]?.buffer).to.equal('http_uri')
  })

  const refused: Readonly<Record<string, readonly [options: string, refusal: string]>> = {
    'a pattern that is empty': ['content:"";', 'value@""; sid:1;)'],
    'a pattern without quotes': ['content:abc;', 'syntax@abc; sid:1;)'],
    'half a byte': ['content:"a|0|b";', 'syntax@|0|b"; sid:1'],
    'a bar that is not closed': ['content:"a|00";', 'syntax@|00"; sid:1;'],
    'a digit that is none': ['content:"|0g|";', 'syntax@|0g|"; sid:1'],
    'a quote inside that is not escaped': ['content:"a"b";', 'syntax@"b"; sid:1;)'],
    'a depth that the content does not fit in': ['content:"abcd"; depth:3;', 'combination@3; sid:1;)'],
    'a within that the content does not fit in': [
      'content:"a"; content:"abcd"; within:3;',
      'combination@3; sid:1;)'
    ],
    'offset and distance for one content': ['content:"a"; offset:1; distance:1;', 'combination@distance:1; '],
    'depth and within for one content': ['content:"a"; depth:1; within:1;', 'combination@within:1; si'],
    'startswith beside a depth': ['content:"a"; depth:5; startswith;', 'combination@startswith; '],
    'a modifier twice': ['content:"a"; nocase; nocase;', 'combination@nocase; sid:'],
    'a modifier without a content': ['nocase; content:"a";', 'combination@nocase; cont'],
    'a buffer without a content': ['http_uri;', 'combination@http_uri; si'],
    'two buffers for one content': ['content:"a"; http_uri; http_header;', 'combination@http_header;'],
    'raw bytes of a buffer': ['content:"a"; rawbytes; http_uri;', 'combination@http_uri; si'],
    'two fast patterns': [
      'content:"a"; fast_pattern; content:"b"; fast_pattern;',
      'combination@fast_pattern'
    ],
    'a fast pattern that ends behind its content': ['content:"abc"; fast_pattern:1,3;', 'value@1,3; sid:1;)'],
    'a fast pattern that is negated and placed': [
      'content:!"abc"; depth:9; fast_pattern;',
      'combination@!"abc"; dept'
    ],
    'fast_pattern:only with a position': [
      'content:"abc"; offset:1; fast_pattern:only;',
      'combination@"abc"; offse'
    ],
    'a position that is no number': ['content:"a"; offset:x;', 'variable@x; sid:1;)'],
    'a position beyond 16 bits': ['content:"a"; offset:65536;', 'value@65536; sid:1'],
    'a content longer than the packet may be': ['dsize:<3; content:"abcd";', 'combination@tcp any any '],
    'a content longer than the buffer may be': [
      'http.uri; content:"abcd"; bsize:3;',
      'combination@tcp any any '
    ],
    'a sticky buffer that nothing looks at': ['http.uri; http.host; content:"a";', 'combination@http.uri; ht']
  }
  for (const [what, [options, refusal]] of Object.entries(refused))
    it(`refuses ${what}, with the place`, () => {
      expect(refusalOf(options)).to.equal(refusal)
    })
})
