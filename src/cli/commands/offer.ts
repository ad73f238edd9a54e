import { Command } from 'commander'
import { firstOffer, sourcesOf, withConsumer } from '../consumer.ts'
import { offerFacts, offerRulesText } from '../offer-text.ts'
import { jsonOption, networkOptions, queryOf, wantedOptions, type WantedFlags } from '../options.ts'
import { printFacts, printJson } from '../output.ts'

export function offerCommand(): Command {
  const show = new Command('show')
    .description('show one offer: what is lent, under which rules and terms')
    .argument(
      '[place]',
      'a page (https://…), a peer id or a multiaddr; without one, the first in the DHT that fits'
    )
  const action = async (place: string | undefined, flags: WantedFlags & { json?: boolean }) => {
    await withConsumer({ ...flags }, async (peer, config) => {
      const sources = sourcesOf(place === undefined ? [] : [place], config)
      const found = await firstOffer(peer, sources, queryOf(flags))
      if (flags.json === true) printJson({ digest: found.digest, offer: found.payload, token: found.token })
      else {
        printFacts(offerFacts(found), false)
        console.log(`\n${offerRulesText(found)}`)
      }
    })
  }
  return new Command('offer')
    .description('look at an offer')
    .addCommand(jsonOption(wantedOptions(networkOptions(show))).action(action))
}
