/* usbd: usb://, the devices on the machine's USB controllers (abi/usb.h). This file is the files; claim.h says what drivers do with
 * devices, device.h and hub.h how these come and go, controller.h how the controllers are spoken to, lock.h who waits for whom.
 *
 * One process has all controllers of the kind xHCI (0c0330), as fbd has all displays: their devices are one tree. A controller that
 * pcid has taken away, or that fails, ends it; all begin anew then.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/error.h"
#include "lib/sys/file.h"
#include "lib/sys/keep.h"
#include "lib/sys/listing.h"
#include "lib/sys/startup.h"
#include "sbin/usbd/claim.h"
#include "sbin/usbd/controller.h"
#include "sbin/usbd/io.h"
#include "sbin/usbd/lock.h"
#include "sbin/usbd/names.h"
#include "sbin/usbd/text.h"
#include "sbin/usbd/watchers.h"

#define PCI_DEVICES "pci-claim:///devices"
#define LIST_MAX    (UINT64_C(1) << 20)
#define CLASS_XHCI  "0c0330"
#define KEY_PCI     UINT64_C(1) /* of a notification: pci:///devices has changed */
#define KEY_LIFE    UINT64_C(1) /* kept: the number of the next connection of a usbd to come */
#define LIFE        (UINT64_C(1) << 20) /* connections that one usbd has numbers for */

static handle_t port;

static union {
    struct abi_stat stat;
    uint64_t listing[1024];
} answer; /* until it is returned */

/* --- Files --- */

static int64_t find(const struct command *command, struct name *name)
{
    if (command->message.file == 0)
        return name_find(command->path, command->path_length, name);
    *name = name_of_cookie(command->message.cookie);
    return 0;
}

/* An interface or endpoint, as its driver has it open. */
static int64_t claimed(const struct command *command, struct name *name, struct device **device,
                       struct interface **interface)
{
    *name = name_of_cookie(command->message.cookie);
    if (command->message.file == 0 || (name->node != NODE_CLAIM && name->node != NODE_ENDPOINT))
        return -E_NO_CALL;
    *device = device_find(name->number);
    *interface = *device ? device_interface(*device, name->interface) : NULL;
    if (!*interface)
        return -E_CLOSED;
    return claim_check(*interface, command->message.caller);
}

static int64_t open_flags(const struct name *name, uint64_t flags)
{
    bool drives = name->node == NODE_CLAIM || name->node == NODE_ENDPOINT;
    if (flags & OPEN_CREATE && flags & OPEN_EXCLUSIVE)
        return -E_EXISTS;
    if (flags & OPEN_DIRECTORY && !name_is_folder(name))
        return -E_NOT_DIRECTORY;
    if (flags & (OPEN_WRITE | OPEN_TRUNCATE) && !drives)
        return name_is_folder(name) ? -E_IS_DIRECTORY : -E_READ_ONLY;
    if (name->node == NODE_CLAIM && !(flags & OPEN_PATH) &&
        (!(flags & OPEN_READ) || !(flags & OPEN_WRITE)))
        return -E_ACCESS;
    return 0;
}

static int64_t open_endpoint(const struct name *name, const struct command *command)
{
    struct device *device = device_find(name->number);
    return claim_check(device_interface(device, name->interface), command->message.caller);
}

static int64_t usb_open(void *context, struct command *command)
{
    struct name name;
    uint64_t flags = command->message.args[0];
    int64_t result = name_find(command->path, command->path_length, &name);
    (void)context;
    if (result < 0)
        return flags & OPEN_CREATE ? -E_READ_ONLY : result;
    result = open_flags(&name, flags);
    if (result < 0)
        return result;
    command->reply.values[0] = name_cookie(&name);
    command->reply.values[1] = HANDLE_FLAG_SEEKABLE;
    command->reply.values[2] = SIGNAL_READABLE;
    if (name.node == NODE_DEVICES)
        return watcher_add(command->message.file, &command->reply.values[0]);
    if (flags & OPEN_PATH && (name.node == NODE_CLAIM || name.node == NODE_ENDPOINT)) {
        name.node = NODE_INTERFACE; /* only named */
        command->reply.values[0] = name_cookie(&name);
        return 0;
    }
    command->reply.values[1] = name.node == NODE_ENDPOINT ? 0 : HANDLE_FLAG_SEEKABLE;
    if (name.node == NODE_ENDPOINT)
        return open_endpoint(&name, command);
    if (name.node != NODE_CLAIM)
        return 0;
    struct device *device = device_find(name.number);
    return claim_open(device, device_interface(device, name.interface), command);
}

static void usb_closed(void *context, uint64_t cookie)
{
    struct name name = name_of_cookie(cookie);
    (void)context;
    usbd_lock();
    struct device *device = name.node == NODE_CLAIM ? device_find(name.number) : NULL;
    struct interface *interface = device ? device_interface(device, name.interface) : NULL;
    if (interface)
        claim_close(device, interface);
    if (name.node == NODE_DEVICES)
        watcher_remove(cookie);
    usbd_unlock();
}

static int64_t endpoint_of(const struct command *command, struct interface **interface,
                           struct endpoint **endpoint)
{
    struct name name;
    struct device *device;
    int64_t result = claimed(command, &name, &device, interface);
    if (result < 0)
        return result;
    if (name.node != NODE_ENDPOINT)
        return -E_NO_CALL;
    *endpoint = claim_endpoint(device, *interface, name.address);
    return *endpoint ? 0 : -E_NOT_FOUND; /* another alternate setting has not got it */
}

static int64_t usb_read(void *context, struct command *command)
{
    struct name name;
    struct interface *interface;
    struct endpoint *endpoint;
    size_t length;
    int64_t result = find(command, &name);
    (void)context;
    if (result < 0)
        return result;
    if (name_is_folder(&name))
        return -E_IS_DIRECTORY;
    if (name.node == NODE_CLAIM)
        return -E_INVALID;
    if (name.node == NODE_ENDPOINT) {
        result = endpoint_of(command, &interface, &endpoint);
        return result < 0 ? result : claim_read(endpoint, command);
    }
    if (name.node == NODE_DEVICES && command->message.file && watchers_in_doubt())
        return watcher_hold(command);
    if (name.node == NODE_DEVICES && command->message.file)
        sys_ignore(sys_file_ready(port, command->message.file, 0, SIGNAL_READABLE));
    const char *text = text_make(&name, &length);
    return text ? command_answer_part(command, text, length) : -E_NO_MEMORY;
}

static int64_t usb_write(void *context, struct command *command)
{
    struct interface *interface;
    struct endpoint *endpoint;
    int64_t result = endpoint_of(command, &interface, &endpoint);
    (void)context;
    return result < 0 ? result : claim_write(endpoint, command);
}

static enum file_type type_of(const struct name *name)
{
    bool drives = name->node == NODE_CLAIM || name->node == NODE_ENDPOINT;
    return name_is_folder(name) ? FILE_DIRECTORY : drives ? FILE_CHARACTER : FILE_REGULAR;
}

static int64_t usb_stat(void *context, struct command *command)
{
    struct name name;
    size_t length = 0;
    int64_t result = find(command, &name);
    (void)context;
    if (result < 0)
        return result;
    enum file_type type = type_of(&name);
    if (type == FILE_REGULAR && !text_make(&name, &length))
        return -E_NO_MEMORY;
    if (name.node == NODE_DEVICES)
        name.number = 0;
    answer.stat = (struct abi_stat){
        .size = length,
        .inode = name_cookie(&name),
        .device = 1,
        .type = type,
        .mode = type == FILE_DIRECTORY   ? 0555
                : type == FILE_CHARACTER ? 0600
                                         : 0444,
        .links = type == FILE_DIRECTORY ? 2 : 1,
        .block_size = PAGE_SIZE,
    };
    return command_answer(command, &answer.stat, sizeof(answer.stat));
}

static int64_t usb_list(void *context, struct command *command)
{
    struct listing listing = listing_begin(command, answer.listing, sizeof(answer.listing));
    struct name folder, name;
    char text[NAME_SIZE];
    int64_t result = find(command, &folder);
    (void)context;
    if (result < 0)
        return result;
    if (!name_is_folder(&folder))
        return -E_NOT_DIRECTORY;
    while (name_entry(&folder, &listing.position, text, &name) &&
           listing_add(&listing, text, name_cookie(&name), type_of(&name)))
        ;
    return listing_end(&listing);
}

/* --- Drivers --- */

typedef int64_t claim_handler(struct device *device, struct interface *interface,
                              struct command *command);

static int64_t of_interface(struct command *command, claim_handler *handler)
{
    struct name name;
    struct device *device;
    struct interface *interface;
    int64_t result = claimed(command, &name, &device, &interface);
    return result < 0 ? result : handler(device, interface, command);
}

static int64_t usb_describe(void *context, struct command *command)
{
    (void)context;
    return of_interface(command, claim_describe);
}

static int64_t usb_control(void *context, struct command *command)
{
    (void)context;
    return of_interface(command, claim_control);
}

static int64_t usb_alternate(void *context, struct command *command)
{
    (void)context;
    return of_interface(command, claim_alternate);
}

static int64_t usb_memory(void *context, struct command *command)
{
    (void)context;
    return of_interface(command, claim_memory_create);
}

static int64_t usb_memory_free(void *context, struct command *command)
{
    (void)context;
    return of_interface(command, claim_memory_free);
}

static int64_t usb_transfer(void *context, struct command *command)
{
    struct interface *interface;
    struct endpoint *endpoint;
    int64_t result = endpoint_of(command, &interface, &endpoint);
    (void)context;
    return result < 0 ? result : claim_transfer(interface, endpoint, command);
}

static int64_t usb_transfers(void *context, struct command *command)
{
    (void)context;
    return of_interface(command, claim_transfers);
}

static int64_t usb_clear_halt(void *context, struct command *command)
{
    struct interface *interface;
    struct endpoint *endpoint;
    int64_t result = endpoint_of(command, &interface, &endpoint);
    (void)context;
    return result < 0 ? result : claim_clear(endpoint, command);
}

static int64_t usb_reset(void *context, struct command *command)
{
    (void)context;
    return of_interface(command, claim_reset);
}

/* Each is carried out under the lock. */
#define OPERATIONS(OPERATION)                   \
    OPERATION(OP_OPEN, usb_open)                \
    OPERATION(OP_READ, usb_read)                \
    OPERATION(OP_WRITE, usb_write)              \
    OPERATION(OP_STAT, usb_stat)                \
    OPERATION(OP_LIST, usb_list)                \
    OPERATION(USB_DESCRIBE, usb_describe)       \
    OPERATION(USB_CONTROL, usb_control)         \
    OPERATION(USB_ALTERNATE, usb_alternate)     \
    OPERATION(USB_MEMORY, usb_memory)           \
    OPERATION(USB_MEMORY_FREE, usb_memory_free) \
    OPERATION(USB_TRANSFER, usb_transfer)       \
    OPERATION(USB_TRANSFERS, usb_transfers)     \
    OPERATION(USB_CLEAR_HALT, usb_clear_halt)   \
    OPERATION(USB_RESET, usb_reset)

static int64_t usb_serve(void *context, struct command *command)
{
#define OPERATION(op, handler) [SERVICE_INDEX(op)] = handler,
    static command_handler *const handlers[SERVICE_OPERATIONS] = {OPERATIONS(OPERATION)};
#undef OPERATION
    usbd_lock();
    int64_t result = handlers[SERVICE_INDEX(command->message.op)](context, command);
    usbd_unlock();
    return result;
}

static void usb_cancelled(void *context, uint64_t token)
{
    (void)context;
    usbd_lock();
    if (!watcher_cancel(token))
        claim_cancel(token);
    usbd_unlock();
}

/* --- Controllers --- */

static handle_t pci_devices = HANDLE_NONE;

/* `use` for each line of pci:///devices that is of a controller: "00:04.0 0c0330 1b36:000d 0 USB controller: ...". */
static int64_t controllers_list(void (*use)(const char *function, uint32_t number, uint64_t resets))
{
    char *text = calloc(1, LIST_MAX + 1), *rest = text, *line;
    uint32_t number = 0;
    int64_t result = text ? file_read(pci_devices, 0, text, LIST_MAX) : -E_NO_MEMORY;
    while (result >= 0 && (line = strsep(&rest, "\n"))) {
        char where[24], class_code[8], function[40];
        uint64_t resets;
        if (sscanf(line, "%23s %7s %*s %" SCNu64, where, class_code, &resets) != 3 ||
            strcmp(class_code, CLASS_XHCI) != 0)
            continue;
        snprintf(function, sizeof(function), "pci:///%s", where);
        use(function, ++number, resets);
    }
    free(text);
    return result;
}

static void controller_use(const char *function, uint32_t number, uint64_t resets)
{
    int64_t result = controller_start(function, number, resets);
    if (result < 0)
        fprintf(stderr, "%s: %s\n", function, error_text(result));
}

static void controller_check(const char *function, uint32_t number, uint64_t resets)
{
    (void)number;
    list_for_each (struct controller, controller, &controllers, link) {
        if (strcmp(controller->function, function) != 0 || controller->resets == resets)
            continue;
        fprintf(stderr, "%s: was taken away; begins anew\n", function);
        exit(1);
    }
}

static void pci_notified(void *context, uint64_t key, uint64_t signals)
{
    (void)context;
    (void)signals;
    if (key != KEY_PCI)
        return;
    usbd_lock();
    sys_ignore(controllers_list(controller_check));
    usbd_unlock();
}

static int64_t controllers_find(void)
{
    int64_t result = file_open(HANDLE_SELF, PCI_DEVICES, OPEN_READ, &pci_devices);
    if (result >= 0)
        result = controllers_list(controller_use);
    if (result >= 0)
        result = sys_port_bind(port, pci_devices, SIGNAL_READABLE, KEY_PCI, 0);
    return result;
}

/* Connections are numbered through all the lives of usbd. */
static bool numbers_start(void)
{
    uint64_t *next = keep_memory(port, KEY_LIFE, sizeof(*next));
    if (!next)
        return false;
    controllers_again = *next;
    *next = MAX(*next, UINT64_C(1)) & NAME_NUMBER_MAX;
    devices_start(*next);
    *next += LIFE;
    return true;
}

int main(void)
{
#define OPERATION(op, handler) [SERVICE_INDEX(op)] = usb_serve,
    static command_handler *const served[SERVICE_OPERATIONS] = {OPERATIONS(OPERATION)};
#undef OPERATION
    port = startup_require("port:usb");
    struct service service = {
        .port = port,
        .operations = served,
        .notified = pci_notified,
        .cancelled = usb_cancelled,
        .closed = usb_closed,
    };
    if (!numbers_start()) {
        fprintf(stderr, "cannot keep what numbers connections have\n");
        return 1;
    }
    claims_start(port);
    io_start(port);
    watchers_start(port);
    text_start();
    int64_t result = controllers_find();
    if (result < 0)
        fprintf(stderr, "%s: %s\n", PCI_DEVICES, error_text(result));
    fprintf(stderr, "cannot serve usb://: %s\n", error_text(service_run(&service, 1)));
    return 1;
}
