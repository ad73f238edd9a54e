/** The layout of rules on events: `include/kernort_event.h`, said again. A test compares the two. */

export const EVENT_RULES_MAX = 1024
export const EVENT_BITS_MAX = 64

/** Behind the options of packets. */
export const EVENT_OPTION = { NUMBER: 0x80, BITS_TEST: 0x81, BITS_SET: 0x82, FIRST_TIME: 0x83 } as const
export type EventOptionCode = (typeof EVENT_OPTION)[keyof typeof EVENT_OPTION]
