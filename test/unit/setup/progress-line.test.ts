import { expect } from 'chai'
import { progressLine } from '../../../src/setup/index.ts'

/** A place to write to, with a clock that stands until it is moved. */
function screen(isTTY: boolean, columns = 40) {
  const written: string[] = []
  const clock = { now: 0 }
  const output = { isTTY, columns, write: (text: string) => written.push(text) }
  return { written, clock, show: progressLine(output, () => clock.now) }
}

describe('progress', () => {
  it('on a terminal stays on one line, no wider than the screen, until the step is done', () => {
    const { written, clock, show } = screen(true)
    for (const fraction of [0, 0.25, 0.5]) {
      clock.now += 1000
      show({ task: 'compiling', fraction, detail: `CC ${'very/long/'.repeat(10)}file.o` })
    }
    show({ task: 'compiling', isDone: true })
    for (const text of written.slice(0, 3)) {
      expect(text.startsWith('\r\u001b[2K')).to.equal(true)
      expect(text.replace('\r\u001b[2K', '').length).to.be.below(40)
      expect(text).to.not.include('\n')
    }
    expect(written[1]).to.include('compiling  25%  CC very')
    expect(written.at(-1)).to.equal('\r\u001b[2K  compiling: done in 2.0 s\n')
  })

  it('on a terminal is not redrawn for every event', () => {
    const { written, clock, show } = screen(true)
    for (let step = 0; step < 1000; step++) {
      clock.now += 1
      show({ task: 'compiling', fraction: step / 1000 })
    }
    expect(written.length).to.be.within(5, 15)
  })

  it('in a log is a whole line, now and then, and at the end', () => {
    const { written, clock, show } = screen(false)
    for (let second = 0; second < 60; second++) {
      clock.now = second * 1000
      show({ task: 'compiling', fraction: second / 60 })
    }
    show({ task: 'compiling', isDone: true, detail: '60 steps' })
    expect(written).to.deep.equal([
      '  compiling  0%\n',
      '  compiling  25%\n',
      '  compiling  50%\n',
      '  compiling  75%\n',
      '  compiling: done in 59.0 s  60 steps\n'
    ])
  })

  it('shows a warning at once, wherever it is', () => {
    const { written, show } = screen(false)
    show({ task: 'compiling' })
    show({ task: 'the source has left the archive', isWarning: true })
    expect(written.at(-1)).to.equal('  warning: the source has left the archive\n')
  })

  it('passes no control character of another program on to the terminal', () => {
    const { written, show } = screen(true, 200)
    show({ task: 'installing', detail: 'evil\u001b[2J\u0007\r\nmore\u009b31m' })
    expect(written[0]?.replace('\r\u001b[2K', '')).to.equal('  installing  evil [2J more 31m')
  })
})
