/** What apt prints, read: pure functions. */

/** One version of a package, as the signed index describes it. */
export interface PackageVersion {
  package: string
  version: string
  architecture: string
  sha256: string
  sizeBytes: number
}

/** Origin, codename and address of an index that the machine's apt knows, for `apt-get indextargets --format`. */
export const TARGET_FORMAT = '$(ORIGIN)|$(CODENAME)|$(REPO_URI)'

/**
 * The mirror this machine already uses, from the output of `apt-get indextargets` in {@link TARGET_FORMAT}.
 *
 * Lists that were never fetched have no origin yet: then the usual last part of the path must do.
 */
export function mirrorFromTargets(output: string): string | undefined {
  const targets = output.split('\n').map((line) => {
    const [origin = '', codename = '', uri = ''] = line.split('|')
    return { origin, codename, uri }
  })
  const usable = targets.filter(({ uri }) => /^[a-z+]+:\/?/.test(uri) && !uri.startsWith('cdrom:'))
  const main = usable.find(({ origin, codename }) => origin === 'Debian' && !codename.endsWith('-security'))
  const guess = usable.find(
    ({ origin, uri }) => (origin === '' || origin.startsWith('$')) && /\/debian\/?$/.test(uri)
  )
  const uri = (main ?? guess)?.uri
  return uri?.replace(/\/*$/, '/')
}

/** The fraction that a line of apt's status descriptor reports: `dlstatus:1:12.3456:Retrieving file 1 of 2`. */
export function aptFraction(line: string): number | undefined {
  const match = /^(?:dlstatus|pmstatus):[^:]*:(\d+(?:\.\d+)?):/.exec(line)
  return match === null ? undefined : Math.min(Number(match[1]) / 100, 1)
}

/** What `apt-cache show` prints: one paragraph per version. */
export function parsePackageVersions(output: string): PackageVersion[] {
  return output.split(/\n\s*\n/).flatMap((paragraph) => {
    const field = (name: string): string => new RegExp(`^${name}: (\\S+)$`, 'm').exec(paragraph)?.[1] ?? ''
    const found = {
      package: field('Package'),
      version: field('Version'),
      architecture: field('Architecture'),
      sha256: field('SHA256'),
      sizeBytes: Number(field('Size'))
    }
    const isWhole = found.package !== '' && found.version !== '' && /^[0-9a-f]{64}$/.test(found.sha256)
    return isWhole && Number.isSafeInteger(found.sizeBytes) ? [found] : []
  })
}

/** The name under which `apt-get download` leaves a package: the epoch's colon is written %3a. */
export function debFileName({ package: name, version, architecture }: PackageVersion): string {
  return `${name}_${version.replaceAll(':', '%3a')}_${architecture}.deb`
}
