/* What usbd's transfers (endpoint.h, claim.h) have around them: a controller that carries out rings, behind controller.h, with a disk of UAS
 * plugged in; the lock, the device's thread, and drivers' commands. There is one thread: who waits lets the controller work, and
 * once what stands in `meanwhile` happen.
 *
 *     fake_plug(); ... fake_unplug();                 claimed, in a setting, with memory
 *     call = fake_transfers(flags, transfers, count)  a driver's command; call->over: it was answered
 *     fake_move(address, stream, bytes)               so many bytes of what the stream has next; all of it: it has ended
 *     fake_end(address, stream, code)                 it ends where it is
 *     fake_jobs()                                     the device's thread does what there is to do
 *
 * Bytes that come in are counted through, for each stream: one that is lost or comes twice is seen in memory. To the controller addresses are
 * pointers of the host, marked so that no two pages are neighbours: each is a block of its own, and what it may not reach a sanitizer watches.
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sbin/usbd/claim.h"
#include "sbin/usbd/controller.h"
#include "sbin/usbd/io.h"
#include "sbin/usbd/setup.h"
#include "sbin/usbd/slot.h"
#include "tests/host/fake_command.h"
#include "tests/host/fake_xhci.h"

#define FAKE_CALLS   64u
#define FAKE_STREAMS 32u
#define FAKE_BLOCKS  256u
#define FAKE_OWNER   7u

enum { COMMAND_PIPE = 0x04, STATUS_PIPE = 0x83, IN_PIPE = 0x81, OUT_PIPE = 0x02 };

enum fake_state { FAKE_DISABLED, FAKE_STOPPED, FAKE_RUNNING, FAKE_HALTED };

struct fake_stream {
    struct fake_xhci reader;
    bool rung;
    uint32_t done; /* bytes of the transfer that is next */
    uint8_t count; /* of the bytes that came */
};

struct fake_pipe {
    enum fake_state state;
    uint32_t streams, current; /* 0: none */
    struct fake_stream stream[FAKE_STREAMS];
};

struct fake_call {
    struct command command;
    struct usb_transfer transfers[USB_TRANSFERS_MAX];
    bool held, over;
    int64_t status, results[USB_TRANSFERS_MAX];
    uint64_t value;
};

static struct fake {
    struct controller controller;
    struct device device;
    struct fake_pipe pipes[CONTEXT_ENDPOINTS];
    struct fake_call calls[FAKE_CALLS];
    uint32_t call_count, memories; /* of DMA, that were not given back */
    int64_t now;
    uint64_t asked; /* the last request to endpoint 0 */
    /* When it stops it says of each stream how far it came, as QEMU does, and not of the one at work alone. */
    bool all_stop;
    bool fails; /* it carries out no command */
    bool lies;  /* rings are as they may be after events that it made up */
    void (*meanwhile)(void);
    uint32_t later; /* commands before it happens */
} fake;

static inline void fake_require(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

static inline void fake_happens(void)
{
    void (*meanwhile)(void) = fake.meanwhile;
    if (fake.later && fake.later--)
        return;
    fake.meanwhile = NULL;
    if (meanwhile)
        meanwhile();
}

/* --- memory --- */

#define FAKE_MARK UINT64_C(0x0100000000000000)

static inline void *fake_at(uint64_t address)
{
    return (void *)(uintptr_t)(address & (FAKE_MARK - 1));
}

int64_t controller_memory(struct controller *controller, uint64_t length, struct pci_dma *memory)
{
    (void)controller;
    *memory = (struct pci_dma){.length = ALIGN_UP(length, (uint64_t)PAGE_SIZE), .memory = 1};
    memory->bytes = aligned_alloc(PAGE_SIZE, memory->length);
    memory->pages = calloc(memory->length / PAGE_SIZE, sizeof(*memory->pages));
    memset(memory->bytes, 0, memory->length);
    for (uint64_t i = 0; i < memory->length / PAGE_SIZE; i++)
        memory->pages[i] = ((uintptr_t)memory->bytes + i * PAGE_SIZE) | (i % 2 ? FAKE_MARK : 0);
    fake.memories++;
    return 0;
}

int64_t controller_memory_lend(struct controller *controller, uint64_t length,
                               struct pci_dma *memory)
{
    return controller_memory(controller, length, memory);
}

int64_t controller_memory_again(struct controller *controller, handle_t handle,
                                struct pci_dma *memory)
{
    (void)controller, (void)handle, (void)memory;
    return -E_INVALID;
}

void pci_dma_free(const struct pci_device *device, struct pci_dma *dma)
{
    (void)device;
    if (dma->memory == HANDLE_NONE)
        return;
    free(dma->bytes);
    free(dma->pages);
    fake.memories--;
    *dma = (struct pci_dma){.memory = HANDLE_NONE};
}

/* --- rings --- */

static inline struct fake_pipe *fake_pipe(uint32_t address)
{
    return &fake.pipes[context_dci((uint8_t)address)];
}

static inline struct fake_xhci fake_reader(uint64_t pointer)
{
    uint64_t base = pointer & ~(uint64_t)(PAGE_SIZE - 1);
    struct fake_xhci reader = {.trbs = fake_at(base), .base = base};
    fake_xhci_set(&reader, pointer);
    return reader;
}

/* The blocks of the transfer that is next, and where they lie; *after: behind it. 0: there is none, or nobody rang. */
static inline uint32_t fake_next(const struct fake_pipe *pipe, uint32_t id, struct trb *trbs,
                                 uint64_t *addresses, struct fake_xhci *after)
{
    const struct fake_stream *stream = &pipe->stream[id];
    uint32_t count = 0;
    if (pipe->state != FAKE_RUNNING || !stream->rung)
        return 0;
    *after = stream->reader;
    while (fake_xhci_get(after, &trbs[count], &addresses[count])) {
        if (!(trbs[count].control & TRB_CHAIN))
            return count + 1;
        if (++count < FAKE_BLOCKS)
            continue;
        fake_require(fake.lies, "a transfer without an end");
        return 0;
    }
    fake_require(count == 0 || fake.lies, "a part of a transfer");
    return 0;
}

static inline void fake_say(uint8_t dci, uint64_t block, uint32_t code, uint32_t left)
{
    const struct trb event = {block, code << 24 | left, TRB_OF(TRB_TRANSFER_EVENT)};
    if (device_endpoint(&fake.device, dci))
        endpoint_event(device_endpoint(&fake.device, dci), &event);
}

/* The block of the transfer at which `done` bytes of it have gone, and what is left of that. */
static inline uint32_t fake_place(const struct trb *trbs, uint32_t count, uint32_t done,
                                  uint32_t *left)
{
    uint32_t place = 0, length;
    while (done >= (length = trbs[place].status & 0x1ffff) && place + 1 < count) {
        done -= length;
        place++;
    }
    *left = length - done;
    return place;
}

static inline void fake_copy(struct fake_stream *stream, const struct trb *trb, uint32_t from,
                             uint32_t bytes, bool in)
{
    volatile uint8_t *memory = fake_at(trb->parameter);
    for (uint32_t i = from; i < from + bytes; i++) {
        if (in)
            memory[i] = stream->count++;
        else
            (void)memory[i];
    }
}

/* False: it has nothing there. */
static inline bool fake_move(uint32_t address, uint32_t id, uint32_t bytes)
{
    static struct trb trbs[FAKE_BLOCKS];
    static uint64_t addresses[FAKE_BLOCKS];
    struct fake_pipe *pipe = fake_pipe(address);
    struct fake_stream *stream = &pipe->stream[id];
    struct fake_xhci after;
    uint32_t count = fake_next(pipe, id, trbs, addresses, &after), left, place;
    if (!count)
        return false;
    pipe->current = id;
    for (;;) {
        place = fake_place(trbs, count, stream->done, &left);
        uint32_t now = MIN(bytes, left);
        fake_copy(stream, &trbs[place], (trbs[place].status & 0x1ffff) - left, now,
                  address & USB_ENDPOINT_IN);
        stream->done += now;
        bytes -= now;
        if (place + 1 == count || !bytes)
            break;
    }
    place = fake_place(trbs, count, stream->done, &left);
    if (left)
        return true;
    stream->reader = after;
    stream->done = 0;
    fake_require(trbs[place].control & TRB_TELL, "a transfer whose end is not told");
    fake_say(context_dci((uint8_t)address), addresses[place], CODE_SUCCESS, 0);
    return true;
}

static inline bool fake_end(uint32_t address, uint32_t id, enum trb_code code)
{
    static struct trb trbs[FAKE_BLOCKS];
    static uint64_t addresses[FAKE_BLOCKS];
    struct fake_pipe *pipe = fake_pipe(address);
    struct fake_stream *stream = &pipe->stream[id];
    struct fake_xhci after;
    uint32_t left, count = fake_next(pipe, id, trbs, addresses, &after);
    if (!count)
        return false;
    uint32_t place = fake_place(trbs, count, stream->done, &left);
    if (code == CODE_SHORT && !left)
        return false;
    if (code == CODE_SHORT) {
        fake_require(trbs[place].control & TRB_SHORT, "a short packet that is not told");
        stream->reader = after;
        stream->done = 0;
    } else {
        pipe->state = FAKE_HALTED;
    }
    fake_say(context_dci((uint8_t)address), addresses[place], code, left);
    return true;
}

/* --- endpoint 0: whatever it is asked, it agrees --- */

static inline bool fake_control(void)
{
    static struct trb trbs[FAKE_BLOCKS];
    static uint64_t addresses[FAKE_BLOCKS];
    struct fake_pipe *pipe = &fake.pipes[1];
    struct fake_xhci after;
    uint32_t count;
    while ((count = fake_next(pipe, 0, trbs, addresses, &after))) {
        pipe->stream[0].reader = after;
        if (TRB_TYPE(trbs[0].control) == TRB_SETUP)
            fake.asked = trbs[0].parameter;
        if (TRB_TYPE(trbs[0].control) != TRB_STATUS)
            continue;
        fake_say(1, addresses[0], CODE_SUCCESS, 0);
        return true;
    }
    return false;
}

/* --- controller.h --- */

void controller_doorbell(struct controller *controller, uint8_t slot, uint8_t dci, uint16_t stream)
{
    struct fake_pipe *pipe = &fake.pipes[dci];
    (void)controller;
    if (slot != fake.device.slot || pipe->state == FAKE_DISABLED || pipe->state == FAKE_HALTED)
        return;
    pipe->state = FAKE_RUNNING;
    if (stream < FAKE_STREAMS)
        pipe->stream[stream].rung = true;
}

void controller_slot_set(struct controller *controller, uint8_t slot, uint64_t context)
{
    (void)controller, (void)slot, (void)context;
}

static inline void fake_stop_say(uint8_t dci, uint32_t id)
{
    static struct trb trbs[FAKE_BLOCKS];
    static uint64_t addresses[FAKE_BLOCKS];
    const struct fake_pipe *pipe = &fake.pipes[dci];
    struct fake_xhci after;
    uint32_t left, count = fake_next(pipe, id, trbs, addresses, &after);
    if (!count)
        return;
    uint32_t place = fake_place(trbs, count, pipe->stream[id].done, &left);
    uint64_t link = (addresses[place] | (PAGE_SIZE - 1)) - (sizeof(struct trb) - 1);
    bool lapped = place && addresses[place] < addresses[place - 1];
    if (lapped && left == (trbs[place].status & 0x1ffff))
        fake_say(dci, link, fake.all_stop ? CODE_STOPPED : CODE_STOPPED_LENGTH, 0);
    else
        fake_say(dci, addresses[place], CODE_STOPPED, left);
}

/* Doorbells are forgotten; each stream has its place in its own context (4.6.9). */
static inline int64_t fake_stop(uint8_t dci)
{
    struct fake_pipe *pipe = &fake.pipes[dci];
    if (pipe->state != FAKE_RUNNING)
        return -E_BUSY;
    for (uint32_t id = 0; id < FAKE_STREAMS; id++)
        if (fake.all_stop || id == (pipe->streams ? pipe->current : 0))
            fake_stop_say(dci, id);
    pipe->state = FAKE_STOPPED;
    for (uint32_t id = 0; id < FAKE_STREAMS; id++)
        pipe->stream[id].rung = false;
    return 0;
}

static inline void fake_pipe_add(uint8_t dci, const uint32_t *context)
{
    uint32_t exponent = context[0] >> 10 & 0x1f;
    uint64_t pointer = context[2] | (uint64_t)context[3] << 32;
    struct fake_pipe *pipe = &fake.pipes[dci];
    *pipe = (struct fake_pipe){.state = FAKE_STOPPED, .streams = exponent ? 2u << exponent : 0};
    if (!exponent)
        pipe->stream[0].reader = fake_reader(pointer);
    for (uint32_t id = 1; id < pipe->streams && id < FAKE_STREAMS; id++) {
        uint64_t entry = ((const uint64_t *)fake_at(pointer))[2 * (size_t)id];
        if (!entry)
            continue;
        fake_require((entry >> 1 & 7) == 1, "a stream that is no primary ring");
        pipe->stream[id].reader = fake_reader(entry);
    }
}

static inline void fake_configure(uint64_t input)
{
    void *contexts = fake_at(input);
    const uint32_t *control = contexts;
    for (uint8_t dci = 1; dci < CONTEXT_ENDPOINTS; dci++) {
        if (control[0] >> dci & 1)
            fake.pipes[dci].state = FAKE_DISABLED;
        if (control[1] >> dci & 1)
            fake_pipe_add(dci, context_of(contexts, fake.controller.context_size, dci + 1u));
    }
}

int64_t controller_command(struct controller *controller, enum trb_type type, uint8_t slot,
                           uint8_t dci, uint64_t parameter, uint8_t *got_slot)
{
    (void)controller;
    fake_happens();
    if (fake.fails || (type != TRB_ENABLE_SLOT && (!slot || slot != fake.device.slot)))
        return -E_IO;
    switch (type) {
    case TRB_ENABLE_SLOT:
        *got_slot = 1;
        return 0;
    case TRB_ADDRESS_DEVICE:
    case TRB_CONFIGURE_ENDPOINT:
        fake_configure(parameter);
        return 0;
    case TRB_STOP_ENDPOINT:
        return fake_stop(dci);
    case TRB_RESET_ENDPOINT:
        if (fake.pipes[dci].state != FAKE_HALTED)
            return -E_BUSY;
        fake.pipes[dci].state = FAKE_STOPPED;
        return 0;
    case TRB_DISABLE_SLOT:
        memset(fake.pipes, 0, sizeof(fake.pipes));
        return 0;
    default:
        return -E_IO;
    }
}

int64_t controller_dequeue(struct controller *controller, uint8_t slot, uint8_t dci,
                           uint16_t stream, uint64_t pointer)
{
    struct fake_pipe *pipe = &fake.pipes[dci];
    (void)controller;
    fake_happens();
    if (fake.fails || !slot || slot != fake.device.slot)
        return -E_IO;
    if (pipe->state != FAKE_STOPPED)
        return -E_BUSY;
    fake_require(!stream == !pipe->streams && stream < FAKE_STREAMS, "no such stream");
    pipe->stream[stream].reader = fake_reader(pointer);
    pipe->stream[stream].done = 0;
    return 0;
}

/* --- lock.h and device.h: who else there is --- */

void usbd_lock(void)
{
}

void usbd_unlock(void)
{
}

void usbd_changed(void)
{
}

bool usbd_wait(int64_t deadline)
{
    if (fake_control())
        return true;
    fake_require(deadline != DEADLINE_NEVER, "it waits for ever");
    fake.now = deadline;
    return false;
}

void usbd_sleep(int64_t nanoseconds)
{
    fake.now += nanoseconds;
}

void hub_port_reset(struct hub *hub, uint8_t port)
{
    (void)hub, (void)port;
}

struct interface *device_interface(struct device *device, uint8_t number)
{
    for (uint32_t i = 0; i < device->interface_count; i++)
        if (device->interfaces[i].number == number)
            return &device->interfaces[i];
    return NULL;
}

void device_job(struct device *device, struct job *job)
{
    fake_require(!device->gone, "a job that nobody will do");
    list_append(&device->jobs, &job->link);
}

static inline void fake_jobs(void)
{
    struct job *job;
    while ((job = list_first(&fake.device.jobs, struct job, link))) {
        list_remove(&job->link);
        job->run(&fake.device, job);
    }
}

int64_t syscall_raw(uint32_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
                    uint64_t f)
{
    (void)number, (void)a, (void)b, (void)c, (void)d, (void)e, (void)f;
    return fake.now;
}

/* --- a driver's commands --- */

void command_return(handle_t port, uint64_t token, int64_t status, struct abi_return *reply)
{
    struct fake_call *call = &fake.calls[token];
    (void)port;
    fake_require(call->held && !call->over, "a command that is answered twice");
    call->over = true;
    call->status = status;
    call->value = reply->values[0];
    fake_require(reply->data_length <= call->command.message.out_length, "too long an answer");
    if (reply->data_length)
        memcpy(call->results, (const void *)(uintptr_t)reply->data, reply->data_length);
}

/* Of the next command: those that were answered longest ago make room. FAKE_CALLS: there is none. */
static inline uint32_t fake_number(void)
{
    for (uint32_t i = 0; i < FAKE_CALLS; i++) {
        uint32_t number = (fake.call_count + i) % FAKE_CALLS;
        if (fake.calls[number].held && !fake.calls[number].over)
            continue;
        fake.call_count = number + 1;
        return number;
    }
    return FAKE_CALLS;
}

static inline struct fake_call *fake_call(void)
{
    uint32_t number = fake_number();
    fake_require(number < FAKE_CALLS, "more commands than there is room for");
    struct fake_call *call = &fake.calls[number];
    *call = (struct fake_call){.held = true};
    call->command.message.token = number;
    call->command.message.caller = FAKE_OWNER;
    return call;
}

static inline struct fake_call *fake_called(struct fake_call *call, int64_t result)
{
    call->held = result == COMMAND_HELD;
    if (!call->held) {
        call->over = true;
        call->status = result;
        call->value = call->command.reply.values[0];
    }
    return call;
}

static inline struct interface *fake_interface(void)
{
    return &fake.device.interfaces[0];
}

static inline struct fake_call *fake_transfers(uint64_t flags, const struct usb_transfer *transfers,
                                               uint32_t count)
{
    struct fake_call *call = fake_call();
    int64_t result = claim_check(fake_interface(), FAKE_OWNER);
    memcpy(call->transfers, transfers, count * sizeof(*transfers));
    call->command.data = (const uint8_t *)call->transfers;
    call->command.in_length = count * sizeof(*transfers);
    call->command.message.out_length = sizeof(call->results);
    call->command.message.args[0] = flags;
    if (result >= 0)
        result = claim_transfers(&fake.device, fake_interface(), &call->command);
    return fake_called(call, result);
}

static inline struct fake_call *fake_transfer(uint32_t address, uint64_t offset, uint64_t length)
{
    struct fake_call *call = fake_call();
    struct endpoint *endpoint = claim_endpoint(&fake.device, fake_interface(), (uint8_t)address);
    int64_t result = claim_check(fake_interface(), FAKE_OWNER);
    call->command.message.args[1] = offset;
    call->command.message.args[2] = length;
    if (result >= 0)
        result = claim_transfer(fake_interface(), endpoint, &call->command);
    return fake_called(call, result);
}

static inline void fake_cancel(const struct fake_call *call)
{
    if (!call->over)
        claim_cancel(call->command.message.token);
}

static inline struct fake_call *fake_alternate(uint8_t alternate, uint16_t streams)
{
    struct fake_call *call = fake_call();
    call->command.message.args[0] = alternate;
    call->command.message.args[1] = streams;
    return fake_called(call, claim_alternate(&fake.device, fake_interface(), &call->command));
}

static inline struct fake_call *fake_clear(uint32_t address)
{
    struct fake_call *call = fake_call();
    struct endpoint *endpoint = claim_endpoint(&fake.device, fake_interface(), (uint8_t)address);
    return fake_called(call, claim_clear(endpoint, &call->command));
}

static inline void fake_claim(void)
{
    struct fake_call *call = fake_call();
    fake_require(claim_open(&fake.device, fake_interface(), &call->command) == COMMAND_HELD,
                 "it cannot be asked for");
    fake_jobs(); /* which answer by a call of their own */
    call->held = false;
    fake_require(fake_interface()->owner == FAKE_OWNER, "it cannot be claimed");
}

/* Its number is 0. */
static inline uint8_t *fake_memory(uint64_t length)
{
    struct fake_call *call = fake_call();
    call->command.message.args[0] = length;
    int64_t result = claim_memory_create(&fake.device, fake_interface(), &call->command);
    fake_require(fake_called(call, result)->status == 0, "no memory");
    return list_last(&fake_interface()->memories, struct claim_memory, link)->dma.bytes;
}

/* --- the device --- */

#define FAKE_PIPE(address)                                               \
    7, USB_ENDPOINT, (address), USB_BULK, 0, 4, 0, 6, USB_COMPANION, 15, \
        (address) == COMMAND_PIPE ? 0 : 4 /* 16 streams */, 0, 0
#define FAKE_ENDPOINT(address) \
    7, USB_ENDPOINT, (address), USB_BULK, 0, 4, 0, 6, USB_COMPANION, 15, 0, 0, 0

static inline void fake_plug(void)
{
    static const uint8_t bytes[] = {9,
                                    USB_CONFIGURATION,
                                    105,
                                    0,
                                    1,
                                    1,
                                    0,
                                    0x80,
                                    10,
                                    9,
                                    USB_INTERFACE,
                                    0,
                                    0,
                                    2,
                                    8,
                                    6,
                                    0x50,
                                    0,
                                    FAKE_ENDPOINT(IN_PIPE),
                                    FAKE_ENDPOINT(OUT_PIPE),
                                    9,
                                    USB_INTERFACE,
                                    0,
                                    1,
                                    4,
                                    8,
                                    6,
                                    0x62,
                                    0,
                                    FAKE_PIPE(COMMAND_PIPE),
                                    FAKE_PIPE(STATUS_PIPE),
                                    FAKE_PIPE(IN_PIPE),
                                    FAKE_PIPE(OUT_PIPE)};
    static char name[] = "1-1";
    struct device *device = &fake.device;
    fake = (struct fake){.now = 1, .controller = {.slots = 8, .streams = 255, .context_size = 32}};
    device->name = name;
    device->controller = &fake.controller;
    device->speed = USB_SUPER;
    list_init(&device->jobs);
    fake_require(
        usb_configuration_parse(bytes, sizeof(bytes), USB_SUPER, &device->configuration) >= 0 &&
            slot_open(device) >= 0 && slot_address(device) >= 0 && device_configure(device) >= 0,
        "it cannot be configured");
    fake_claim();
}

/* As device_remove does it. */
static inline void fake_gone(void)
{
    struct device *device = &fake.device;
    device->gone = true;
    slot_close(device);
    endpoint_drop(&device->control, -E_CLOSED);
    for (uint8_t dci = 2; dci < CONTEXT_ENDPOINTS; dci++)
        if (device->endpoints[dci])
            endpoint_drop(device->endpoints[dci], -E_CLOSED);
}

/* Every command was answered, and all memory was given back. */
static inline void fake_unplug(void)
{
    struct device *device = &fake.device;
    if (!device->gone)
        fake_gone();
    fake_jobs();
    for (uint32_t i = 0; i < FAKE_CALLS; i++)
        fake_require(fake.calls[i].over || !fake.calls[i].held, "a command without an answer");
    list_for_each (struct claim_memory, memory, &fake_interface()->memories, link)
        fake_require(memory->users == 0, "memory that is in use by nobody");
    claims_end(device);
    for (uint8_t dci = 2; dci < CONTEXT_ENDPOINTS; dci++)
        if (device->endpoints[dci])
            device_endpoints_free(&device->endpoints[dci], 1);
    endpoint_close(&device->control);
    pci_dma_free(NULL, &device->memory);
    usb_configuration_destroy(&device->configuration);
    free(device->interfaces);
    fake_require(fake.memories == 0, "memory that was not given back");
}
