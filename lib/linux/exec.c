/* execve: another program in this process.
 *
 *     arguments copied -> file opened, "#!" followed, ELF and its interpreter checked      a failure is an errno
 *     ------------------------------- point of no return ------------------------------------------------
 *     procd told -> other threads ended -> program's memory unmapped -> new one mapped, stack built
 *                                                                       a failure ends the process (SIGKILL)
 *
 * The arguments are gathered in an arena of whole pages: room for what "#!" puts in front, then the strings, back
 * to back, as linux_stack_build takes them.
 */
#include "lib/linux/exec.h"

#include "abi/proc.h"
#include "lib/base/linux_stack.h"
#include "lib/base/string.h"
#include "lib/base/uri.h"
#include "lib/linux/answer.h"
#include "lib/linux/calls.h"
#include "lib/linux/file.h"
#include "lib/linux/heap.h"
#include "lib/linux/image.h"
#include "lib/linux/memory.h"
#include "lib/linux/process.h"
#include "lib/linux/random.h"
#include "lib/linux/signal.h"
#include "lib/linux/threads.h"
#include "lib/linux/user.h"

#define ARGUMENTS_MAX   (PROGRAM_STACK_SIZE / 4) /* strings and pointers, as Linux */
#define STRING_MAX      (32u * PAGE_SIZE)
#define SCRIPTS_MAX     4
#define SCRIPT_ROOM     (SCRIPTS_MAX * 3u * PATH_LENGTH_MAX)
#define PIE_BASE        UINT64_C(0x555555554000)
#define HWCAP2_FSGSBASE 2u

struct arguments {
    char *arena;
    size_t first, end; /* the strings lie in [first, end) */
    uint64_t argument_count, environment_count;
};

struct program {
    struct path path;
    struct image image;
    struct image interpreter;
    struct arguments arguments;
    char *name; /* AT_EXECFN: as the program gave it, or as "#!" did */
    size_t name_length;
};

uint64_t cpu_hwcap(void)
{
    uint32_t a = 1, b, c = 0, d;

    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return d;
}

/* Appends the strings of a NULL-terminated vector of the program. */
static int64_t strings_add(struct arguments *arguments, uint64_t vector, uint64_t *count)
{
    uint64_t address;

    for (*count = 0; vector; ++*count) {
        if (user_get_u64(vector + *count * 8, &address))
            return -LINUX_EFAULT;
        if (!address)
            break;
        size_t limit = SCRIPT_ROOM + ARGUMENTS_MAX - *count * 8;
        if (arguments->end >= limit)
            return -LINUX_E2BIG;
        size_t room = MIN(limit - arguments->end, (size_t)STRING_MAX);
        if (!user_range(address, 1))
            return -LINUX_EFAULT;
        int64_t length =
            user_copy_string(arguments->arena + arguments->end, (const char *)address, room);
        if (length < 0)
            return -LINUX_EFAULT;
        if ((size_t)length == room)
            return -LINUX_E2BIG;
        arguments->end += (size_t)length + 1;
    }
    return 0;
}

static int64_t arguments_read(struct arguments *arguments, uint64_t argv, uint64_t envp)
{
    *arguments = (struct arguments){.first = SCRIPT_ROOM, .end = SCRIPT_ROOM};
    arguments->arena = pages_alloc(SCRIPT_ROOM + ARGUMENTS_MAX);
    if (!arguments->arena)
        return -LINUX_ENOMEM;
    int64_t result = strings_add(arguments, argv, &arguments->argument_count);
    if (!result && !arguments->argument_count) { /* as Linux: there is always an argv[0] */
        arguments->arena[arguments->end++] = '\0';
        arguments->argument_count = 1;
    }
    return result ? result : strings_add(arguments, envp, &arguments->environment_count);
}

static int64_t argument_push(struct arguments *arguments, const char *text, size_t length)
{
    if (arguments->first < length + 1)
        return -LINUX_E2BIG;
    arguments->first -= length + 1;
    memcpy(arguments->arena + arguments->first, text, length);
    arguments->arena[arguments->first + length] = '\0';
    arguments->argument_count++;
    return 0;
}

static void argument_drop(struct arguments *arguments)
{
    arguments->first += strlen(arguments->arena + arguments->first) + 1;
    arguments->argument_count--;
}

static bool blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

/* "#! interpreter [argument]": argv becomes interpreter, argument, name of the script, argv[1]... The path becomes the
 * interpreter's. */
static int64_t script(struct thread *thread, struct program *program)
{
    const uint8_t *line = program->image.head;
    size_t end = 2, length = program->image.head_length;

    while (end < length && line[end] != '\n' && line[end] != '\0')
        end++;
    if (end == length && length == IMAGE_HEAD)
        return -LINUX_ENOEXEC;
    while (end > 2 && blank(line[end - 1]))
        end--;
    size_t start = 2;
    while (start < end && blank(line[start]))
        start++;
    size_t stop = start;
    while (stop < end && !blank(line[stop]))
        stop++;
    size_t rest = stop;
    while (rest < end && blank(line[rest]))
        rest++;
    if (start == stop)
        return -LINUX_ENOEXEC;

    struct arguments *arguments = &program->arguments;
    argument_drop(arguments);
    int64_t result = argument_push(arguments, program->name, program->name_length);
    if (!result && rest < end)
        result = argument_push(arguments, (const char *)line + rest, end - rest);
    if (!result)
        result = argument_push(arguments, (const char *)line + start, stop - start);
    if (result)
        return result;
    heap_free(program->name);
    program->name_length = stop - start;
    program->name = heap_string((const char *)line + start, stop - start);
    if (!program->name)
        return -LINUX_ENOMEM;
    return path_from_text(thread, program->name, program->name_length, &program->path);
}

static int64_t program_find(struct thread *thread, struct program *program)
{
    for (int scripts = 0; scripts <= SCRIPTS_MAX; scripts++) {
        int64_t result = image_open(&program->path, &program->image);

        if (result < 0)
            return result;
        const uint8_t *head = program->image.head;
        if (program->image.head_length < 2 || head[0] != '#' || head[1] != '!')
            return image_elf(&program->image);
        result = script(thread, program);
        image_close(&program->image);
        if (result < 0)
            return result;
    }
    return -LINUX_ELOOP;
}

/* The dynamic loader the ELF asks for. */
static int64_t interpreter_find(struct thread *thread, struct program *program)
{
    const struct image *image = &program->image;
    uint64_t length = image->elf.interpreter_length;
    char *name = heap_alloc(length + 1);
    struct path *path = heap_alloc(sizeof(*path));
    int64_t result = -LINUX_ENOMEM;

    if (name && path) {
        result = answer(sys_memory_op(image->memory, MEMORY_OP_READ,
                                      image->offset + image->elf.interpreter_offset, length, name));
        name[length] = '\0';
        if (result >= 0)
            result = path_from_text(thread, name, strlen(name), path);
        if (result >= 0)
            result = image_open(path, &program->interpreter);
        if (result >= 0)
            result = image_elf(&program->interpreter);
    }
    heap_free(name);
    heap_free(path);
    return result;
}

void program_enter(struct thread *thread, uint64_t entry, uint64_t stack)
{
    memset(&thread->frame, 0, sizeof(thread->frame));
    thread->frame.rip = entry;
    thread->frame.rsp = stack;
    thread->frame.rflags = 0x202;
    thread->full = 1;
    thread->clear_tid = 0;
    thread->robust_list = 0;
    thread->restart_deadline_set = false;
    thread->altstack = (struct linux_stack_t){.flags = 0};
}

/* Where a position-independent image goes; its address is then its segments' bias. */
static int64_t image_place(const struct image *image, uint64_t wanted, uint64_t *bias)
{
    const struct elf *elf = &image->elf;
    uint64_t length = elf->high - elf->low;
    struct abi_map map = {.length = length + elf->alignment, .memory = HANDLE_NONE};

    *bias = 0;
    if (!elf->position_independent)
        return 0;
    if (wanted && program_range(wanted, elf->high)) {
        *bias = ALIGN_UP(wanted, elf->alignment);
        return 0;
    }
    int64_t place = map_anywhere(&map);
    if (place < 0)
        return answer(place);
    *bias = ALIGN_UP((uint64_t)place, elf->alignment) - elf->low;
    return 0;
}

static int64_t stack_build(struct thread *thread, struct program *program, uint64_t bias,
                           uint64_t interpreter_bias, uint64_t *stack)
{
    const struct arguments *arguments = &program->arguments;
    struct process *process = thread->process;
    const struct elf *elf = &program->image.elf;
    struct linux_start start = {
        .argument_count = arguments->argument_count,
        .environment_count = arguments->environment_count,
        .strings = arguments->arena + arguments->first,
        .strings_length = arguments->end - arguments->first,
        .name = program->name,
        .entry = elf->entry + bias,
        .phdr = elf->phdr ? elf->phdr + bias : 0,
        .phnum = elf->phnum,
        .phent = elf->phent,
        .interpreter_base = interpreter_bias,
        .hwcap = cpu_hwcap(),
        .hwcap2 = process->features & FEATURE_FSGSBASE ? HWCAP2_FSGSBASE : 0,
        .uid = (uint32_t)linux_getuid(thread),
        .gid = (uint32_t)linux_getgid(thread),
        .signal_stack_minimum = process->xsave_size ? process->xsave_size + PAGE_SIZE / 4 : 0,
    };
    start.euid = start.uid;
    start.egid = start.gid;
    random_seed(start.random);
    struct abi_map map = {
        .address = PROGRAM_STACK_TOP - PROGRAM_STACK_SIZE,
        .length = PROGRAM_STACK_SIZE,
        .memory = HANDLE_NONE,
        .protection = PROT_READ_ | PROT_WRITE_,
        .flags = MAP_FIXED_,
    };
    int64_t result = sys_space_map(HANDLE_SELF, &map);
    if (result < 0)
        return answer(result);
    /* Built in place: the arena it is copied from is elsewhere. */
    size_t length = linux_stack_length(&start);
    *stack = linux_stack_build(&start, PROGRAM_STACK_TOP, (void *)(PROGRAM_STACK_TOP - length));
    return 0;
}

static void process_renew(struct thread *thread, struct program *program)
{
    struct process *process = thread->process;
    size_t base = uri_basename(program->path.uri, program->path.length);
    const char *name = program->path.uri + base;
    size_t length = program->path.length - base;
    struct abi_command command;
    char *executable = heap_string(program->path.uri, program->path.length);

    memset(&command, 0, sizeof(command));
    command.op = PROC_EXEC;
    command.in = (uint64_t)name;
    command.in_length = MIN(length, (size_t)PROCESS_NAME_MAX);
    if (proc_command(process, &command) < 0)
        sys_ignore(sys_process_rename(HANDLE_SELF, name, command.in_length));
    memset(thread->name, 0, sizeof(thread->name));
    memcpy(thread->name, name, MIN(length, sizeof(thread->name) - 1));
    if (executable) {
        heap_free(process->executable);
        process->executable = executable;
    }
    thread->tid = 0; /* the process's own, whichever thread calls */
    signal_reset_handlers(process);
    file_close_on_exec(process);
}

/* Behind the point of no return. */
static int64_t program_start(struct thread *thread, struct program *program)
{
    struct process *process = thread->process;
    uint64_t bias, interpreter_bias = 0, stack = 0, entry;

    threads_end_others(thread);
    process_renew(thread, program);
    int64_t result = answer(sys_space_unmap(HANDLE_SELF, PAGE_SIZE, USER_LIMIT - PAGE_SIZE));
    if (result >= 0)
        result = image_place(&program->image, PIE_BASE, &bias);
    if (result >= 0)
        result = image_map(&program->image, bias);
    if (result < 0)
        return result;
    entry = program->image.elf.entry + bias;
    process->brk_start = process->brk_end = program->image.elf.high + bias;
    if (program->interpreter.memory != HANDLE_NONE) {
        result = image_place(&program->interpreter, 0, &interpreter_bias);
        if (result >= 0)
            result = image_map(&program->interpreter, interpreter_bias);
        entry = program->interpreter.elf.entry + interpreter_bias;
    }
    if (result >= 0)
        result = stack_build(thread, program, bias, interpreter_bias, &stack);
    if (result < 0)
        return result;
    program_enter(thread, entry, stack);
    linux_arch_prctl(thread, LINUX_ARCH_SET_FS, 0);
    linux_arch_prctl(thread, LINUX_ARCH_SET_GS, 0);
    fpu_reset(process);
    return 0;
}

static void program_free(struct program *program)
{
    image_close(&program->image);
    image_close(&program->interpreter);
    pages_free(program->arguments.arena, SCRIPT_ROOM + ARGUMENTS_MAX);
    heap_free(program->name);
    heap_free(program);
}

static int64_t name_keep(struct program *program, uint64_t address)
{
    char text[PATH_LENGTH_MAX];
    int64_t length = user_copy_string(text, (const char *)address, sizeof(text));

    if (length < 0 || (size_t)length == sizeof(text))
        return -LINUX_EFAULT; /* path_read has read it already */
    program->name = heap_string(text, (size_t)length);
    program->name_length = (size_t)length;
    return program->name ? 0 : -LINUX_ENOMEM;
}

int64_t linux_execve(struct thread *thread, uint64_t path, uint64_t argv, uint64_t envp)
{
    struct program *program = heap_alloc(sizeof(*program));

    if (!program)
        return -LINUX_ENOMEM;
    memset(program, 0, sizeof(*program));
    program->image.memory = program->interpreter.memory = HANDLE_NONE;
    int64_t result = path_read(thread, (uint64_t)LINUX_AT_FDCWD, path, &program->path);
    if (result >= 0)
        result = name_keep(program, path);
    if (result >= 0)
        result = arguments_read(&program->arguments, argv, envp);
    if (result >= 0)
        result = program_find(thread, program);
    if (result >= 0 && program->image.elf.interpreter_length)
        result = interpreter_find(thread, program);
    if (result < 0) {
        program_free(program);
        return result == -LINUX_EISDIR ? -LINUX_EACCES : result;
    }
    result = program_start(thread, program);
    if (result < 0)
        process_exit(thread->process, LINUX_SIGKILL);
    program_free(program);
    personality_resume(thread);
}
