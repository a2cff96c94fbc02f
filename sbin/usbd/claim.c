/* Claims: see claim.h. Transfers are in io.c. */
#include "sbin/usbd/claim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/usb/vendor.h"
#include "sbin/usbd/controller.h"
#include "sbin/usbd/io.h"

#define TYPE_MASK   (USB_TYPE_CLASS | USB_TYPE_VENDOR)
#define MEMORY_MOST (UINT64_C(64) << 20) /* bytes of one interface */

static handle_t port;

void claims_start(handle_t own)
{
    port = own;
}

/* A command that the device's thread carries out. */
struct claim_job {
    struct job job;
    uint64_t token, cookie;
    uint64_t caller, file, setup;
    uint8_t interface, alternate, address;
    uint16_t streams;
    uint8_t data[];
};

static struct claim_job *job_of(struct job *job)
{
    return container_of(job, struct claim_job, job);
}

static int64_t job_begin(struct device *device, struct claim_job *job,
                         void (*run)(struct device *device, struct job *job),
                         const struct interface *interface, const struct command *command)
{
    job->job.run = run;
    job->token = command->message.token;
    job->caller = command->message.caller;
    job->interface = interface->number;
    device_job(device, &job->job);
    return COMMAND_HELD;
}

static void job_end(struct claim_job *job, int64_t result, struct abi_return *reply)
{
    command_return(port, job->token, result < 0 ? result : 0, reply);
    free(job);
}

/* --- opening --- */

static void open_run(struct device *device, struct job *run)
{
    struct claim_job *job = job_of(run);
    struct interface *interface = device_interface(device, job->interface);
    struct abi_return reply = {.values = {job->cookie, 0, 0}};
    int64_t result = device->gone ? -E_CLOSED : interface->owner ? -E_BUSY : 0;
    if (result == 0) {
        interface->owner = job->caller;
        interface->file = job->file;
    }
    reply.token = job->token;
    reply.status = result;
    if (sys_proto_return(port, &reply) < 0 && result == 0)
        interface->owner = 0; /* who asked is gone: nobody will close it */
    free(job);
}

int64_t claim_open(struct device *device, struct interface *interface, struct command *command)
{
    struct claim_job *job = calloc(1, sizeof(*job));
    if (!job)
        return -E_NO_MEMORY;
    job->cookie = command->reply.values[0];
    job->file = command->message.file;
    return job_begin(device, job, open_run, interface, command);
}

int64_t claim_check(const struct interface *interface, uint64_t caller)
{
    return interface->owner != caller ? -E_PERMISSION : interface->closing ? -E_CLOSED : 0;
}

/* --- closing --- */

static void memories_free(struct device *device, struct interface *interface)
{
    struct claim_memory *memory;
    while ((memory = list_first(&interface->memories, struct claim_memory, link))) {
        list_remove(&memory->link);
        pci_dma_free(&device->controller->pci, &memory->dma);
        free(memory);
    }
    interface->memory_bytes = 0;
}

/* False: the controller does not let go of one. */
static bool endpoints_quiet(struct device *device, struct interface *interface)
{
    bool quiet = true;
    for (uint32_t address = 1; address <= UINT8_MAX; address++) {
        struct endpoint *endpoint = claim_endpoint(device, interface, (uint8_t)address);
        if (endpoint && (endpoint->halted || !endpoint_is_idle(endpoint)))
            (void)!io_clear(endpoint, &quiet);
        if (!quiet)
            return false;
    }
    return true;
}

/* Memory last: until then the controller may write there. A device that is gone has let go of it already. */
static void close_run(struct device *device, struct job *run)
{
    struct claim_job *job = job_of(run);
    struct interface *interface = device_interface(device, job->interface);
    bool quiet = device->gone || endpoints_quiet(device, interface);
    if (quiet && !device->gone && (interface->alternate || interface->streams))
        (void)!device_alternate(device, interface, 0, 0);
    if (quiet) {
        memories_free(device, interface);
        interface->owner = 0;
        interface->closing = false;
    } else {
        fprintf(stderr, "%s:%u: does not come to rest; left alone\n", device->name,
                interface->number);
    }
    free(job);
}

/* What its driver has still open is of no use from now on: what was asked for before stands in front of this in the device's jobs. */
void claim_close(struct device *device, struct interface *interface)
{
    struct claim_job *job = calloc(1, sizeof(*job));
    if (!job)
        abort(); /* the interface could never be had again */
    interface->closing = true;
    job->job.run = close_run;
    job->interface = interface->number;
    device_job(device, &job->job);
}

void claims_end(struct device *device)
{
    for (uint32_t i = 0; i < device->interface_count; i++) {
        const struct interface *interface = &device->interfaces[i];
        if (interface->owner && interface->owner != INTERFACE_IS_HUB)
            sys_ignore(sys_file_ready(port, interface->file, SIGNAL_HANGUP, 0));
        memories_free(device, &device->interfaces[i]);
    }
}

/* --- requests to endpoint 0 --- */

/* What is not its driver's alone: others' interfaces, the device as a whole. That of a device of one interface is its driver's, as far as
 * its maker gave requests a meaning: what standard ones mean is ours. Where the maker has said which interface a request is for, that counts. */
static bool may_ask(struct device *device, const struct interface *interface, uint64_t setup)
{
    uint8_t type = (uint8_t)setup, request = (uint8_t)(setup >> 8);
    uint8_t index = (uint8_t)(setup >> 32);
    bool standard = !(type & TYPE_MASK), vendor = (type & TYPE_MASK) == USB_TYPE_VENDOR;
    const struct usb_vendor_rule *rule =
        vendor && device->interface_count > 1
            ? usb_vendor_rule(device->described.vendor, device->described.product)
            : NULL;
    if (rule)
        return usb_vendor_is_for(rule, setup, interface->number);
    switch (type & 0x1f) {
    case USB_TYPE_DEVICE:
        return standard ? type & USB_TYPE_IN && request == USB_GET_DESCRIPTOR
                        : vendor && device->interface_count == 1;
    case USB_TYPE_INTERFACE:
        return index == interface->number && !(standard && request == USB_SET_INTERFACE);
    case USB_TYPE_ENDPOINT: /* halts are cleared together with the controller: USB_CLEAR_HALT */
        return claim_endpoint(device, interface, index) && !(standard && !(type & USB_TYPE_IN));
    default:
        return false;
    }
}

static void control_run(struct device *device, struct job *run)
{
    struct claim_job *job = job_of(run);
    struct abi_return reply = {0};
    int64_t result = device_control(device, job->setup, job->data);
    if (result >= 0)
        reply.values[0] = (uint64_t)result;
    if (result > 0 && job->setup & USB_TYPE_IN) {
        reply.data = (uintptr_t)job->data;
        reply.data_length = (uint64_t)result;
    }
    job_end(job, result, &reply);
}

int64_t claim_control(struct device *device, struct interface *interface, struct command *command)
{
    uint64_t setup = command->message.args[0];
    uint16_t length = (uint16_t)(setup >> 48);
    bool in = setup & USB_TYPE_IN;
    if (!may_ask(device, interface, setup))
        return -E_PERMISSION;
    if (in ? command->message.out_length < length : command->in_length != length)
        return -E_INVALID;
    struct claim_job *job = calloc(1, sizeof(*job) + length);
    if (!job)
        return -E_NO_MEMORY;
    int64_t result = in ? 0 : command_read_exactly(command, job->data, length);
    if (result < 0) {
        free(job);
        return result;
    }
    job->setup = setup;
    return job_begin(device, job, control_run, interface, command);
}

static void alternate_run(struct device *device, struct job *run)
{
    struct claim_job *job = job_of(run);
    struct abi_return reply = {0};
    struct interface *interface = device_interface(device, job->interface);
    int64_t result = device->gone
                         ? -E_CLOSED
                         : device_alternate(device, interface, job->alternate, job->streams);
    reply.values[0] = interface->streams;
    job_end(job, result, &reply);
}

int64_t claim_alternate(struct device *device, struct interface *interface, struct command *command)
{
    uint64_t alternate = command->message.args[0], streams = command->message.args[1];
    if (alternate > UINT8_MAX)
        return -E_NOT_FOUND;
    struct claim_job *job = calloc(1, sizeof(*job));
    if (!job)
        return -E_NO_MEMORY;
    job->alternate = (uint8_t)alternate;
    job->streams = (uint16_t)MIN(streams, (uint64_t)UINT16_MAX);
    return job_begin(device, job, alternate_run, interface, command);
}

static void clear_run(struct device *device, struct job *run)
{
    struct claim_job *job = job_of(run);
    struct abi_return reply = {0};
    struct endpoint *endpoint =
        claim_endpoint(device, device_interface(device, job->interface), job->address);
    bool quiet;
    int64_t result = device->gone || !endpoint ? -E_CLOSED : 0;
    if (result == 0 && endpoint->halted)
        result = io_clear(endpoint, &quiet);
    job_end(job, result, &reply);
}

int64_t claim_clear(struct endpoint *endpoint, struct command *command)
{
    struct device *device = endpoint->device;
    struct claim_job *job = calloc(1, sizeof(*job));
    if (!job)
        return -E_NO_MEMORY;
    job->address = endpoint->described.address;
    for (uint32_t i = 0; i < device->interface_count; i++)
        if (claim_endpoint(device, &device->interfaces[i], job->address))
            return job_begin(device, job, clear_run, &device->interfaces[i], command);
    free(job);
    return -E_CLOSED;
}

int64_t claim_reset(struct device *device, struct interface *interface, struct command *command)
{
    (void)interface, (void)command;
    hub_port_reset(device->parent, device->port);
    return 0;
}

/* --- what it is --- */

struct endpoint *claim_endpoint(struct device *device, const struct interface *interface,
                                uint8_t address)
{
    const struct usb_interface *now =
        usb_interface_find(&device->configuration, interface->number, interface->alternate);
    for (uint32_t i = 0; now && i < now->endpoint_count; i++)
        if (device->configuration.endpoints[now->endpoint + i].address == address)
            return device->endpoints[context_dci(address)];
    return NULL;
}

static void endpoints_describe(const struct device *device, const struct usb_interface *now,
                               struct usb_description *description)
{
    for (uint32_t i = 0; i < now->endpoint_count && i < USB_ENDPOINTS; i++) {
        const struct usb_endpoint *endpoint = &device->configuration.endpoints[now->endpoint + i];
        description->endpoints[i].address = endpoint->address;
        description->endpoints[i].type = endpoint->type;
        description->endpoints[i].interval = usb_interval(endpoint, device->speed);
        description->endpoints[i].burst = endpoint->burst;
        description->endpoints[i].packet = endpoint->packet;
        description->endpoints[i].streams =
            endpoint->streams ? (uint16_t)MIN(1u << endpoint->streams, 0xffffu) : 0;
    }
    description->endpoint_count = (uint8_t)MIN(now->endpoint_count, USB_ENDPOINTS);
}

int64_t claim_describe(struct device *device, struct interface *interface, struct command *command)
{
    static struct usb_description description; /* until it is returned */
    const struct usb_interface *now =
        usb_interface_find(&device->configuration, interface->number, interface->alternate);
    description = (struct usb_description){
        .vendor = device->described.vendor,
        .product = device->described.product,
        .release = device->described.release,
        .version = device->described.version,
        .speed = (uint8_t)device->speed,
        .class_code = now->class_code,
        .subclass = now->subclass,
        .protocol = now->protocol,
        .interface = now->number,
        .alternate = now->alternate,
        .alternates = device_settings(device, now->number),
    };
    snprintf(description.name, sizeof(description.name), "%s", device->name);
    memcpy(description.manufacturer, device->manufacturer, USB_NAME_SIZE);
    memcpy(description.product_name, device->product, USB_NAME_SIZE);
    memcpy(description.serial, device->serial, USB_NAME_SIZE);
    endpoints_describe(device, now, &description);
    return command_answer(command, &description, sizeof(description));
}

/* --- memory --- */

struct claim_memory *claim_memory_find(const struct interface *interface, uint64_t number)
{
    list_for_each (struct claim_memory, memory, &interface->memories, link)
        if (memory->number == number)
            return memory;
    return NULL;
}

/* New, or what the command brings. */
static int64_t memory_get(struct controller *controller, struct command *command,
                          struct pci_dma *dma)
{
    uint64_t length = command->message.args[0];
    if (command->message.handle_count) {
        handle_t brought = command->message.handles[0];
        command->message.handles[0] = HANDLE_NONE;
        return controller_memory_again(controller, brought, dma);
    }
    return command->message.args[1] ? controller_memory_lend(controller, length, dma)
                                    : controller_memory(controller, length, dma);
}

/* Where it lies is the controller's business alone, but for who is to show it once more. */
static int64_t memory_handle(const struct claim_memory *memory, bool lent)
{
    return handle_copy(memory->dma.memory, RIGHT_READ | RIGHT_WRITE | RIGHT_DUPLICATE |
                                               RIGHT_TRANSFER | (lent ? RIGHT_CONTROL : 0));
}

/* How many bytes it wants; -E_*. */
static int64_t memory_wanted(const struct command *command)
{
    if (command->message.args[1] & ~(uint64_t)USB_MEMORY_LENT)
        return -E_INVALID;
    if (!command->message.handle_count)
        return command->message.args[0]
                   ? (int64_t)MIN(command->message.args[0], (uint64_t)INT64_MAX)
                   : -E_INVALID;
    return sys_memory_op(command->message.handles[0], MEMORY_OP_SIZE, 0, 0, NULL);
}

int64_t claim_memory_create(struct device *device, struct interface *interface,
                            struct command *command)
{
    bool lent = command->message.args[1] || command->message.handle_count;
    int64_t result = memory_wanted(command);
    if (result < 0)
        return result;
    if ((uint64_t)result > MEMORY_MOST - interface->memory_bytes)
        return -E_QUOTA;
    struct claim_memory *memory = calloc(1, sizeof(*memory));
    if (!memory)
        return -E_NO_MEMORY;
    result = memory_get(device->controller, command, &memory->dma);
    if (result >= 0)
        result = memory_handle(memory, lent);
    if (result < 0) {
        pci_dma_free(&device->controller->pci, &memory->dma);
        free(memory);
        return result;
    }
    memory->number = interface->memory_count++;
    interface->memory_bytes += memory->dma.length;
    list_append(&interface->memories, &memory->link);
    command->reply.values[0] = memory->number;
    return command_answer_handle(command, result);
}

int64_t claim_memory_free(struct device *device, struct interface *interface,
                          struct command *command)
{
    struct claim_memory *memory = claim_memory_find(interface, command->message.args[0]);
    if (!memory)
        return -E_NOT_FOUND;
    if (memory->users)
        return -E_BUSY;
    list_remove(&memory->link);
    interface->memory_bytes -= memory->dma.length;
    pci_dma_free(&device->controller->pci, &memory->dma);
    free(memory);
    return 0;
}
