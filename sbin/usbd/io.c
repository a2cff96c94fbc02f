/* Drivers' transfers: see claim.h. */
#include "sbin/usbd/io.h"

#include <stdlib.h>

#include "sbin/usbd/claim.h"
#include "sbin/usbd/lock.h"

#define FEATURE_HALT 0

struct io {
    struct list link; /* of those under way */
    struct transfer transfer;
    struct endpoint *endpoint;
    struct claim_memory *memory; /* NULL: through the endpoint's page */
    uint64_t token;
    struct job settle;
    bool settling; /* the job is queued: it frees this */
    bool over;
};

static struct list ios = LIST_INIT(ios);
static handle_t port;

void io_start(handle_t own)
{
    port = own;
}

static void io_free(struct io *io)
{
    io->over = true;
    if (!io->settling)
        free(io);
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
    struct io *io = calloc(1, sizeof(*io));
    if (!io)
        return -E_NO_MEMORY;
    io->endpoint = endpoint;
    io->memory = memory;
    io->token = command->message.token;
    io->transfer.request = (struct td_request){pages, offset, length, 0, in};
    io->transfer.done = io_done;
    int64_t result = endpoint_submit(endpoint, &io->transfer);
    if (result < 0) {
        free(io);
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
        free(io);
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
