/**
 * The resolver as a process of its own, in the gateway's namespace, without privileges: it reads what guests and
 * strangers write. It says what it found; the daemon decides, looks at every address again, and changes the rules.
 * When the daemon goes away, so does it.
 */
import { Resolver } from './resolver.ts'
import { order, type Report } from './messages.ts'

/** nobody */
const UID = 65_534
const [address = '', port = ''] = process.argv.slice(2)
const waiting = new Map<number, (addresses: readonly string[]) => void>()
let number = 0

const tell = (report: Report): void => {
  process.send?.(report)
}
const resolver = new Resolver({
  admit: (admission) => {
    const { promise, resolve } = Promise.withResolvers<readonly string[]>()
    waiting.set(++number, resolve)
    tell({ kind: 'admit', number, ...admission })
    return promise
  },
  denied: (denial) => tell({ kind: 'denied', ...denial })
})

process.on('disconnect', () => process.exit())
process.on('message', (message) => {
  const told = order.parse(message)
  if (told.kind === 'configure') resolver.configure(told)
  else if (told.kind === 'names') {
    resolver.setNames(told.client, told.names)
    tell({ kind: 'named', number: told.number })
  } else {
    waiting.get(told.number)?.(told.addresses)
    waiting.delete(told.number)
  }
})

await resolver.listen(address, Number(port))
process.setgroups?.([])
process.setgid?.(UID)
process.setuid?.(UID)
tell({ kind: 'listening' })
