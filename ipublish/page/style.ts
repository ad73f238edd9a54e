/** The page's style sheet. It is named by its digest in the Content-Security-Policy. */
export const STYLE = `
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 20%, transparent); }
body { font: 1rem/1.55 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
h1 { line-height: 1.2; }
h2 { margin-top: 2rem; border-bottom: 1px solid var(--line); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1.5rem; }
dt { font-weight: 600; }
dd { margin: 0; }
table { border-collapse: collapse; }
th, td { text-align: left; padding: .25rem 1rem .25rem 0; border-bottom: 1px solid var(--line); }
code, pre, .terms { font-family: ui-monospace, monospace; font-size: .9rem; overflow-wrap: anywhere; }
pre, .terms { border: 1px solid var(--line); border-radius: .4rem; padding: .75rem; white-space: pre-wrap; }
.terms { unicode-bidi: isolate; }
ul.labels { display: flex; flex-wrap: wrap; gap: .5rem; padding: 0; list-style: none; }
ul.labels li { border: 1px solid var(--line); border-radius: 1rem; padding: 0 .75rem; }
`
