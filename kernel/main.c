/* The kernel from its first C line to its first process, in order. */
#include "abi/boot.h"
#include "abi/errors.h"
#include "kernel/boot.h"
#include "kernel/handle.h"
#include "kernel/log.h"
#include "kernel/panic.h"
#include "kernel/proto/namespace.h"
#include "kernel/resource.h"
#include "kernel/sched/futex.h"
#include "kernel/sched/idle.h"
#include "kernel/sched/sched.h"
#include "kernel/time.h"
#include "kernel/vmm/heap.h"
#include "kernel/vmm/space.h"
#include "lib/base/string.h"

extern const uint8_t bootstrap_image_start[], bootstrap_image_end[]; /* linked in: abi/boot.h */

/* --- The first process -------------------------------------------------------------------------------------
 * Failures here are the end: there is nobody to report them to. */

static void check(int error, const char *what)
{
    if (error)
        panic("cannot start the first process: %s: error %d", what, -error);
}

static handle_t give(struct process *process, struct object *object, uint32_t rights)
{
    handle_t handle;

    object_handle_get(object);
    check(handle_install(process->handles, object, rights, &handle), "a handle");
    object_put(object);
    return handle;
}

#define GIVE_MEMORY  (RIGHT_READ | RIGHT_EXECUTE | RIGHT_DUPLICATE | RIGHT_TRANSFER)
#define GIVE_PROCESS (RIGHT_CONTROL | RIGHT_MAP | RIGHT_WAIT | RIGHT_DUPLICATE | RIGHT_TRANSFER)

static void map(struct process *process, struct memory *memory, uint64_t address, uint64_t offset,
                uint64_t length, uint32_t protection)
{
    struct map_request request = {
        .address = address,
        .length = length,
        .offset = offset,
        .memory = memory,
        .protection = protection,
        .maximum = PROT_READ_ | PROT_WRITE_ | PROT_EXECUTE_,
        .flags = MAP_FIXED_,
    };

    if (memory)
        object_get(&memory->object);
    check(space_map_region(process->space, &request, &address), "its image");
}

/* Segments are private: file bytes from the image, zero behind them. */
static void map_segment(struct process *process, struct memory *image,
                        const struct boot_segment *segment)
{
    uint64_t file_pages = ALIGN_UP(segment->file_length, PAGE_SIZE);

    if (file_pages)
        map(process, image, segment->address, segment->offset, file_pages, segment->protection);
    if (segment->length > file_pages)
        map(process, NULL, segment->address + file_pages, 0, segment->length - file_pages,
            segment->protection);
}

static void fill_framebuffer(struct process *process, struct boot_arguments *arguments)
{
    const struct boot_framebuffer *screen = &boot_info.framebuffer;
    struct memory *memory;
    uint64_t start = ALIGN_DOWN(screen->base.value, PAGE_SIZE);
    uint64_t end =
        ALIGN_UP(screen->base.value + (uint64_t)screen->pitch * screen->height, PAGE_SIZE);

    arguments->framebuffer = HANDLE_NONE;
    if (!screen->base.value)
        return;
    check(memory_new_physical(PADDR(start), end - start, CACHE_COMBINING, &memory), "framebuffer");
    arguments->framebuffer =
        give(process, &memory->object, RIGHT_READ | RIGHT_WRITE | RIGHT_DUPLICATE | RIGHT_TRANSFER);
    arguments->framebuffer_width = screen->width;
    arguments->framebuffer_height = screen->height;
    arguments->framebuffer_pitch = screen->pitch;
    arguments->framebuffer_bits = screen->bits;
    arguments->red_shift = screen->red_shift;
    arguments->red_bits = screen->red_bits;
    arguments->green_shift = screen->green_shift;
    arguments->green_bits = screen->green_bits;
    arguments->blue_shift = screen->blue_shift;
    arguments->blue_bits = screen->blue_bits;
}

static void fill_acpi(struct process *process, struct boot_arguments *arguments)
{
    struct memory *memory;
    uint64_t length;
    void *tables = arch_acpi_tables(&length);

    arguments->acpi = HANDLE_NONE;
    if (!tables)
        return;
    check(memory_new(length, 0, &memory), "ACPI's tables");
    check(memory_write_kernel(memory, 0, tables, length), "ACPI's tables");
    arguments->acpi = give(process, &memory->object, RIGHT_READ | RIGHT_DUPLICATE | RIGHT_TRANSFER);
    heap_free(tables);
}

static void fill_arguments(struct process *process, struct boot_arguments *arguments)
{
    struct resource *root;
    struct memory *archive;

    check(resource_new(RESOURCE_ROOT, 0, UINT64_MAX, &root), "its resource");
    arguments->resource =
        give(process, &root->object, RIGHT_CONTROL | RIGHT_DUPLICATE | RIGHT_TRANSFER | RIGHT_WAIT);
    log_watch(&root->object);
    object_get(&process->object);
    arguments->process = give(process, &process->object, GIVE_PROCESS);
    arguments->archive = HANDLE_NONE;
    if (boot_info.module_length) {
        check(memory_new_boot(boot_info.module, boot_info.module_length, &archive), "the archive");
        arguments->archive = give(process, &archive->object, GIVE_MEMORY);
        arguments->archive_length = boot_info.module_length;
    }
    fill_framebuffer(process, arguments);
    fill_acpi(process, arguments);
    arguments->command_line_length = strlen(boot_info.command_line);
    memcpy(arguments->command_line, boot_info.command_line, arguments->command_line_length);
}

static void start_first_process(void)
{
    const struct boot_image *layout = (const void *)bootstrap_image_start;
    uint64_t length = ALIGN_UP((uint64_t)(bootstrap_image_end - bootstrap_image_start), PAGE_SIZE);
    struct boot_arguments *arguments = heap_alloc(sizeof(*arguments));
    struct namespace *names;
    struct process *process;
    struct thread *thread;
    struct memory *image, *page;
    struct thread_start start = {
        .entry = layout->entry, .stack = layout->stack, .argument = BOOT_ARGUMENTS};

    if (layout->magic != BOOT_IMAGE_MAGIC || !arguments)
        panic("no boot image in the kernel");
    check(namespace_new(&names), "its namespace");
    check(process_new(NULL, NULL, NULL, names, &process), "the process");
    object_put(&names->object);
    process_set_name(process, "bootstrap", strlen("bootstrap"));
    process->personality = layout->personality;
    process->started = true;
    process->priority_limit = PRIORITY_MAX;
    process->system = process->space->system = true;

    check(memory_new(length, 0, &image), "its image");
    check(memory_write_kernel(image, 0, bootstrap_image_start,
                              (uint64_t)(bootstrap_image_end - bootstrap_image_start)),
          "its image");
    for (uint64_t i = 0; i < layout->segment_count; i++)
        map_segment(process, image, &layout->segments[i]);

    check(memory_new(ALIGN_UP(sizeof(*arguments), PAGE_SIZE), 0, &page), "its arguments");
    fill_arguments(process, arguments);
    check(memory_write_kernel(page, 0, arguments, sizeof(*arguments)), "its arguments");
    map(process, page, BOOT_ARGUMENTS, 0, ALIGN_UP(sizeof(*arguments), PAGE_SIZE), PROT_READ_);
    object_put(&page->object);
    object_put(&image->object);
    heap_free(arguments);

    check(thread_new(process, &thread), "its thread");
    thread->block = layout->block;
    thread_start(thread, &start);
    object_put(&thread->object);
    object_put(&process->object);
}

/* --- Boot ------------------------------------------------------------------------------------------------------ */

static void become_idle_thread(struct cpu *cpu)
{
    int error = sched_cpu_init(cpu);

    cpu->idle = cpu->current = thread_new_idle(cpu);
    if (error || !cpu->idle)
        panic("CPU %u: no memory for its idle thread", cpu->index);
    cpu->online = true;
}

void kernel_main(struct boot_info *boot)
{
    arch_early_init();
    log_info("protos: loaded by %s", boot->loader);
    arch_memory_init(boot);
    frame_init(boot);
    heap_init();
    futex_init();
    arch_devices_init(boot);
    become_idle_thread(cpu_self());
    arch_cpus_start();
    log_info("%u CPU%s, %lu of %lu MiB free", cpu_count, cpu_count == 1 ? "" : "s",
             (unsigned long)(frame_count_free() >> 8), (unsigned long)(frame_count_total() >> 8));
    time_init();
    start_first_process();
    sched_idle();
}

/* Every other CPU, once it runs on its idle stack. */
void cpu_main(struct cpu *cpu)
{
    become_idle_thread(cpu);
    sched_idle();
}
