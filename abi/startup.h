/* What a process is told at its start by whoever made it, and where things lie in a process.
 *
 * The first thread enters the personality's `personality_start` with rdi = the address of a
 * struct abi_startup (rsi = START_SPAWNED), or of a struct boot_arguments (rsi = START_BOOT, first process).
 * The startup structure lies in pages of its own, readable, for the life of the process image; execve
 * inside the process keeps it. The spawner has mapped program, personality, stack and startup already.
 */
#pragma once

#include "abi/abi.h"

#define START_BOOT    0u
#define START_SPAWNED 1u

/* Top of the lower half: nothing a Linux program maps by itself lies here. */
#define PERSONALITY_TEXT      UINT64_C(0x7fffc0000000) /* lib/linux's image: text, then data */
#define PERSONALITY_AREAS     UINT64_C(0x7fffd0000000) /* one slot per thread, upwards */
#define PERSONALITY_AREA_SIZE 0x10000u                 /* [guard page][stack][block page] */
#define PERSONALITY_BLOCK     0xf000u /* offset of the block in a slot; rsp at entry */
#define STARTUP_ADDRESS       UINT64_C(0x7ffee0000000)
#define STARTUP_SIZE_MAX      0x10000u
#define USER_LIMIT            UINT64_C(0x7ffec0000000) /* programs' own mappings end here */
#define PROGRAM_STACK_TOP \
    UINT64_C(0x7ffebffff000) /* the main thread's stack grows down from here */

#define STARTUP_MAGIC UINT64_C(0x3174726174736f70)

/* Names of handles: "image" (memory: the pristine personality image, /lib/linux.elf), "fd:0".. (files and
 * streams that become descriptors), "port:<protocol>" (a service's own protocol), "irq:<n>", "ioport:<base>",
 * "memory:<base>", "resource" (resources of a service), "proc" (a file on proc://), others as agreed. */
#define STARTUP_NAME_MAX 23u

/* The system stops: in the software notification of a service's port (port_notify: whoever made the port), beside which
 * no other notification has this bit. Nothing more will be asked that matters; what is not on its medium yet goes there,
 * then the process exits. Its supervisor waits for that, and ends it if it takes too long. */
#define PORT_STOP (UINT64_C(1) << 63)

struct abi_startup_handle {
    char name[STARTUP_NAME_MAX + 1]; /* terminated */
    handle_t handle;
    uint32_t reserved;
};

struct abi_startup {
    uint64_t magic;
    uint64_t entry;       /* of the program (or its interpreter) */
    uint64_t stack;       /* rsp: argc, argv, envp, auxv as Linux lays them out */
    uint64_t program_end; /* where brk starts */
    uint32_t cwd;         /* offset of a terminated URI of a directory, e.g. "fs:///" */
    uint32_t executable;  /* offset of the terminated URI the program came from */
    uint32_t handle_count;
    uint32_t reserved;
    struct abi_startup_handle handles[];
};
