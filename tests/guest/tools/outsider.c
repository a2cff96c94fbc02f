/* A service that reaches for what its service.conf does not list, beside what it does: an I/O port, a page of device memory, a line.
 *
 *     ioport 0x80 1
 *     memory 0xfed40000 0x1000
 *     lines 20 1
 *
 * Says "kept inside" on the log when all of it was refused, and last reads the port beside its own, which is to end it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/sys/error.h"
#include "lib/sys/startup.h"
#include "lib/sys/syscall.h"

#define PORT   0x80
#define MEMORY UINT64_C(0xfed40000)
#define LINE   20u

static void want(const char *what, int64_t result, int64_t wanted)
{
    if (wanted ? result == wanted : result >= 0)
        return;
    fprintf(stderr, "%s: %s (%" PRId64 ")\n", what, error_text(result), result);
    exit(1);
}

static uint8_t port_in(uint16_t port)
{
    uint8_t value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

int main(void)
{
    handle_t ports = startup_require("ioport:0x80"), memory = startup_require("memory:0xfed40000"),
             lines = startup_require("lines:0x14");

    want("its port", sys_ioport_grant(ports), 0);
    port_in(PORT);
    want("the port beside", sys_resource_create(ports, RESOURCE_IOPORT, PORT + 1, 1), -E_RANGE);
    want("two ports", sys_resource_create(ports, RESOURCE_IOPORT, PORT, 2), -E_RANGE);
    want("its memory", sys_memory_physical(memory, MEMORY, PAGE_SIZE, CACHE_NONE), 0);
    want("the page behind", sys_memory_physical(memory, MEMORY + PAGE_SIZE, PAGE_SIZE, CACHE_NONE),
         -E_RANGE);
    want("the page in front",
         sys_memory_physical(memory, MEMORY - PAGE_SIZE, 2 * PAGE_SIZE, CACHE_NONE), -E_RANGE);
    want("RAM", sys_memory_physical(memory, 0x100000, PAGE_SIZE, CACHE_NONE), -E_RANGE);
    want("DMA memory", sys_memory_physical(memory, 0, PAGE_SIZE, MEMORY_STAYS), -E_RANGE);
    want("its line", sys_irq_bind(lines, LINE, IRQ_LEVEL | IRQ_LOW, NULL), 0);
    want("the line beside", sys_irq_bind(lines, LINE + 1, IRQ_LEVEL | IRQ_LOW, NULL), -E_RANGE);
    want("a line by a right to ports", sys_irq_bind(ports, LINE, IRQ_LEVEL | IRQ_LOW, NULL),
         -E_RANGE);
    if (startup_handle("resource") != HANDLE_NONE)
        want("the root of all", -E_EXISTS, 0);
    fprintf(stderr, "kept inside\n");
    port_in(PORT + 1);
    fprintf(stderr, "read a port that is not its own\n");
    return 1;
}
