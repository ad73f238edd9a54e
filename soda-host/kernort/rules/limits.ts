/** What a hostile rule file may cost. The table's own bounds are in `table/layout.ts`. */

/** The ET Open set is 17 MB. */
export const RULE_FILE_BYTES_MAX = 64 * 1024 * 1024
/** One rule with its continuation lines. Suricata takes 8 KiB, the longest rule in use here is 6 KiB. */
export const RULE_BYTES_MAX = 64 * 1024
export const RULE_OPTIONS_MAX = 256
export const RULES_MAX = 131_072
export const CONTENT_BYTES_MAX = 2048
/** Nested `[...]` of addresses or ports, and variables in variables. */
export const GROUP_DEPTH_MAX = 8
export const GROUP_ITEMS_MAX = 16_384
/** Refusals that are kept with their text; the rest is only counted. */
export const REFUSALS_KEPT_MAX = 10_000
