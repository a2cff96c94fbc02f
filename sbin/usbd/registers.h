/* Registers of an xHCI host controller (xHCI 1.2, chapter 5): offsets and bits. */
#pragma once

#include "lib/base/base.h"

/* Capability registers, from the start of BAR 0 (5.3). */
enum capability_register {
    XHCI_LENGTH =
        0x00, /* low byte: where the operational registers begin; high half: the version */
    XHCI_PARAMETERS1 = 0x04,
    XHCI_PARAMETERS2 = 0x08,
    XHCI_CAPABILITIES = 0x10,
    XHCI_DOORBELLS = 0x14,
    XHCI_RUNTIME = 0x18,
};

#define XHCI_SLOTS(parameters1)   ((parameters1)&0xff)
#define XHCI_PORTS(parameters1)   ((parameters1) >> 24)
#define XHCI_SCRATCH(parameters2) (((parameters2) >> 16 & 0x3e0) | ((parameters2) >> 27))
#define XHCI_64                   0x01u /* addresses */
#define XHCI_CONTEXT_64           0x04u
#define XHCI_PORT_POWER           0x08u
#define XHCI_STREAMS(capabilities) \
    ((capabilities) >> 12 & 0xf) /* the longest array has 2 << this; 0: none */
#define XHCI_EXTENDED(capabilities) ((capabilities) >> 16 << 2) /* an offset; 0: none */

/* Operational registers (5.4). */
enum operational_register {
    XHCI_COMMAND = 0x00,
    XHCI_STATUS = 0x04,
    XHCI_PAGE_SIZE = 0x08,
    XHCI_RING = 0x18,    /* the command ring; 64 bits */
    XHCI_DEVICES = 0x30, /* the table of device contexts; 64 bits */
    XHCI_CONFIGURE = 0x38,
    XHCI_PORT = 0x400, /* the first port's; + 16 for each */
};

#define XHCI_RUN        0x0001u
#define XHCI_RESET      0x0002u
#define XHCI_INTERRUPT  0x0004u
#define XHCI_HALTED     0x0001u
#define XHCI_HOST_ERROR 0x0004u
#define XHCI_EVENT      0x0008u
#define XHCI_NOT_READY  0x0800u
#define XHCI_INTERNAL   0x1000u
#define XHCI_RING_CYCLE 0x1u
#define XHCI_RING_ABORT 0x4u

/* A port (5.4.8). What is written as 1 has an effect in those of PORT_ACTS. */
#define PORT_CONNECTED     0x00000001u
#define PORT_ENABLED       0x00000002u /* writing 1 disables */
#define PORT_OVER_CURRENT  0x00000008u
#define PORT_RESET         0x00000010u
#define PORT_LINK(status)  ((status) >> 5 & 0xf)
#define PORT_POWER         0x00000200u
#define PORT_SPEED(status) ((status) >> 10 & 0xf)
#define PORT_INDICATORS    0x0000c000u
#define PORT_CONNECT       0x00020000u /* changes, from here on */
#define PORT_ENABLE_CHANGE 0x00040000u
#define PORT_WARM_CHANGE   0x00080000u
#define PORT_CURRENT       0x00100000u
#define PORT_RESET_CHANGE  0x00200000u
#define PORT_LINK_CHANGE   0x00400000u
#define PORT_ERROR_CHANGE  0x00800000u
#define PORT_CHANGES       0x00fe0000u
#define PORT_WAKE          0x0e000000u
#define PORT_WARM_RESET    0x80000000u
#define PORT_KEPT          (PORT_POWER | PORT_INDICATORS | PORT_WAKE)

/* Runtime registers: of the first interrupter (5.5.2). */
enum runtime_register {
    XHCI_INTERRUPTER = 0x20,
    XHCI_MODERATION = 0x24,
    XHCI_SEGMENTS = 0x28,
    XHCI_SEGMENT_TABLE = 0x30, /* 64 bits */
    XHCI_DEQUEUE = 0x38,       /* 64 bits */
};

#define XHCI_PENDING      0x1u
#define XHCI_ENABLE       0x2u
#define XHCI_HANDLER_BUSY UINT64_C(0x8)

/* Extended capabilities (7): id, and where the next one is. */
#define EXTENDED_ID(word)   ((word)&0xff)
#define EXTENDED_NEXT(word) (((word) >> 8 & 0xff) << 2)
#define EXTENDED_LEGACY     1u
#define EXTENDED_PROTOCOL   2u
#define LEGACY_BIOS         0x00010000u
#define LEGACY_SYSTEM       0x01000000u
#define LEGACY_CONTROL      4u          /* behind the capability: system management interrupts */
#define LEGACY_KEPT         0x000e1feeu /* ... bits that are not to be written 0 */
#define LEGACY_EVENTS       0xe0000000u /* ... that are cleared by writing 1 */
