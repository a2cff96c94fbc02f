/* ACPICA's operating system services. */
#include "sbin/powerd/osl.h"

#include <acpi/acpi.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/list.h"
#include "lib/sys/clock.h"
#include "lib/sys/error.h"
#include "lib/sys/startup.h"
#include "lib/sys/wait.h"
#include "sbin/powerd/hardware.h"

#define KEY_INTERRUPT (UINT64_C(1) << 32) /* | index */
#define COMPLAINTS    64u   /* lines; what firmware is full of is not worth the whole log */
#define NAP_LIMIT_MS  2000u /* AML's Sleep */
#define STALL_LIMIT   1000u /* us */

static struct tables *tables;
static handle_t port;

/* --- start and end, and what nobody overrides --- */

void osl_prepare(struct tables *all, handle_t notify_port)
{
    tables = all;
    port = notify_port;
    hardware_prepare();
}

acpi_status acpi_os_initialize(void)
{
    return AE_OK;
}

acpi_status acpi_os_terminate(void)
{
    return AE_OK;
}

acpi_physical_address acpi_os_get_root_pointer(void)
{
    return TABLES_BASE;
}

acpi_status acpi_os_predefined_override(const struct acpi_predefined_names *name,
                                        acpi_string *value)
{
    (void)name;
    *value = NULL;
    return AE_OK;
}

acpi_status acpi_os_table_override(struct acpi_table_header *table,
                                   struct acpi_table_header **other)
{
    (void)table;
    *other = NULL;
    return AE_OK;
}

acpi_status acpi_os_physical_table_override(struct acpi_table_header *table,
                                            acpi_physical_address *address, u32 *length)
{
    (void)table;
    *address = 0;
    *length = 0;
    return AE_OK;
}

/* --- memory --- */

void *acpi_os_allocate(acpi_size size)
{
    return malloc(size);
}

void acpi_os_free(void *memory)
{
    free(memory);
}

void *acpi_os_map_memory(acpi_physical_address address, acpi_size length)
{
    void *table = tables_at(tables, address, length);
    return table || address >= TABLES_BASE ? table : hardware_map(address, length);
}

void acpi_os_unmap_memory(void *mapped, acpi_size length)
{
    uint8_t *at = mapped;
    if (at < tables->bytes || at >= tables->bytes + tables->length)
        hardware_unmap(mapped, length);
}

/* Through a mapping of its own: only single registers are reached this way. */
static acpi_status register_access(acpi_physical_address address, u64 *value, u32 width, bool write)
{
    volatile void *at = acpi_os_map_memory(address, width / 8);
    if (!at)
        return AE_NOT_EXIST;
    acpi_status status = AE_OK;
    switch (width) {
#define ACCESS(bits)                                     \
    case bits:                                           \
        if (write)                                       \
            *(volatile u##bits *)at = (u##bits) * value; \
        else                                             \
            *value = *(volatile u##bits *)at;            \
        break;
        ACCESS(8)
        ACCESS(16)
        ACCESS(32)
        ACCESS(64)
#undef ACCESS
    default:
        status = AE_BAD_PARAMETER;
    }
    acpi_os_unmap_memory((void *)(uintptr_t)at, width / 8);
    return status;
}

acpi_status acpi_os_read_memory(acpi_physical_address address, u64 *value, u32 width)
{
    return register_access(address, value, width, false);
}

acpi_status acpi_os_write_memory(acpi_physical_address address, u64 value, u32 width)
{
    return register_access(address, &value, width, true);
}

/* --- ports; PCI's configuration space is pcid's --- */

acpi_status acpi_os_read_port(acpi_io_address address, u32 *value, u32 width)
{
    return hardware_port_read(address, width, value) ? AE_OK : AE_NOT_EXIST;
}

acpi_status acpi_os_write_port(acpi_io_address address, u32 value, u32 width)
{
    return hardware_port_write(address, width, value) ? AE_OK : AE_NOT_EXIST;
}

acpi_status acpi_os_read_pci_configuration(struct acpi_pci_id *function, u32 where, u64 *value,
                                           u32 width)
{
    (void)function, (void)where, (void)value, (void)width;
    return AE_SUPPORT;
}

acpi_status acpi_os_write_pci_configuration(struct acpi_pci_id *function, u32 where, u64 value,
                                            u32 width)
{
    (void)function, (void)where, (void)value, (void)width;
    return AE_SUPPORT;
}

/* --- one thread --- */

acpi_thread_id acpi_os_get_thread_id(void)
{
    return 1;
}

acpi_status acpi_os_create_lock(acpi_spinlock *lock)
{
    *lock = tables; /* anything but NULL */
    return AE_OK;
}

void acpi_os_delete_lock(acpi_spinlock lock)
{
    (void)lock;
}

acpi_cpu_flags acpi_os_acquire_lock(acpi_spinlock lock)
{
    (void)lock;
    return 0;
}

void acpi_os_release_lock(acpi_spinlock lock, acpi_cpu_flags flags)
{
    (void)lock, (void)flags;
}

struct semaphore {
    u32 units, most;
};

acpi_status acpi_os_create_semaphore(u32 most, u32 units, acpi_semaphore *handle)
{
    struct semaphore *semaphore = malloc(sizeof(*semaphore));
    if (!semaphore)
        return AE_NO_MEMORY;
    *semaphore = (struct semaphore){units, most};
    *handle = semaphore;
    return AE_OK;
}

acpi_status acpi_os_delete_semaphore(acpi_semaphore handle)
{
    free(handle);
    return AE_OK;
}

/* Who could signal it waits behind us. AML that waits for an event goes on without it. */
acpi_status acpi_os_wait_semaphore(acpi_semaphore handle, u32 units, u16 timeout)
{
    struct semaphore *semaphore = handle;
    (void)timeout;
    if (semaphore->units < units)
        return AE_TIME;
    semaphore->units -= units;
    return AE_OK;
}

acpi_status acpi_os_signal_semaphore(acpi_semaphore handle, u32 units)
{
    struct semaphore *semaphore = handle;
    if (units > semaphore->most - MIN(semaphore->units, semaphore->most))
        return AE_LIMIT;
    semaphore->units += units;
    return AE_OK;
}

/* --- what is put off --- */

struct work {
    struct list link;
    acpi_osd_exec_callback function;
    void *context;
};

static struct list works = LIST_INIT(works);

acpi_status acpi_os_execute(acpi_execute_type type, acpi_osd_exec_callback function, void *context)
{
    struct work *work = malloc(sizeof(*work));
    (void)type;
    if (!work)
        return AE_NO_MEMORY;
    *work = (struct work){.function = function, .context = context};
    list_append(&works, &work->link);
    return AE_OK;
}

void osl_work(void)
{
    struct work *work;
    while ((work = list_first(&works, struct work, link))) {
        list_remove(&work->link);
        work->function(work->context);
        free(work);
    }
}

void acpi_os_wait_events_complete(void)
{
    osl_work();
}

/* --- time --- */

void acpi_os_sleep(u64 milliseconds)
{
    int64_t nap = (int64_t)MIN(milliseconds, (u64)NAP_LIMIT_MS) * 1000000;
    sleep_until(clock_monotonic() + nap);
}

/* The firmware wants the CPU busy meanwhile; a millisecond at most. Its longer stalls are naps. */
void acpi_os_stall(u32 microseconds)
{
    if (microseconds > STALL_LIMIT) {
        acpi_os_sleep(microseconds / 1000 + 1);
        return;
    }
    int64_t end = clock_monotonic() + microseconds * INT64_C(1000);
    while (clock_monotonic() < end)
        __asm__ volatile("pause");
}

u64 acpi_os_get_timer(void)
{
    return (u64)clock_monotonic() / 100;
}

/* --- interrupts --- */

struct interrupt {
    handle_t irq;
    osl_handler *handler;
    void *context;
};

static struct interrupt *interrupts;
static uint32_t interrupt_count;

bool osl_interrupt_bind(uint32_t gsi, uint32_t flags, osl_handler *handler, void *context)
{
    uint32_t index = 0;
    const char *base;
    handle_t lines = startup_handle_next("lines:", &index, &base);
    struct interrupt *table = realloc(interrupts, (interrupt_count + 1) * sizeof(*table));
    if (!table)
        return false;
    interrupts = table;
    int64_t irq = sys_irq_bind(lines, gsi, flags, NULL);
    int64_t result = irq < 0 ? irq
                             : sys_port_bind(port, (handle_t)irq, SIGNAL_READABLE,
                                             KEY_INTERRUPT | interrupt_count, 0);
    if (result < 0) {
        fprintf(stderr, "interrupt %u: %s\n", gsi, error_text(result));
        if (irq >= 0)
            handle_drop((handle_t)irq);
        return false;
    }
    interrupts[interrupt_count++] = (struct interrupt){(handle_t)irq, handler, context};
    return true;
}

bool osl_interrupt(uint64_t key)
{
    uint64_t index = key ^ KEY_INTERRUPT;
    if (index >= interrupt_count)
        return false;
    struct interrupt interrupt = interrupts[index]; /* the table may grow meanwhile */
    bool mine = interrupt.handler(interrupt.context);
    osl_work();
    sys_ignore(sys_irq_ack(interrupt.irq, mine ? 0 : IRQ_NOT_MINE));
    return true;
}

static acpi_osd_handler sci_handler;

static bool sci_fired(void *context)
{
    return sci_handler(context) == ACPI_INTERRUPT_HANDLED;
}

/* The SCI is level and low unless an override says otherwise (ACPI 5.2.9); its number is an ISA interrupt's where it can
 * be (5.2.15). */
acpi_status acpi_os_install_interrupt_handler(u32 number, acpi_osd_handler handler, void *context)
{
    uint32_t flags = number < 16 && tables_override(tables, number) ? IRQ_ISA : IRQ_LEVEL | IRQ_LOW;
    sci_handler = handler;
    return osl_interrupt_bind(number, flags, sci_fired, context) ? AE_OK : AE_NOT_ACQUIRED;
}

acpi_status acpi_os_remove_interrupt_handler(u32 number, acpi_osd_handler handler)
{
    (void)number, (void)handler;
    return AE_OK; /* only at the end, which is the process's */
}

/* --- the log --- */

/* In pieces; a line goes to the log when it is whole. What it tells of tables that it found is not told. */
void acpi_os_vprintf(const char *format, va_list arguments)
{
    static char line[256];
    static size_t length;
    static uint32_t complaints;
    int count = vsnprintf(line + length, sizeof(line) - length, format, arguments);
    if (count < 0)
        return;
    length = MIN(length + (size_t)count, sizeof(line) - 1);
    if (length < sizeof(line) - 1 && (!length || line[length - 1] != '\n'))
        return;
    line[strcspn(line, "\n")] = '\0';
    length = 0;
    if (strncmp(line, "ACPI: ", 6) == 0 || !line[0] || complaints > COMPLAINTS)
        return;
    fprintf(stderr, "%s\n", complaints++ < COMPLAINTS ? line : "and more of the kind");
}

void acpi_os_printf(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    acpi_os_vprintf(format, arguments);
    va_end(arguments);
}

void acpi_os_redirect_output(void *destination)
{
    (void)destination;
}

/* --- AML's Fatal and breakpoints, and the last write before sleep --- */

acpi_status acpi_os_signal(u32 function, void *info)
{
    (void)info;
    if (function == ACPI_SIGNAL_FATAL)
        fprintf(stderr, "the firmware's code reports a fatal error\n");
    return AE_OK;
}

acpi_status acpi_os_enter_sleep(u8 state, u32 register_a, u32 register_b)
{
    (void)state, (void)register_a, (void)register_b;
    return AE_OK;
}
