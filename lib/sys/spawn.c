/* Builds the memory map of a new Linux program: its segments, the personality's, the first thread area, the
 * stack, the startup block; then one process_create and one process_exec. The startup block names handles by
 * the numbers they get in the child, so the child is created suspended and the block written afterwards. */
#include "lib/sys/spawn.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/elf.h"
#include "lib/base/linux_stack.h"
#include "lib/linux/header.h"
#include "lib/sys/entropy.h"
#include "lib/sys/file.h"

#define MAPS_MAX        64u
#define TEMPORARY_MAX   16u
#define PIE_BASE        UINT64_C(0x555555554000) /* where Linux puts them */
#define HWCAP2_FSGSBASE 2u

struct builder {
    struct abi_map maps[MAPS_MAX];
    uint32_t count;
    handle_t temporary[TEMPORARY_MAX]; /* memory made here; the maps keep it alive */
    uint32_t temporary_count;
};

/* A file seen through a mapping of its own. */
struct view {
    const uint8_t *bytes;
    uint64_t length; /* of the mapping */
};

int64_t spawn_program_open(handle_t namespace, const char *uri, struct spawn_program *program)
{
    handle_t file;
    int64_t result = file_open(namespace, uri, OPEN_READ, &file);
    if (result < 0)
        return result;
    program->uri = uri;
    result = file_memory(file, &program->memory, &program->offset, &program->size);
    handle_drop(file);
    return result;
}

void spawn_program_close(struct spawn_program *program)
{
    handle_drop(program->memory);
    program->memory = HANDLE_NONE;
}

static int64_t view_open(handle_t memory, uint64_t offset, uint64_t size, struct view *view)
{
    struct abi_map map = {
        .length = ALIGN_UP(size, PAGE_SIZE),
        .offset = offset,
        .memory = memory,
        .protection = PROT_READ_,
        .flags = MAP_SHARED_,
    };
    int64_t result = size ? sys_space_map(HANDLE_SELF, &map) : -E_BAD_FORMAT;
    if (result < 0)
        return result;
    view->bytes = (const uint8_t *)result;
    view->length = map.length;
    return 0;
}

static void view_close(const struct view *view)
{
    sys_ignore(sys_space_unmap(HANDLE_SELF, (uintptr_t)view->bytes, view->length));
}

static int64_t map_add(struct builder *builder, uint64_t address, uint64_t end, handle_t memory,
                       uint64_t offset, uint32_t protection, uint32_t flags)
{
    if (address == end)
        return 0;
    if (builder->count == MAPS_MAX)
        return -E_TOO_LONG;
    builder->maps[builder->count++] = (struct abi_map){
        .address = address,
        .length = end - address,
        .offset = offset,
        .memory = memory,
        .protection = protection,
        .flags = flags | MAP_FIXED_,
    };
    return 0;
}

/* New memory that begins with these bytes; the builder keeps the handle. */
static int64_t memory_with(struct builder *builder, const void *bytes, size_t length, size_t size,
                           handle_t *memory)
{
    if (builder->temporary_count == TEMPORARY_MAX)
        return -E_TOO_LONG;
    int64_t result = sys_memory_create(size, 0);
    if (result < 0)
        return result;
    *memory = (handle_t)result;
    builder->temporary[builder->temporary_count++] = *memory;
    if (length == 0)
        return 0;
    result = sys_memory_op(*memory, MEMORY_OP_WRITE, 0, length, (void *)(uintptr_t)bytes);
    return result < 0 ? result : 0;
}

/* Whole pages come straight from the file; the page where the file part ends and zeros begin is a copy. */
static int64_t segment_map(struct builder *builder, const struct elf_segment *segment,
                           uint64_t bias, const struct view *view, handle_t memory,
                           uint64_t memory_offset)
{
    uint64_t start = segment->address + bias;
    uint64_t file_end = start + segment->file_length, end = start + segment->memory_length;
    uint64_t page = ALIGN_DOWN(start, PAGE_SIZE), end_page = ALIGN_UP(end, PAGE_SIZE);
    uint64_t offset = memory_offset + ALIGN_DOWN(segment->offset, PAGE_SIZE);
    uint64_t copied = ALIGN_DOWN(file_end, PAGE_SIZE);
    int64_t result;
    if (file_end == end)
        return map_add(builder, page, end_page, memory, offset, segment->protection, 0);
    if (segment->file_length == 0 || copied < page)
        copied = page;
    result = map_add(builder, page, copied, memory, offset, segment->protection, 0);
    if (result >= 0 && file_end > copied && segment->file_length) {
        handle_t tail;
        uint64_t tail_offset = ALIGN_DOWN(segment->offset, PAGE_SIZE) + (copied - page);
        result =
            memory_with(builder, view->bytes + tail_offset, file_end - copied, PAGE_SIZE, &tail);
        if (result >= 0)
            result = map_add(builder, copied, copied + PAGE_SIZE, tail, 0, segment->protection, 0);
        copied += PAGE_SIZE;
    }
    if (result < 0 || copied >= end_page)
        return result;
    return map_add(builder, copied, end_page, HANDLE_NONE, 0, segment->protection, 0);
}

static int64_t elf_map(struct builder *builder, const struct elf *elf, uint64_t bias,
                       const struct view *view, handle_t memory, uint64_t offset)
{
    struct elf_segment segment;
    uint32_t index = 0;
    int64_t result = 0;
    while (result >= 0 && elf_segment(elf, &index, &segment))
        result = segment_map(builder, &segment, bias, view, memory, offset);
    return result;
}

/* Maps the personality; exec gets its entries. */
static int64_t personality_map(struct builder *builder, handle_t image, struct abi_exec *exec)
{
    struct view view;
    struct elf elf;
    struct elf_segment segment;
    uint32_t index = 0;
    int64_t size = sys_memory_op(image, MEMORY_OP_SIZE, 0, 0, NULL);
    if (size < 0)
        return size;
    int64_t result = view_open(image, 0, (uint64_t)size, &view);
    if (result < 0)
        return result;
    result = elf_read(view.bytes, (size_t)size, (uint64_t)size, PERSONALITY_AREAS, &elf);
    if (result >= 0 && (!elf_segment(&elf, &index, &segment) ||
                        segment.file_length < sizeof(struct personality_header)))
        result = -E_BAD_FORMAT;
    if (result >= 0) {
        struct personality_header header;
        memcpy(&header, view.bytes + segment.offset, sizeof(header));
        exec->personality = header.personality;
        exec->entry = header.start;
        result = header.magic == PERSONALITY_MAGIC ? elf_map(builder, &elf, 0, &view, image, 0)
                                                   : -E_BAD_FORMAT;
    }
    if (result >= 0)
        result = map_add(builder, PERSONALITY_AREAS + PAGE_SIZE,
                         PERSONALITY_AREAS + PERSONALITY_AREA_SIZE, HANDLE_NONE, 0,
                         PROT_READ_ | PROT_WRITE_, 0);
    exec->block = exec->stack = PERSONALITY_AREAS + PERSONALITY_BLOCK;
    view_close(&view);
    return result;
}

static size_t strings_length(char *const *strings, uint64_t *count)
{
    size_t length = 0;
    for (*count = 0; strings && strings[*count]; ++*count)
        length += strlen(strings[*count]) + 1;
    return length;
}

static char *strings_copy(char *to, char *const *strings, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        to = stpcpy(to, strings[i]) + 1;
    return to;
}

static void hardware_describe(struct linux_start *start)
{
    struct abi_system_info info;
    uint32_t a = 1, b, c, d;
    __asm__("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d) : "2"(0));
    start->hwcap = d;
    if (sys_system_info(&info, sizeof(info)) >= 0 && (info.features & FEATURE_FSGSBASE))
        start->hwcap2 = HWCAP2_FSGSBASE;
}

/* The stack: argc and all above it in memory of its own, anonymous pages below. *rsp: the program's. */
static int64_t stack_map(struct builder *builder, const struct spawn *spawn,
                         struct linux_start *start, uint64_t *rsp)
{
    size_t argument_bytes = strings_length(spawn->argv, &start->argument_count);
    size_t all_bytes =
        argument_bytes + strings_length(spawn->environment, &start->environment_count);
    char *strings = malloc(all_bytes + 1);
    if (!strings)
        return -E_NO_MEMORY;
    strings_copy(strings_copy(strings, spawn->argv, start->argument_count), spawn->environment,
                 start->environment_count);
    start->strings = strings;
    start->strings_length = all_bytes;
    start->name = spawn->program.uri;
    entropy_collect(start->random, sizeof(start->random));
    hardware_describe(start);

    size_t length = linux_stack_length(start);
    uint64_t pages = ALIGN_UP(length, PAGE_SIZE);
    handle_t memory;
    uint8_t *image = pages < SPAWN_STACK_SIZE / 4 ? calloc(1, pages) : NULL;
    int64_t result = image ? 0 : pages < SPAWN_STACK_SIZE / 4 ? -E_NO_MEMORY : -E_TOO_BIG;
    if (image) {
        *rsp = linux_stack_build(start, PROGRAM_STACK_TOP, image + pages - length);
        result = memory_with(builder, image, pages, pages, &memory);
    }
    if (result >= 0)
        result = map_add(builder, PROGRAM_STACK_TOP - SPAWN_STACK_SIZE, PROGRAM_STACK_TOP - pages,
                         HANDLE_NONE, 0, PROT_READ_ | PROT_WRITE_, 0);
    if (result >= 0)
        result = map_add(builder, PROGRAM_STACK_TOP - pages, PROGRAM_STACK_TOP, memory, 0,
                         PROT_READ_ | PROT_WRITE_, 0);
    free(image);
    free(strings);
    return result;
}

/* The program and its stack; startup->entry, stack and program_end are set. */
static int64_t program_map(struct builder *builder, const struct spawn *spawn,
                           struct abi_startup *startup)
{
    const struct spawn_program *program = &spawn->program;
    struct view view;
    struct elf elf;
    int64_t result = view_open(program->memory, program->offset, program->size, &view);
    if (result < 0)
        return result;
    result = elf_read(view.bytes, program->size, program->size, USER_LIMIT, &elf);
    if (result >= 0 && elf.interpreter_length)
        result = -E_NOT_SUPPORTED;
    if (result >= 0) {
        uint64_t bias = elf.position_independent ? PIE_BASE : 0;
        struct linux_start start = {
            .entry = elf.entry + bias,
            .phdr = elf.phdr ? elf.phdr + bias : 0,
            .phnum = elf.phnum,
            .phent = elf.phent,
        };
        startup->entry = start.entry;
        startup->program_end = elf.high + bias;
        result = elf_map(builder, &elf, bias, &view, program->memory, program->offset);
        if (result >= 0)
            result = stack_map(builder, spawn, &start, &startup->stack);
    }
    view_close(&view);
    return result;
}

/* The startup block, all but the handles' numbers. */
static int64_t startup_build(const struct spawn *spawn, struct abi_startup **block, size_t *length)
{
    const char *cwd = spawn->cwd ? spawn->cwd : "fs:///";
    bool self = spawn->flags & SPAWN_SELF;
    size_t head = sizeof(**block) + (spawn->handle_count + self) * sizeof((*block)->handles[0]);
    *length = head + strlen(cwd) + 1 + strlen(spawn->program.uri) + 1;
    if (*length > STARTUP_SIZE_MAX)
        return -E_TOO_LONG;
    struct abi_startup *startup = calloc(1, *length);
    if (!startup)
        return -E_NO_MEMORY;
    startup->magic = STARTUP_MAGIC;
    startup->cwd = (uint32_t)head;
    startup->executable = (uint32_t)(head + strlen(cwd) + 1);
    strcpy((char *)startup + startup->cwd, cwd);
    strcpy((char *)startup + startup->executable, spawn->program.uri);
    startup->handle_count = spawn->handle_count + self;
    if (self)
        strcpy(startup->handles[spawn->handle_count].name, "self");
    for (uint32_t i = 0; i < spawn->handle_count; i++) {
        if (strlen(spawn->handles[i].name) > STARTUP_NAME_MAX) {
            free(startup);
            return -E_TOO_LONG;
        }
        strcpy(startup->handles[i].name, spawn->handles[i].name);
    }
    *block = startup;
    return 0;
}

/* The first thread exists, suspended. From here on the handles are the child's. */
static int64_t startup_finish(const struct spawn *spawn, handle_t thread, handle_t memory,
                              struct abi_startup *startup, size_t length, const handle_t *values)
{
    int64_t result = 0;
    for (uint32_t i = 0; i < startup->handle_count; i++)
        startup->handles[i].handle = values[i];
    if (spawn->priority)
        result = sys_thread_control(thread, THREAD_PRIORITY, spawn->priority, NULL);
    handle_drop(thread);
    return result < 0 ? result : sys_memory_op(memory, MEMORY_OP_WRITE, 0, length, startup);
}

static int64_t process_fill(const struct spawn *spawn, struct builder *builder,
                            struct abi_exec *exec, handle_t process, struct abi_startup *startup,
                            size_t length)
{
    handle_t memory, *handles, *values;
    int64_t result = memory_with(builder, startup, length, ALIGN_UP(length, PAGE_SIZE), &memory);
    if (result >= 0)
        result = map_add(builder, STARTUP_ADDRESS, STARTUP_ADDRESS + ALIGN_UP(length, PAGE_SIZE),
                         memory, 0, PROT_READ_, MAP_SHARED_);
    if (result < 0)
        return result;
    handles = calloc(startup->handle_count * 2 + 1, sizeof(*handles));
    if (!handles)
        return -E_NO_MEMORY;
    values = handles + startup->handle_count;
    for (uint32_t i = 0; i < spawn->handle_count; i++)
        handles[i] = spawn->handles[i].handle;
    if (spawn->flags & SPAWN_SELF) {
        result = sys_handle_duplicate(process, RIGHT_CONTROL | RIGHT_MAP | RIGHT_WAIT |
                                                   RIGHT_DUPLICATE | RIGHT_TRANSFER);
        if (result < 0) {
            free(handles);
            return result;
        }
        handles[spawn->handle_count] = (handle_t)result;
    }
    exec->maps = (uintptr_t)builder->maps;
    exec->map_count = builder->count;
    exec->argument = STARTUP_ADDRESS;
    exec->argument2 = START_SPAWNED;
    exec->handles = (uintptr_t)handles;
    exec->handle_count = startup->handle_count;
    exec->handle_values = (uintptr_t)values;
    exec->flags = EXEC_SUSPENDED;
    result = sys_process_exec(process, exec);
    if (result >= 0)
        result = startup_finish(spawn, (handle_t)result, memory, startup, length, values);
    else if (spawn->flags & SPAWN_SELF)
        handle_drop(handles[spawn->handle_count]);
    free(handles);
    return result;
}

static int64_t process_start(const struct spawn *spawn, struct builder *builder,
                             struct abi_exec *exec, struct abi_startup *startup, size_t length,
                             handle_t *process)
{
    struct abi_process_create create = {
        .name = (uintptr_t)spawn->name,
        .name_length = MIN(strlen(spawn->name), PROCESS_NAME_MAX),
        .space_of = HANDLE_NONE,
        .account_of = spawn->account_of,
        .flags = (spawn->flags & SPAWN_LIMITED ? PROCESS_PRIORITY_LIMIT | spawn->priority : 0) |
                 (spawn->flags & SPAWN_ORDINARY ? PROCESS_ORDINARY : 0),
        .limits = (uintptr_t)spawn->limits,
        .limit_count = spawn->limits ? QUOTA_COUNT : 0,
    };
    int64_t result = sys_process_create(spawn->namespace, &create);
    if (result < 0)
        return result;
    *process = (handle_t)result;
    result = process_fill(spawn, builder, exec, *process, startup, length);
    if (result >= 0 && !(spawn->flags & EXEC_SUSPENDED))
        result = sys_process_control(*process, PROCESS_RESUME, 0);
    if (result < 0) {
        sys_ignore(sys_process_kill(*process, EXIT_EXCEPTION));
        handle_drop(*process);
        *process = HANDLE_NONE;
    }
    return result < 0 ? result : 0;
}

int64_t spawn_start(const struct spawn *spawn, handle_t *process)
{
    struct abi_exec exec = {0};
    struct abi_startup *startup = NULL;
    size_t length = 0;
    *process = HANDLE_NONE;
    struct builder *builder = calloc(1, sizeof(*builder));
    if (!builder)
        return -E_NO_MEMORY;
    int64_t result = startup_build(spawn, &startup, &length);
    if (result >= 0)
        result = program_map(builder, spawn, startup);
    if (result >= 0)
        result = personality_map(builder, spawn->image, &exec);
    if (result >= 0)
        result = process_start(spawn, builder, &exec, startup, length, process);
    for (uint32_t i = 0; i < builder->temporary_count; i++)
        handle_drop(builder->temporary[i]);
    free(startup);
    free(builder);
    return result;
}
