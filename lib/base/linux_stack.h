/* The stack a Linux program starts with: argc, argv, envp, auxv, and the strings they point to
 * (System V ABI for x86-64, 3.4.1, Figures 3.9-3.11).
 *
 *     linux_stack_length(&start)                       bytes the image takes, a multiple of 16
 *     linux_stack_build(&start, top, image)            image[0 .. length) is what lies at [top - length, top);
 *                                                      the address of argc, which is rsp, is returned
 *
 * The image is built anywhere and copied (or mapped) to its place. Nothing is allocated or checked: strings
 * must hold what the counts say.
 */
#pragma once

#include "lib/base/base.h"

struct linux_start {
    uint64_t argument_count, environment_count;
    const char
        *strings; /* the terminated arguments, then the terminated environment, back to back */
    size_t strings_length; /* all their terminators counted */
    const char *name;      /* AT_EXECFN, terminated */
    uint64_t entry, phdr, phnum, phent;
    uint64_t interpreter_base; /* AT_BASE */
    uint64_t hwcap, hwcap2;
    uint32_t uid, euid, gid, egid;
    bool secure;
    uint64_t signal_stack_minimum; /* AT_MINSIGSTKSZ; 0 leaves it out */
    uint8_t random[16];
};

size_t linux_stack_length(const struct linux_start *start) MUST_CHECK;
/* top: a multiple of 16. */
uint64_t linux_stack_build(const struct linux_start *start, uint64_t top, void *image) MUST_CHECK;
