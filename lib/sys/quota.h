/* Limits of accounts (abi/quotas.def, docs/quotas.md), as configuration and command lines name them.
 *
 *     uint64_t limits[QUOTA_COUNT];
 *     quota_none(limits);                              no limits
 *     wrong = quota_parse(limits, "memory", "64M");    NULL, or what is wrong
 */
#pragma once

#include "abi/abi.h"
#include "lib/base/base.h"

const char *quota_name(enum quota quota);
void quota_none(uint64_t limits[QUOTA_COUNT]);
/* value: a number as C writes it; K, M or G behind it: times 2^10, 2^20, 2^30. */
MUST_CHECK const char *quota_parse(uint64_t limits[QUOTA_COUNT], const char *name,
                                   const char *value);
