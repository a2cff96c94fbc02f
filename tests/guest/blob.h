/* Programs for processes made by process_exec: position-independent machine code, copied to a page of its own.
 *
 *     BLOB(name, "assembly");            between blob_name and blob_name_end
 *     struct blob_process made = blob_start(blob_name, blob_name_end, &options);
 *
 * The code lies at BLOB_TEXT (read, execute), its data page and stack at BLOB_DATA (read, write, shared with the
 * test as ->data), rdi = options->argument.
 */
#pragma once

#include "tests/guest/guest.h"

/* Stacks grow down from BLOB_BLOCK, which is the personality's block where one is asked for. */
#define BLOB_TEXT  UINT64_C(0x10000000)
#define BLOB_DATA  UINT64_C(0x20000000)
#define BLOB_BLOCK (BLOB_DATA + 0x2000)
#define BLOB_PAGES 4u /* of data */

#define BLOB(name, code)                                                        \
    extern const char blob_##name[], blob_##name##_end[];                       \
    __asm__(".pushsection .rodata\n.globl blob_" #name ", blob_" #name "_end\n" \
            "blob_" #name ":\n" code "\nblob_" #name "_end:\n.popsection")

/* Native calls in blobs: number in eax, arguments set before. */
#define BLOB_CALL(number) "mov $(0x70500000 + " #number "), %eax\nsyscall\n"
/* process_kill(self, status) */
#define BLOB_EXIT(status) "xor %edi, %edi\nmov $" #status ", %esi\n" BLOB_CALL(0x1b)

struct blob_options {
    uint64_t argument, flags, block;
    struct abi_personality personality;
    handle_t handles[4], *values;
    uint32_t handle_count;
};

struct blob_process {
    handle_t process, thread;
    uint8_t *data; /* BLOB_DATA's pages, here */
};

static inline handle_t blob_process_create(void)
{
    struct abi_process_create create = {
        .name = (uintptr_t) "blob",
        .name_length = 4,
        .space_of = HANDLE_NONE,
    };

    return (handle_t)MUST(sys_process_create(HANDLE_SELF, &create));
}

/* Fills in the maps and runs process_exec; its result. *data: BLOB_PAGES mapped here. */
static inline int64_t blob_exec(handle_t process, const char *code, const char *end,
                                const struct blob_options *options, uint8_t **data)
{
    handle_t text = (handle_t)MUST(sys_memory_create(PAGE_SIZE, 0));
    handle_t memory = (handle_t)MUST(sys_memory_create(BLOB_PAGES * PAGE_SIZE, 0));
    struct abi_map maps[2] = {
        {.address = BLOB_TEXT,
         .length = PAGE_SIZE,
         .memory = text,
         .protection = PROT_READ_ | PROT_EXECUTE_},
        {.address = BLOB_DATA,
         .length = BLOB_PAGES * PAGE_SIZE,
         .memory = memory,
         .protection = PROT_READ_ | PROT_WRITE_,
         .flags = MAP_SHARED_},
    };
    struct abi_exec exec = {
        .maps = (uintptr_t)maps,
        .map_count = 2,
        .entry = BLOB_TEXT,
        .stack = BLOB_BLOCK,
        .argument = options->argument,
        .block = options->block,
        .personality = options->personality,
        .handles = (uintptr_t)options->handles,
        .handle_count = options->handle_count,
        .handle_values = (uintptr_t)options->values,
        .flags = options->flags,
    };

    MUST(sys_memory_op(text, MEMORY_OP_WRITE, 0, (uint64_t)(end - code), (void *)(uintptr_t)code));
    if (data)
        *data = memory_map(memory, BLOB_PAGES * PAGE_SIZE, PROT_READ_ | PROT_WRITE_, MAP_SHARED_);
    int64_t result = sys_process_exec(process, &exec);

    handle_drop(text);
    handle_drop(memory);
    return result;
}

static inline struct blob_process blob_start(const char *code, const char *end,
                                             const struct blob_options *options)
{
    struct blob_process made = {.process = blob_process_create()};

    made.thread = (handle_t)MUST(blob_exec(made.process, code, end, options, &made.data));
    return made;
}

/* Waits for the end; the status. */
static inline uint32_t blob_end(struct blob_process *made)
{
    signal_wait(made->process, SIGNAL_EXITED);
    uint32_t status = process_info(made->process).status;

    handle_drop(made->thread);
    handle_drop(made->process);
    pages_unmap(made->data, BLOB_PAGES);
    return status;
}
