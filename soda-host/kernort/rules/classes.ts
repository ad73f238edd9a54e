/** Classes of attacks and their priorities: 1 is worst. */

export interface Classes {
  priorityOf(name: string | undefined): number
  textOf(name: string | undefined): string
}

interface ClassRow {
  readonly priority: number
  readonly text: string
}

/** What Snort and Suricata give to a class that they do not know. */
const UNKNOWN_PRIORITY = 3

/** The names that both engines ship, by priority. */
const SHIPPED: Readonly<Record<number, string>> = {
  1: [
    'attempted-user unsuccessful-user successful-user attempted-admin successful-admin shellcode-detect',
    'trojan-activity web-application-attack inappropriate-content policy-violation file-format malware-cnc',
    'client-side-exploit targeted-activity exploit-kit domain-c2 credential-theft command-and-control'
  ].join(' '),
  2: [
    'bad-unknown attempted-recon successful-recon-limited successful-recon-largescale attempted-dos',
    'successful-dos rpc-portmap-decode suspicious-filename-detect suspicious-login system-call-detect',
    'unusual-client-port-connection denial-of-service non-standard-protocol web-application-activity misc-attack',
    'default-login-attempt sdf pup-activity social-engineering coin-mining external-ip-check'
  ].join(' '),
  3: [
    'not-suspicious unknown string-detect network-scan protocol-command-decode misc-activity icmp-event'
  ].join(' '),
  4: 'tcp-connection'
}

/** `config classification: name,text,priority` */
const LINE = /^config\s+classification\s*:\s*([\w.-]{1,64})\s*,([^,]{0,256}),\s*([1-9]\d{0,2})\s*$/

/**
 * @param text - a classification.config to add to those that the engines ship; lines not understood are passed over
 */
export function readClasses(text = ''): Classes {
  const rows = new Map<string, ClassRow>()
  for (const [priority, names] of Object.entries(SHIPPED))
    for (const name of names.split(' '))
      rows.set(name, { priority: Number(priority), text: name.replaceAll('-', ' ') })
  for (const line of text.split('\n')) {
    const [, name, words = '', priority] = LINE.exec(line.trim()) ?? []
    if (name !== undefined && Number(priority) <= 255)
      rows.set(name, { priority: Number(priority), text: words.trim() })
  }
  return {
    priorityOf: (name) => rows.get(name ?? '')?.priority ?? UNKNOWN_PRIORITY,
    textOf: (name) => rows.get(name ?? '')?.text ?? name ?? ''
  }
}
