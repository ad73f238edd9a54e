// SPDX-License-Identifier: GPL-2.0-only
/* Reading a stamp that may be anything. */
#include "stamp.h"

const char *kernort_stamp_check(const u8 *bytes)
{
	const struct kernort_stamp *stamp = (const struct kernort_stamp *)bytes;

	if (memcmp(stamp->magic, KERNORT_STAMP_MAGIC, sizeof(stamp->magic)))
		return "no magic";
	if (!stamp->version && !stamp->recipients)
		return NULL;
	if (stamp->version != KERNORT_STAMP_VERSION)
		return "unknown version";
	if (stamp->size < sizeof(*stamp) || stamp->size > KERNORT_STAMP_SECTION_SIZE)
		return "size out of range";
	if (stamp->policy_size > stamp->size - sizeof(*stamp))
		return "policy longer than the stamp";
	if (stamp->recipients > KERNORT_RECIPIENTS_MAX)
		return "too many recipients";
	if (stamp->flags & ~(u32)KERNORT_STAMP_SEVERITY_VISIBLE || stamp->reserved)
		return "unknown flags";
	return NULL;
}
