import { Command } from 'commander'
import {
  collect,
  jsonOption,
  networkOptions,
  queryOf,
  sliceWords,
  wantedOptions,
  type WantedFlags
} from '../options.ts'
import { believedFactories } from '../kernel-wish.ts'
import { note, printJson, printTable } from '../output.ts'
import { sourcesOf, whyNot, withConsumer } from '../consumer.ts'
import type { Discovery } from '../../../idiscover/index.ts'
import { EXIT_UNAVAILABLE } from '../exit-status.ts'

interface Flags extends WantedFlags {
  json?: boolean
  why?: boolean
  first?: boolean
}

export function discoverCommand(): Command {
  const command = new Command('discover')
    .description('find offers on pages, at peers, and in the DHT')
    .argument('[place...]', 'pages (https://…), peer ids or multiaddrs; without any, the DHT')
    .option(
      '--factories <place>',
      'only offers that boot kernels of one of these, as peer ids; may be repeated',
      collect
    )
    .option('--why', 'say why other offers do not fit')
    .option('--first', 'stop at the first that fits')
  return jsonOption(wantedOptions(networkOptions(command))).action(discover)
}

async function discover(places: string[], flags: Flags): Promise<void> {
  await withConsumer({ ...flags }, async (peer, config) => {
    const factories = believedFactories(config)
    const query = { ...queryOf(flags), ...(factories.length === 0 ? {} : { factories }) }
    let count = 0
    for await (const found of peer.services.ishare.discover({ ...sourcesOf(places, config), query })) {
      show(found, flags)
      if (found.kind === 'offer') count += 1
      if (count > 0 && flags.first === true) break
    }
    if (count > 0) return
    note(flags.why === true ? 'No offer fits.' : 'No offer fits; --why says why not.')
    process.exitCode = EXIT_UNAVAILABLE
  })
}

function show(found: Discovery, flags: Flags): void {
  if (found.kind !== 'offer') {
    if (flags.json === true && flags.why === true)
      printJson({ kind: found.kind, source: found.source, why: whyNot(found) })
    else if (flags.why === true) for (const line of whyNot(found)) note(`  ${line}`)
    return
  }
  const { payload, digest } = found.offer
  if (flags.json === true) {
    printJson({ kind: 'offer', digest, source: found.source, offer: payload, token: found.offer.token })
    return
  }
  const place = found.source.kind === 'page' ? found.source.url : found.source.kind
  printTable(
    ['PROVIDER', 'SLICE', 'IMAGES', 'LABELS', 'FROM'],
    [
      [
        payload.iss,
        sliceWords(payload.slice, payload.slice.count),
        payload.images.map((image) => image.name).join(' '),
        payload.labels.join(' '),
        place
      ]
    ]
  )
}
