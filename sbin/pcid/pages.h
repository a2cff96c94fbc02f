/* Pages for an IOMMU's tables: RAM that stays, kept with pcid's port, so that it is not somebody else's while an IOMMU may still
 * look into it, not even when pcid dies.
 *
 *     pages_start(port)       from here on; what a pcid before had stays beside it
 *     pages_tables            get, put, at
 *     pages_forget_old()      nobody looks at the tables of before any more
 *
 * One thread.
 */
#pragma once

#include "abi/abi.h"
#include "sbin/pcid/domain.h"

extern const struct table_pages pages_tables;

void pages_start(handle_t port);
/* The IOMMUs do not look into CPUs' caches: what is written is flushed. */
void pages_not_snooped(void);
void pages_forget_old(void);
