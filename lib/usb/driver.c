/* Of usb://: see driver.h. */
#include "lib/usb/driver.h"

#include <stdio.h>

#include "lib/sys/file.h"
#include "lib/sys/map.h"
#include "lib/sys/wait.h"

static int64_t describe(struct usb_interface_claim *claim)
{
    struct abi_command command = {.op = USB_DESCRIBE,
                                  .out = (uintptr_t)&claim->description,
                                  .out_length = sizeof(claim->description)};
    return file_command(claim->file, &command);
}

int64_t usb_claim(struct usb_interface_claim *claim, const char *interface)
{
    char uri[sizeof(claim->uri) + 16];
    *claim = (struct usb_interface_claim){.file = HANDLE_NONE};
    if ((size_t)snprintf(claim->uri, sizeof(claim->uri), "%s", interface) >= sizeof(claim->uri))
        return -E_TOO_LONG;
    snprintf(uri, sizeof(uri), "%s/interface", claim->uri);
    int64_t result = file_open(HANDLE_SELF, uri, OPEN_READ | OPEN_WRITE, &claim->file);
    if (result >= 0)
        result = describe(claim);
    if (result < 0)
        usb_release(claim);
    return result;
}

void usb_release(struct usb_interface_claim *claim)
{
    handle_drop(claim->file);
    claim->file = HANDLE_NONE;
}

/* Readable is what a file becomes whose service has died. */
void usb_rest(const struct usb_interface_claim *claim)
{
    sys_ignore(handle_wait(claim->file, SIGNAL_READABLE, DEADLINE_NEVER));
}

int64_t usb_request(const struct usb_interface_claim *claim, uint64_t setup, void *bytes)
{
    uint64_t length = setup >> 48;
    bool in = setup & USB_TYPE_IN;
    struct abi_command command = {.op = USB_CONTROL, .args = {setup}};
    *(in ? &command.out : &command.in) = (uintptr_t)bytes;
    *(in ? &command.out_length : &command.in_length) = length;
    int64_t result = file_command(claim->file, &command);
    return result < 0 ? result : (int64_t)command.values[0];
}

int64_t usb_alternate(struct usb_interface_claim *claim, uint8_t alternate, uint16_t streams)
{
    struct abi_command command = {.op = USB_ALTERNATE, .args = {alternate, streams}};
    int64_t result = file_command(claim->file, &command);
    if (result >= 0)
        result = describe(claim);
    return result < 0 ? result : (int64_t)MIN(command.values[0], (uint64_t)streams);
}

int64_t usb_reset(const struct usb_interface_claim *claim)
{
    struct abi_command command = {.op = USB_RESET};
    return file_command(claim->file, &command);
}

uint8_t usb_endpoint_find(const struct usb_interface_claim *claim, enum usb_endpoint_type type,
                          uint8_t direction)
{
    const struct usb_description *description = &claim->description;
    for (uint8_t i = 0; i < description->endpoint_count; i++)
        if (description->endpoints[i].type == type &&
            (description->endpoints[i].address & USB_ENDPOINT_IN) == direction)
            return description->endpoints[i].address;
    return 0;
}

int64_t usb_endpoint_open(const struct usb_interface_claim *claim, uint8_t address, handle_t *file)
{
    char uri[sizeof(claim->uri) + 8];
    snprintf(uri, sizeof(uri), "%s/%02x", claim->uri, address);
    return file_open(HANDLE_SELF, uri, OPEN_READ | OPEN_WRITE, file);
}

int64_t usb_read(handle_t endpoint, void *bytes, size_t length)
{
    struct abi_command command = {.op = OP_READ, .out = (uintptr_t)bytes, .out_length = length};
    int64_t result = file_command(endpoint, &command);
    return result < 0 ? result : (int64_t)command.values[0];
}

int64_t usb_write(handle_t endpoint, const void *bytes, size_t length)
{
    struct abi_command command = {.op = OP_WRITE, .in = (uintptr_t)bytes, .in_length = length};
    int64_t result = file_command(endpoint, &command);
    return result < 0 ? result : (int64_t)command.values[0];
}

int64_t usb_clear_halt(handle_t endpoint)
{
    struct abi_command command = {.op = USB_CLEAR_HALT};
    return file_command(endpoint, &command);
}

/* --- memory --- */

static void memory_give_back(const struct usb_interface_claim *claim, uint64_t number)
{
    struct abi_command command = {.op = USB_MEMORY_FREE, .args = {number}};
    sys_ignore(file_command(claim->file, &command));
}

/* *handle: of memory that is there (or HANDLE_NONE), then of what the controller reaches. */
static int64_t memory_ask(const struct usb_interface_claim *claim, uint64_t length, uint64_t flags,
                          handle_t *handle, struct usb_memory *memory)
{
    struct abi_command command = {.op = USB_MEMORY, .args = {length, flags}};
    if (*handle != HANDLE_NONE) {
        int64_t copy = handle_copy(*handle, RIGHT_ALL);
        if (copy < 0)
            return copy;
        command.send[command.send_count++] = (handle_t)copy;
    }
    int64_t result = file_command(claim->file, &command);
    if (result < 0)
        return result;
    result = memory_map(command.receive[0], 0, length, PROT_READ_ | PROT_WRITE_);
    if (result < 0) {
        handle_drop(command.receive[0]);
        memory_give_back(claim, command.values[0]);
        return result;
    }
    *handle = command.receive[0];
    *memory = (struct usb_memory){(uint8_t *)(uintptr_t)result, length, command.values[0]};
    return 0;
}

int64_t usb_memory(const struct usb_interface_claim *claim, uint64_t length,
                   struct usb_memory *memory)
{
    handle_t handle = HANDLE_NONE;
    int64_t result = memory_ask(claim, length, 0, &handle, memory);
    handle_drop(handle);
    return result;
}

int64_t usb_memory_lend(const struct usb_interface_claim *claim, uint64_t length,
                        struct usb_memory *memory, handle_t *handle)
{
    *handle = HANDLE_NONE;
    return memory_ask(claim, length, USB_MEMORY_LENT, handle, memory);
}

int64_t usb_memory_again(const struct usb_interface_claim *claim, handle_t handle,
                         struct usb_memory *memory)
{
    handle_t reached = handle;
    int64_t size = sys_memory_op(handle, MEMORY_OP_SIZE, 0, 0, NULL);
    int64_t result =
        size < 0 ? size : memory_ask(claim, (uint64_t)size, USB_MEMORY_LENT, &reached, memory);
    if (result >= 0)
        handle_drop(reached);
    return result;
}

void usb_memory_free(const struct usb_interface_claim *claim, struct usb_memory *memory)
{
    sys_ignore(sys_space_unmap(HANDLE_SELF, (uintptr_t)memory->bytes,
                               ALIGN_UP(memory->length, (uint64_t)PAGE_SIZE)));
    memory_give_back(claim, memory->number);
    *memory = (struct usb_memory){0};
}

int64_t usb_transfer(handle_t endpoint, uint64_t memory, uint64_t offset, uint64_t length,
                     int64_t deadline)
{
    struct abi_command command = {
        .op = USB_TRANSFER, .args = {memory, offset, length}, .deadline = deadline};
    int64_t result = file_command(endpoint, &command);
    return result < 0 ? result : (int64_t)command.values[0];
}

int64_t usb_transfers(const struct usb_interface_claim *claim, uint64_t flags,
                      const struct usb_transfer *transfers, uint32_t count, int64_t *results,
                      int64_t deadline)
{
    struct abi_command command = {.op = USB_TRANSFERS,
                                  .args = {flags},
                                  .in = (uintptr_t)transfers,
                                  .in_length = count * sizeof(*transfers),
                                  .out = (uintptr_t)results,
                                  .out_length = count * sizeof(*results),
                                  .deadline = deadline};
    int64_t result = file_command(claim->file, &command);
    return result < 0 ? result : (int64_t)MIN(command.values[0], (uint64_t)count);
}
