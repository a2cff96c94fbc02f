/* The functions of the machine and whose they are: what outlives pcid, in memory and under keys that its port keeps.
 *
 *     table_start(port)               kept by the port from pcid's predecessor, or made by looking at every function
 *     table_at(index)                 index < table_count()
 *     KEY_FUNCTION, KEY_INTERRUPT     the keys of what a function's driver has: dma.h, interrupt.h
 *
 * Who holds the port could have written the table: nothing in it is believed that could lead anybody astray, but for what
 * pci_read found. One thread.
 */
#pragma once

#include "abi/abi.h"
#include "lib/base/base.h"
#include "sbin/pcid/function.h"

struct record {
    struct pci_function function;
    uint64_t next_dma, dma_bytes;
    uint64_t resets;  /* how often it was taken from a driver */
    uint64_t revoked; /* its owner may do no more than let go of it */
};

/* Of a function's DMA memories, by number below 2^32 (those that are lent behind the others), and of its interrupts by slot. */
#define KEY_FUNCTION(index) ((uint64_t)((index) + 1) << 32)
#define KEY_LENT(index)     (KEY_FUNCTION(index) | UINT64_C(0x80000000))
#define KEY_INTERRUPT       (UINT64_C(1) << 63)

MUST_CHECK int64_t table_start(handle_t port);
uint32_t table_count(void);
struct record *table_at(uint32_t index);

/* A line of the log about it. */
void table_report(uint32_t index, const char *what);

/* The next of the keys from *from on, and below end. */
bool kept_next(handle_t port, uint64_t *from, uint64_t end);
/* Whether somebody besides the port has what is kept under keys from `from` on, and below end. */
bool kept_used(handle_t port, uint64_t from, uint64_t end);
