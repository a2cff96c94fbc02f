/* One entry of a memory map into a space: what space_map and process_exec share. */
#pragma once

#include "kernel/handle.h"

struct space;

/* map is kernel memory; its memory handle is looked up in handles. E_INVALID, E_EXISTS, E_NO_MEMORY, E_ACCESS. */
int map_into(struct space *space, struct handle_table *handles, const struct abi_map *map,
             uint64_t *address) MUST_CHECK;
