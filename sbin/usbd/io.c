/* Drivers' transfers: see claim.h. */
#include "sbin/usbd/io.h"

#include <stdlib.h>

#include "sbin/usbd/claim.h"
#include "sbin/usbd/lock.h"

#define FEATURE_HALT 0

/* Transfers of which each begins when the one before it has ended well. Their memories are in use as long as the whole of it is. */
struct sequence {
    struct interface *interface;
    uint32_t count, begun;
    struct usb_transfer transfers[USB_TRANSFERS_MAX];
    struct claim_memory *memories[USB_TRANSFERS_MAX];
    int64_t results[USB_TRANSFERS_MAX];
};

struct io {
    struct list link; /* of those under way */
    struct transfer transfer;
    struct endpoint *endpoint;
    struct claim_memory *memory; /* NULL: through the endpoint's page */
    struct sequence sequence;    /* of USB_TRANSFERS */
    uint64_t token;
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

static struct io *io_new(const struct command *command, transfer_done *done)
{
    struct io *io = list_pop(&spares, struct io, link);
    if (!io)
        io = malloc(sizeof(*io));
    if (!io)
        return NULL;
    *io = (struct io){.token = command->message.token, .transfer = {.done = done}};
    return io;
}

static void io_delete(struct io *io)
{
    list_append(&spares, &io->link);
}

static void io_free(struct io *io)
{
    io->over = true;
    if (!io->settling)
        io_delete(io);
}

/* A command that was wanted back says what it did, if that is anything. */
static void io_done(struct transfer *transfer, int64_t result, uint32_t moved)
{
    struct io *io = container_of(transfer, struct io, transfer);
    struct abi_return reply = {.values = {moved}};
    if (moved && result == -E_CANCELLED)
        result = 0;
    if (!io->memory && transfer->request.in && result >= 0) {
        reply.data = (uintptr_t)endpoint_copy(io->endpoint);
        reply.data_length = moved;
    }
    command_return(port, io->token, result, &reply);
    if (io->memory)
        io->memory->users--;
    else
        io->endpoint->copies = false;
    list_remove(&io->link);
    io_free(io);
}

/* Nothing is under way of the io when this fails. */
static int64_t io_begin(struct endpoint *endpoint, const struct command *command,
                        struct claim_memory *memory, const uint64_t *pages, uint64_t offset,
                        uint32_t length)
{
    bool in = endpoint->described.address & USB_ENDPOINT_IN;
    struct io *io = io_new(command, io_done);
    if (!io)
        return -E_NO_MEMORY;
    io->endpoint = endpoint;
    io->memory = memory;
    io->transfer.request = (struct td_request){pages, offset, length, 0, in};
    int64_t result = endpoint_submit(endpoint, &io->transfer);
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
    return io_begin(endpoint, command, NULL, endpoint->memory.pages, PAGE_SIZE, (uint32_t)length);
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
    return io_begin(endpoint, command, memory, memory->dma.pages, args[1], (uint32_t)args[2]);
}

/* --- several in a row --- */

static void memories_use(const struct sequence *sequence, bool begins)
{
    for (uint32_t i = 0; i < sequence->count; i++)
        sequence->memories[i]->users += begins ? 1u : -1u;
}

/* The next one is under way; -E_*. */
static int64_t sequence_step(struct io *io, struct device *device)
{
    struct sequence *sequence = &io->sequence;
    const struct usb_transfer *next = &sequence->transfers[sequence->begun];
    struct endpoint *endpoint =
        claim_endpoint(device, sequence->interface, (uint8_t)next->endpoint);
    if (!endpoint || sequence->interface->closing)
        return -E_CLOSED;
    io->endpoint = endpoint;
    io->transfer.request = (struct td_request){
        .pages = sequence->memories[sequence->begun]->dma.pages,
        .offset = next->offset,
        .length = (uint32_t)next->length,
        .in = next->endpoint & USB_ENDPOINT_IN,
    };
    return endpoint_submit(endpoint, &io->transfer);
}

static void sequence_end(struct io *io, int64_t status)
{
    struct sequence *sequence = &io->sequence;
    struct abi_return reply = {.values = {sequence->begun}};
    if (status >= 0) {
        reply.data = (uintptr_t)sequence->results;
        reply.data_length = sequence->begun * sizeof(sequence->results[0]);
    }
    command_return(port, io->token, status, &reply);
    memories_use(sequence, false);
    list_remove(&io->link);
    io_free(io);
}

/* Who wants the command back, or has closed the claim, has no more begun for him. */
static void sequence_done(struct transfer *transfer, int64_t result, uint32_t moved)
{
    struct io *io = container_of(transfer, struct io, transfer);
    struct sequence *sequence = &io->sequence;
    sequence->results[sequence->begun++] = result < 0 ? result : moved;
    bool more = result >= 0 && sequence->begun < sequence->count;
    if (result == -E_CANCELLED || (more && transfer->unwanted)) {
        sequence_end(io, -E_CANCELLED);
        return;
    }
    if (more) {
        result = sequence_step(io, io->endpoint->device);
        if (result >= 0)
            return;
        sequence->results[sequence->begun++] = result;
    }
    sequence_end(io, 0);
}

static int64_t sequence_check(struct device *device, const struct interface *interface,
                              struct sequence *sequence)
{
    for (uint32_t i = 0; i < sequence->count; i++) {
        const struct usb_transfer *each = &sequence->transfers[i];
        struct claim_memory *memory = claim_memory_find(interface, each->memory);
        if (!memory || each->endpoint > UINT8_MAX ||
            !claim_endpoint(device, interface, (uint8_t)each->endpoint))
            return -E_NOT_FOUND;
        if (each->offset > memory->dma.length || each->length > memory->dma.length - each->offset)
            return -E_RANGE;
        sequence->memories[i] = memory;
    }
    return 0;
}

static int64_t sequence_begin(struct device *device, struct interface *interface,
                              struct command *command, struct io *io)
{
    struct sequence *sequence = &io->sequence;
    int64_t result = command_read_exactly(command, sequence->transfers,
                                          sequence->count * sizeof(sequence->transfers[0]));
    sequence->interface = interface;
    if (result >= 0)
        result = sequence_check(device, interface, sequence);
    if (result >= 0)
        result = sequence_step(io, device);
    if (result < 0)
        return result;
    memories_use(sequence, true);
    list_append(&ios, &io->link);
    return COMMAND_HELD;
}

int64_t claim_transfers(struct device *device, struct interface *interface, struct command *command)
{
    uint64_t count = command->in_length / sizeof(struct usb_transfer);
    if (!count || count > USB_TRANSFERS_MAX || command->in_length % sizeof(struct usb_transfer) ||
        command->message.out_length < count * sizeof(int64_t))
        return -E_INVALID;
    struct io *io = io_new(command, sequence_done);
    if (!io)
        return -E_NO_MEMORY;
    io->sequence.count = (uint32_t)count;
    int64_t result = sequence_begin(device, interface, command, io);
    if (result < 0)
        io_delete(io);
    return result;
}

/* --- endings --- */

/* All that is unwanted of its endpoint ends at once; this one may have ended by itself. */
static void settle_run(struct device *device, struct job *job)
{
    struct io *io = container_of(job, struct io, settle);
    (void)device;
    if (!io->over)
        endpoint_settle(io->endpoint);
    io->settling = false;
    if (io->over)
        io_delete(io);
}

void claim_cancel(uint64_t token)
{
    list_for_each (struct io, io, &ios, link) {
        if (io->token != token || io->settling)
            continue;
        io->transfer.unwanted = io->settling = true;
        io->settle.run = settle_run;
        device_job(io->endpoint->device, &io->settle);
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
        device, USB_SETUP(USB_TYPE_ENDPOINT, USB_CLEAR_FEATURE, FEATURE_HALT, address, 0), NULL);
    return result < 0 ? result : 0;
}
