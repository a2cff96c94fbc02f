/* Starting ACPICA, and the devices of its namespace that matter here: power buttons, and the event devices of machines
 * without ACPI's fixed hardware. */
#include "sbin/powerd/firmware.h"

#include <acpi/acpi.h>
#include <stdio.h>

#include "sbin/powerd/osl.h"

#define NOTIFY_PRESSED 0x80u /* ACPI 4.8.2.2.1.2 */

enum button { BUTTON_FIXED, BUTTON_METHOD, BUTTON_KINDS };

static void (*tell_pressed)(void);
static unsigned buttons[BUTTON_KINDS], event_devices;
static bool interpreter, can_sleep;

static bool failed(acpi_status status, const char *what)
{
    if (ACPI_SUCCESS(status))
        return false;
    fprintf(stderr, "%s: %s\n", what, acpi_format_exception(status));
    return true;
}

/* --- buttons --- */

static u32 fixed_button_pressed(void *context)
{
    (void)context;
    tell_pressed();
    return ACPI_INTERRUPT_HANDLED;
}

static void button_notified(acpi_handle device, u32 value, void *context)
{
    (void)device, (void)context;
    if (value == NOTIFY_PRESSED)
        tell_pressed();
}

static acpi_status button_found(acpi_handle device, u32 level, void *context, void **result)
{
    (void)level, (void)context, (void)result;
    if (!failed(acpi_install_notify_handler(device, ACPI_DEVICE_NOTIFY, button_notified, NULL),
                "power button"))
        buttons[BUTTON_METHOD]++;
    return AE_OK;
}

/* The FADT's flag says that there is none of fixed hardware (ACPI 5.2.9, PWR_BUTTON). */
static void fixed_button_arm(void)
{
    if (acpi_gbl_reduced_hardware || acpi_gbl_FADT.flags & ACPI_FADT_POWER_BUTTON)
        return;
    if (!failed(
            acpi_install_fixed_event_handler(ACPI_EVENT_POWER_BUTTON, fixed_button_pressed, NULL),
            "power button"))
        buttons[BUTTON_FIXED]++;
}

/* --- event devices (ACPI 5.6.9): each of their interrupts runs _EVT, which notifies whom it is about --- */

struct event {
    acpi_handle device;
    u32 gsi;
};

static bool event_fired(void *context)
{
    const struct event *event = context;
    union acpi_object gsi = {.integer = {ACPI_TYPE_INTEGER, event->gsi}};
    struct acpi_object_list arguments = {1, &gsi};
    failed(acpi_evaluate_object(event->device, "_EVT", &arguments, NULL), "_EVT");
    return true;
}

static void event_bind(acpi_handle device, u32 gsi, u8 triggering, u8 polarity)
{
    struct event *event = acpi_os_allocate(sizeof(*event));
    uint32_t flags = (triggering == ACPI_LEVEL_SENSITIVE ? IRQ_LEVEL : 0) |
                     (polarity == ACPI_ACTIVE_LOW ? IRQ_LOW : 0);
    if (!event)
        return;
    *event = (struct event){device, gsi};
    if (osl_interrupt_bind(gsi, flags, event_fired, event))
        event_devices++;
    else
        acpi_os_free(event);
}

static acpi_status event_resource(struct acpi_resource *resource, void *device)
{
    if (resource->type != ACPI_RESOURCE_TYPE_EXTENDED_IRQ)
        return AE_OK;
    const struct acpi_resource_extended_irq *irq = &resource->data.extended_irq;
    for (u8 i = 0; i < irq->interrupt_count; i++)
        event_bind(device, irq->interrupts[i], irq->triggering, irq->polarity);
    return AE_OK;
}

static acpi_status event_device_found(acpi_handle device, u32 level, void *context, void **result)
{
    (void)level, (void)context, (void)result;
    failed(acpi_walk_resources(device, "_CRS", event_resource, device), "event device");
    return AE_OK;
}

/* --- start --- */

/* What is armed stays so if something behind it fails. */
static void code_start(void)
{
    if (failed(acpi_load_tables(), "the firmware's code"))
        return;
    interpreter = true;
    failed(acpi_enable_subsystem(ACPI_FULL_INITIALIZATION), "ACPI mode");
    failed(acpi_initialize_objects(ACPI_FULL_INITIALIZATION), "the firmware's objects");
    acpi_get_devices("PNP0C0C", button_found, NULL, NULL);
    acpi_get_devices("ACPI0013", event_device_found, NULL, NULL);
    if (!acpi_gbl_reduced_hardware)
        failed(acpi_update_all_gpes(), "general purpose events");
}

bool firmware_start(struct tables *tables, handle_t port, bool with_code, void (*pressed)(void))
{
    u8 a, b;
    tell_pressed = pressed;
    osl_prepare(tables, port);
    if (!tables->has_fadt || failed(acpi_initialize_subsystem(), "ACPICA") ||
        failed(acpi_initialize_tables(NULL, 16, TRUE), "ACPI's tables"))
        return false;
    if (with_code && tables->has_dsdt)
        code_start();
    else
        failed(acpi_enable_subsystem(ACPI_FULL_INITIALIZATION), "ACPI mode");
    fixed_button_arm();
    can_sleep = interpreter && ACPI_SUCCESS(acpi_get_sleep_type_data(ACPI_STATE_S5, &a, &b));
    osl_work();
    return true;
}

bool firmware_interrupt(uint64_t key)
{
    return osl_interrupt(key);
}

/* --- off --- */

void firmware_off(void)
{
    if (!can_sleep || failed(acpi_enter_sleep_state_prep(ACPI_STATE_S5), "\\_PTS"))
        return;
    failed(acpi_enter_sleep_state(ACPI_STATE_S5), "\\_S5");
}

void firmware_describe(char *text, size_t size)
{
    snprintf(text, size, "button fixed %u\nbutton method %u\nevents %u\noff %s\n",
             buttons[BUTTON_FIXED], buttons[BUTTON_METHOD], event_devices,
             can_sleep ? "firmware" : "kernel");
}
