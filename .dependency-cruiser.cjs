// Who may import whom. The table is in docs/architecture; a line here is a line there.
const GROUND = '^src/(documents|rules|wire|identity|config)/|^src/(errors|constants)\\.ts$'
const FEATURES = ['ipublish', 'idiscover', 'irun', 'icompose', 'ifactory']

module.exports = {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'no-unresolvable',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true, pathNot: '^node:' }
    },
    {
      name: 'ground-stands-alone',
      severity: 'error',
      from: { path: GROUND },
      to: { path: '^(src|ipublish|idiscover|irun|icompose|ifactory|soda-host|test|bench)/', pathNot: GROUND }
    },
    ...FEATURES.map((feature) => ({
      name: `${feature}-knows-only-the-ground`,
      severity: 'error',
      from: { path: `^${feature}/` },
      to: {
        path: '^(src|ipublish|idiscover|irun|icompose|ifactory|soda-host|test|bench)/',
        pathNot: `${GROUND}|^${feature}/`
      }
    })),
    {
      name: 'soda-host-knows-only-the-ground',
      severity: 'error',
      from: { path: '^soda-host/' },
      to: { path: '^(src|ipublish|idiscover|irun|icompose|ifactory|test|bench)/', pathNot: GROUND }
    },
    {
      name: 'soda-host-knows-no-peers-and-no-pages',
      severity: 'error',
      from: { path: '^soda-host/' },
      to: { path: 'node_modules/(@?libp2p|htmlparser2)' }
    },
    {
      name: 'processes-are-owned-in-few-places',
      severity: 'error',
      from: {
        pathNot: '^(soda-host/(virtual-server|switch|factory|resources|daemon)|src/(setup|cli)|test|bench)/'
      },
      to: { path: 'node_modules/execa' }
    },
    {
      name: 'front-doors-only',
      comment: 'plugin and cli enter a feature through its index.ts',
      severity: 'error',
      from: { path: '^src/(index|plugin)\\.ts$|^src/cli/' },
      to: {
        path: '^(ipublish|idiscover|irun|icompose|ifactory|soda-host/[a-z-]+)/',
        pathNot: '/index\\.ts$'
      }
    },
    {
      name: 'nothing-imports-tests',
      severity: 'error',
      from: { pathNot: '^(test|bench)/' },
      to: { path: '^(test|bench)/' }
    }
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    // Without these names ESM-only packages such as libp2p are silently not seen.
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'module-sync', 'node', 'default', 'types'],
      extensions: ['.ts', '.js', '.mjs', '.json']
    }
  }
}
