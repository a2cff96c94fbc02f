/* The first instructions in C of a process: its state, from what its maker left, and the program's first registers. */
#include "abi/boot.h"
#include "lib/base/linux_stack.h"
#include "lib/base/string.h"
#include "lib/linux/calls.h"
#include "lib/linux/exec.h"
#include "lib/linux/file.h"
#include "lib/linux/header.h"
#include "lib/linux/heap.h"
#include "lib/linux/log.h"
#include "lib/linux/process.h"
#include "lib/linux/random.h"
#include "lib/linux/signal.h"
#include "lib/linux/time.h"

#define STATUS_BAD_START  LINUX_SIGKILL
#define NOFILE_DEFAULT    1024u
#define NOFILE_MAXIMUM    1048576u
#define HEAP_ROOM_MINIMUM (UINT64_C(256) << 20)
#define CPUID_XSAVE       13u

void start_process(struct thread *thread, uint64_t startup, uint64_t kind);

/* Written by tools/boot_image.py into the image. */
extern volatile struct boot_program personality_boot_program;
__attribute__((section(".data"))) volatile struct boot_program personality_boot_program = {0, 0, 0,
                                                                                           0};

static struct process first_process;

/* The FPU state's size is that of the components the kernel has switched on (XCR0), not of all there are. */
static void cpu_learn(struct process *process)
{
    struct abi_system_info info;
    uint32_t low, high;

    if (sys_system_info(&info, sizeof(info)) < 0)
        process_exit(process, STATUS_BAD_START);
    process->features = info.features;
    if (info.features & FEATURE_XSAVE) {
        uint32_t a = CPUID_XSAVE, b, c = 0, d;
        __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
        __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
        process->xsave_mask = low | (uint64_t)high << 32;
        process->xsave_size = b;
    }
    process->start_time = clock_monotonic();
}

static void limits_default(struct process *process)
{
    for (int i = 0; i < LINUX_RLIMIT_COUNT; i++)
        process->limits[i] = (struct linux_rlimit){LINUX_RLIM_INFINITY, LINUX_RLIM_INFINITY};
    process->limits[LINUX_RLIMIT_STACK].current = PROGRAM_STACK_SIZE;
    process->limits[LINUX_RLIMIT_NOFILE] = (struct linux_rlimit){NOFILE_DEFAULT, NOFILE_MAXIMUM};
}

static char *text_keep(struct process *process, const char *text)
{
    char *copy = heap_string(text, strlen(text));

    if (!copy)
        process_exit(process, STATUS_BAD_START);
    return copy;
}

static void descriptor_set(struct process *process, uint64_t fd, struct file *file)
{
    if (!file || file_install_at(process, file, fd, false) < 0)
        process_exit(process, STATUS_BAD_START);
}

/* The open file that a lower descriptor has for the same handle, or a new one. */
static struct file *descriptor_file(struct process *process, handle_t handle)
{
    for (uint64_t fd = 0; fd < process->slot_count; fd++)
        if (process->slots[fd].file && process->slots[fd].file->handle == handle)
            return file_get(process, fd);
    return file_of_handle(handle);
}

/* "fd:12" -> 12; false: another name. */
static bool descriptor_name(const char *name, uint64_t *fd)
{
    *fd = 0;
    if (memcmp(name, "fd:", 3) != 0 || !name[3])
        return false;
    for (const char *digit = name + 3; *digit; digit++) {
        if (*digit < '0' || *digit > '9')
            return false;
        *fd = *fd * 10 + (uint64_t)(*digit - '0');
    }
    return true;
}

/* Who was given no descriptors writes to the log. */
static void descriptors_default(struct process *process)
{
    for (uint64_t fd = 0; fd <= 2; fd++)
        descriptor_set(process, fd,
                       file_new(KIND_LOG, HANDLE_NONE, fd ? LINUX_O_WRONLY : 0, NULL, 0));
}

static bool startup_valid(const struct abi_startup *startup)
{
    uint64_t head = sizeof(*startup) + startup->handle_count * sizeof(startup->handles[0]);

    return startup->magic == STARTUP_MAGIC && head <= STARTUP_SIZE_MAX && startup->cwd >= head &&
           startup->cwd < STARTUP_SIZE_MAX && startup->executable >= head &&
           startup->executable < STARTUP_SIZE_MAX;
}

static void start_spawned(struct thread *thread, const struct abi_startup *startup)
{
    struct process *process = thread->process;
    bool given = false;
    uint64_t fd;

    if (!startup_valid(startup))
        process_exit(process, STATUS_BAD_START);
    for (uint32_t i = 0; i < startup->handle_count; i++) {
        const struct abi_startup_handle *entry = &startup->handles[i];

        if (descriptor_name(entry->name, &fd)) {
            descriptor_set(process, fd, descriptor_file(process, entry->handle));
            given = true;
        } else if (memcmp(entry->name, "proc", 5) == 0) {
            process->proc = entry->handle;
        } else if (memcmp(entry->name, "image", 6) == 0) {
            process->image = entry->handle;
        }
    }
    if (!given)
        descriptors_default(process);
    process->cwd = text_keep(process, (const char *)startup + startup->cwd);
    process->executable = text_keep(process, (const char *)startup + startup->executable);
    process->brk_start = process->brk_end = startup->program_end;
    program_enter(thread, startup->entry, startup->stack);
}

/* The first process: the program lies in memory already; its stack and its arguments are made here. */
static void start_boot(struct thread *thread)
{
    static const char name[] = "bootstrap";
    struct process *process = thread->process;
    volatile struct boot_program *program = &personality_boot_program;
    struct linux_start start = {
        .argument_count = 1,
        .strings = name,
        .strings_length = sizeof(name),
        .name = name,
        .entry = program->entry,
        .phdr = program->phdr,
        .phnum = program->phnum,
        .phent = program->phent,
        .hwcap = cpu_hwcap(),
    };

    struct abi_map map = {
        .address = PROGRAM_STACK_TOP - PROGRAM_STACK_SIZE,
        .length = PROGRAM_STACK_SIZE,
        .memory = HANDLE_NONE,
        .protection = PROT_READ_ | PROT_WRITE_,
        .flags = MAP_FIXED_,
    };

    if (sys_space_map(HANDLE_SELF, &map) < 0)
        process_exit(process, STATUS_BAD_START);
    random_seed(start.random);
    uint64_t rsp = linux_stack_build(&start, PROGRAM_STACK_TOP,
                                     (void *)(PROGRAM_STACK_TOP - linux_stack_length(&start)));
    descriptors_default(process);
    process->cwd = text_keep(process, "fs:///");
    process->executable = text_keep(process, "boot:///bootstrap");
    /* The heap begins where there is room for one. */
    int64_t room = sys_space_op(HANDLE_SELF, SPACE_OP_FIND, program->entry, HEAP_ROOM_MINIMUM, 0);
    if (room < 0)
        process_exit(process, STATUS_BAD_START);
    process->brk_start = process->brk_end = (uint64_t)room;
    program_enter(thread, program->entry, rsp);
}

/* From entry.S; it goes on to the program through the window. */
void start_process(struct thread *thread, uint64_t startup, uint64_t kind)
{
    struct process *process = &first_process;

    thread->process = process;
    thread->handle = HANDLE_NONE;
    thread->life = THREAD_RUNS;
    process->threads = thread;
    process->thread_count = 1;
    process->proc = process->image = process->rng = HANDLE_NONE;
    process->umask = 022;
    limits_default(process);
    cpu_learn(process);
    if (kind == START_BOOT)
        start_boot(thread);
    else
        start_spawned(thread, (const struct abi_startup *)startup);
    fpu_reset(process);
}
