/* Drivers' transfers: see claim.h. */
#include "sbin/usbd/io.h"

#include <stdlib.h>

#include "sbin/usbd/claim.h"
#include "sbin/usbd/lock.h"

/* One of those of a command. */
struct part {
    struct io *io;
    struct transfer transfer;
    struct endpoint *endpoint;
    struct claim_memory *memory; /* NULL: through the endpoint's page */
    bool busy;                   /* under way */
};

/* A command. The memories of its parts are in use as long as the whole of it is. */
struct io {
    struct list link; /* of those under way */
    uint64_t token;
    struct interface *interface; /* of USB_TRANSFERS, as all from here on: */
    uint32_t count, begun, ended;
    bool together, given_up;
    struct usb_transfer transfers[USB_TRANSFERS_MAX];
    int64_t results[USB_TRANSFERS_MAX];

    struct part parts[USB_TRANSFERS_MAX]; /* another command has the first */
    struct job settle;
    bool settling; /* the job is queued: it frees this */
    bool over;
};

static struct list ios = LIST_INIT(ios);
static struct list spares = LIST_INIT(spares); /* as many as were under way at once */
static handle_t port;

void io_start(handle_t own)
{
    port = own;
}

static struct io *io_new(const struct command *command)
{
    struct io *io = list_pop(&spares, struct io, link);
    if (!io)
        io = malloc(sizeof(*io));
    if (!io)
        return NULL;
    *io = (struct io){.token = command->message.token, .count = 1};
    return io;
}

static void io_delete(struct io *io)
{
    list_append(&spares, &io->link);
}

static void io_end(struct io *io, int64_t status, struct abi_return *reply)
{
    command_return(port, io->token, status, reply);
    list_remove(&io->link);
    io->over = true;
    if (!io->settling)
        io_delete(io);
}

/* --- one --- */

/* A command that was wanted back says what it did, if that is anything. */
static void io_done(struct transfer *transfer, int64_t result, uint32_t moved)
{
    struct part *part = container_of(transfer, struct part, transfer);
    struct abi_return reply = {.values = {moved}};
    part->busy = false;
    if (moved && result == -E_CANCELLED)
        result = 0;
    if (!part->memory && transfer->request.in && result >= 0) {
        reply.data = (uintptr_t)endpoint_copy(part->endpoint);
        reply.data_length = moved;
    }
    if (part->memory)
        part->memory->users--;
    else
        part->endpoint->copies = false;
    io_end(part->io, result, &reply);
}

/* Nothing is under way of the part when this fails. */
static int64_t part_begin(struct io *io, struct part *part, struct endpoint *endpoint,
                          uint32_t stream, const struct td_request *request, transfer_done *done)
{
    part->io = io;
    part->endpoint = endpoint;
    part->transfer = (struct transfer){.request = *request, .done = done};
    part->transfer.request.in = endpoint->described.address & USB_ENDPOINT_IN;
    int64_t result = endpoint_submit(endpoint, stream, &part->transfer);
    part->busy = result >= 0;
    return result;
}

/* Nothing is under way of the command when this fails. */
static int64_t io_begin(struct endpoint *endpoint, const struct command *command,
                        struct claim_memory *memory, const struct td_request *request)
{
    struct io *io = io_new(command);
    if (!io)
        return -E_NO_MEMORY;
    io->parts[0].memory = memory;
    int64_t result = part_begin(io, &io->parts[0], endpoint, 0, request, io_done);
    if (result < 0) {
        io_delete(io);
        return result;
    }
    list_append(&ios, &io->link);
    if (memory)
        memory->users++;
    else
        endpoint->copies = true;
    return COMMAND_HELD;
}

static int64_t copy_begin(struct endpoint *endpoint, struct command *command, uint64_t length)
{
    const struct td_request request = {
        .pages = endpoint->memory.pages, .offset = PAGE_SIZE, .length = (uint32_t)length};
    return io_begin(endpoint, command, NULL, &request);
}

int64_t claim_read(struct endpoint *endpoint, struct command *command)
{
    uint64_t packet = endpoint->described.packet, window = command->message.out_length;
    if (!(endpoint->described.address & USB_ENDPOINT_IN))
        return -E_ACCESS;
    if (endpoint->copies)
        return -E_BUSY;
    window = MIN(window, (uint64_t)USB_COPY_MAX);
    if (window < packet)
        return -E_INVALID;
    return copy_begin(endpoint, command, window - window % packet);
}

int64_t claim_write(struct endpoint *endpoint, struct command *command)
{
    if (endpoint->described.address & USB_ENDPOINT_IN)
        return -E_ACCESS;
    if (endpoint->copies)
        return -E_BUSY;
    if (command->in_length > USB_COPY_MAX)
        return -E_TOO_BIG;
    int64_t result = command_read_exactly(command, endpoint_copy(endpoint), command->in_length);
    return result < 0 ? result : copy_begin(endpoint, command, command->in_length);
}

int64_t claim_transfer(struct interface *interface, struct endpoint *endpoint,
                       struct command *command)
{
    const uint64_t *args = command->message.args;
    struct claim_memory *memory = claim_memory_find(interface, args[0]);
    if (!memory)
        return -E_NOT_FOUND;
    if (args[1] > memory->dma.length || args[2] > memory->dma.length - args[1])
        return -E_RANGE;
    const struct td_request request = {
        .pages = memory->dma.pages, .offset = args[1], .length = (uint32_t)args[2]};
    return io_begin(endpoint, command, memory, &request);
}

/* --- several --- */

static void memories_use(const struct io *io, bool begins)
{
    for (uint32_t i = 0; i < io->count; i++)
        io->parts[i].memory->users += begins ? 1u : -1u;
}

static void several_end(struct io *io, int64_t status)
{
    struct abi_return reply = {.values = {io->ended}};
    if (status >= 0) {
        reply.data = (uintptr_t)io->results;
        reply.data_length = io->ended * sizeof(io->results[0]);
    }
    memories_use(io, false);
    io_end(io, status, &reply);
}

static transfer_done sequence_done, together_done;

/* The next one is under way; -E_*. */
static int64_t next_begin(struct io *io, struct device *device)
{
    uint32_t index = io->begun;
    const struct usb_transfer *next = &io->transfers[index];
    struct endpoint *endpoint = claim_endpoint(device, io->interface, (uint8_t)next->endpoint);
    if (!endpoint || io->interface->closing)
        return -E_CLOSED;
    const struct td_request request = {.pages = io->parts[index].memory->dma.pages,
                                       .offset = next->offset,
                                       .length = (uint32_t)next->length};
    int64_t result = part_begin(io, &io->parts[index], endpoint, next->stream, &request,
                                io->together ? together_done : sequence_done);
    io->begun += result >= 0;
    return result;
}

/* Who wants the command back, or has closed the claim, has no more begun for him; and what follows a short one depends on that. */
static void sequence_done(struct transfer *transfer, int64_t result, uint32_t moved)
{
    struct part *part = container_of(transfer, struct part, transfer);
    struct io *io = part->io;
    part->busy = false;
    io->results[io->ended++] = result < 0 ? result : moved;
    bool more =
        result >= 0 && moved == io->transfers[io->ended - 1].length && io->ended < io->count;
    if (result == -E_CANCELLED || (more && transfer->unwanted)) {
        several_end(io, -E_CANCELLED);
        return;
    }
    if (more) {
        result = next_begin(io, part->endpoint->device);
        if (result >= 0)
            return;
        io->results[io->ended++] = result;
    }
    several_end(io, 0);
}

static void rest_stop(struct io *io);

/* Of the rest what it had done counts, unless all of it is wanted back. */
static void together_done(struct transfer *transfer, int64_t result, uint32_t moved)
{
    struct part *part = container_of(transfer, struct part, transfer);
    struct io *io = part->io;
    bool stopped = result == -E_CANCELLED && transfer->unwanted;
    part->busy = false;
    io->results[part - io->parts] = result < 0 && !stopped ? result : moved;
    io->ended++;
    if (io->ended == io->count)
        several_end(io, io->given_up ? -E_CANCELLED : 0);
    else if (part == io->parts || result < 0)
        rest_stop(io);
}

/* What cannot be begun has ended with that. */
static int64_t together_begin(struct io *io, struct device *device)
{
    int64_t result = 0;
    for (uint32_t i = 0; i < io->count && result >= 0; i++)
        result = next_begin(io, device);
    if (result >= 0 || io->begun == 0)
        return result;
    for (uint32_t i = io->begun; i < io->count; i++)
        io->results[i] = result;
    io->ended += io->count - io->begun;
    rest_stop(io);
    return 0;
}

static int64_t several_check(struct device *device, struct io *io)
{
    for (uint32_t i = 0; i < io->count; i++) {
        const struct usb_transfer *each = &io->transfers[i];
        struct claim_memory *memory = claim_memory_find(io->interface, each->memory);
        struct endpoint *endpoint =
            each->endpoint > UINT8_MAX
                ? NULL
                : claim_endpoint(device, io->interface, (uint8_t)each->endpoint);
        if (!memory || !endpoint || !endpoint_stream(endpoint, each->stream))
            return -E_NOT_FOUND;
        if (each->offset > memory->dma.length || each->length > memory->dma.length - each->offset)
            return -E_RANGE;
        io->parts[i].memory = memory;
    }
    return 0;
}

static int64_t several_begin(struct device *device, struct command *command, struct io *io)
{
    int64_t result =
        command_read_exactly(command, io->transfers, io->count * sizeof(io->transfers[0]));
    if (result >= 0)
        result = several_check(device, io);
    if (result < 0)
        return result;
    memories_use(io, true);
    list_append(&ios, &io->link);
    result = io->together ? together_begin(io, device) : next_begin(io, device);
    if (result >= 0)
        return COMMAND_HELD;
    memories_use(io, false);
    list_remove(&io->link);
    return result;
}

int64_t claim_transfers(struct device *device, struct interface *interface, struct command *command)
{
    uint64_t count = command->in_length / sizeof(struct usb_transfer);
    if (!count || count > USB_TRANSFERS_MAX || command->in_length % sizeof(struct usb_transfer) ||
        command->message.out_length < count * sizeof(int64_t) ||
        command->message.args[0] & ~(uint64_t)USB_TOGETHER)
        return -E_INVALID;
    struct io *io = io_new(command);
    if (!io)
        return -E_NO_MEMORY;
    io->interface = interface;
    io->count = (uint32_t)count;
    io->together = command->message.args[0];
    int64_t result = several_begin(device, command, io);
    if (result < 0)
        io_delete(io);
    return result;
}

/* --- endings --- */

/* Each endpoint's unwanted ones end at once; some, or all, may have ended by themselves. */
static void settle_run(struct device *device, struct job *job)
{
    struct io *io = container_of(job, struct io, settle);
    (void)device;
    for (uint32_t i = 0; i < io->count && !io->over; i++)
        if (io->parts[i].busy)
            endpoint_settle(io->parts[i].endpoint);
    io->settling = false;
    if (io->over)
        io_delete(io);
}

/* What is under way of it is to end, soon; of a device that is gone it does so by itself, and nobody does its jobs any more. */
static void rest_stop(struct io *io)
{
    struct device *device = NULL;
    for (uint32_t i = 0; i < io->count; i++) {
        if (!io->parts[i].busy)
            continue;
        io->parts[i].transfer.unwanted = true;
        device = io->parts[i].endpoint->device;
    }
    if (!device || device->gone || io->settling)
        return;
    io->settling = true;
    io->settle.run = settle_run;
    device_job(device, &io->settle);
}

void claim_cancel(uint64_t token)
{
    list_for_each (struct io, io, &ios, link) {
        if (io->token != token)
            continue;
        io->given_up = true;
        rest_stop(io);
        return;
    }
}

int64_t io_clear(struct endpoint *endpoint, bool *quiet)
{
    struct device *device = endpoint->device;
    uint8_t address = endpoint->described.address;
    bool halted = endpoint->halted;
    int64_t result = endpoint_clear(endpoint, -E_CANCELLED);
    *quiet = result >= 0 || device->gone;
    if (result < 0 || !halted)
        return result;
    result = device_control(
        device, USB_SETUP(USB_TYPE_ENDPOINT, USB_CLEAR_FEATURE, USB_FEATURE_HALT, address, 0),
        NULL);
    return result < 0 ? result : 0;
}
