/* Why a process ended, in words. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* status: of abi_process_info. */
void status_describe(uint32_t status, char *text, size_t size);
