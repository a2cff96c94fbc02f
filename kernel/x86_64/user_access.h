/* For assembly that touches user memory.
 *
 *     USER_ACCESS_OPEN, USER_ACCESS_CLOSE    STAC and CLAC on a CPU with SMAP, else three-byte NOPs (cpu.c patches)
 *     EXCEPTION label, fixup, flags          a fault at label goes on at fixup (machine.h: struct exception_entry)
 *
 * They stand around user accesses and nothing else; trap entry closes, too, and IRET brings back what was open.
 */
#pragma once
/* clang-format off */

#define STAC_OPCODE 0xcb
#define CLAC_OPCODE 0xca

    .macro USER_ACCESS_SITE opcode
771:
    .byte 0x0f, 0x1f, 0x00 /* nopl (%rax) */
    .pushsection .user_access_sites, "a", @progbits
    .quad 771b, \opcode
    .popsection
    .endm

    .macro USER_ACCESS_OPEN
    USER_ACCESS_SITE STAC_OPCODE
    .endm

    .macro USER_ACCESS_CLOSE
    USER_ACCESS_SITE CLAC_OPCODE
    .endm

    .macro EXCEPTION instruction, fixup, flags
    .pushsection .exception_table, "a", @progbits
    .quad \instruction, \fixup, \flags
    .popsection
    .endm

#define EXCEPTION_RESOLVE 1
