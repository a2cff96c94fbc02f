/* pcid: pci://, the PCI functions of the machine (abi/pci.h). claim.h says what becomes of them, names.h what there is to name; this
 * file is the files.
 *
 * The same files are served on two ports, a thread for each: pci:// for who looks, and for drivers, who may claim what initd started
 * them for (abi/bus.h); pci-claim:// for who may claim whatever is free. One thread at a time is past the door (`serve`).
 *
 * Whoever waits for an open `devices` is woken when a line of it has changed: it is readable until it is read.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/bus.h"
#include "abi/pci.h"
#include "lib/sys/error.h"
#include "lib/sys/listing.h"
#include "lib/sys/startup.h"
#include "sbin/pcid/claim.h"
#include "sbin/pcid/driver.h"
#include "sbin/pcid/names.h"
#include "sbin/pcid/table.h"
#include "sbin/pcid/text.h"

struct protocol {
    struct service service;
    bool claims; /* whatever is free */
};

static struct protocol pci, pci_claim;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static _Thread_local union {
    struct abi_stat stat;
    uint32_t words[PCI_CONFIG_SIZE / 4];
    uint64_t listing[2048];
} answer; /* until it is returned */

/* The open file, or what the command's path names. */
static int64_t find(const struct command *command, uint64_t *cookie)
{
    if (command->message.file == 0)
        return find_path(command->path, command->path_length, cookie);
    *cookie = command->message.cookie;
    return 0;
}

/* --- Watchers: open files of `devices` ---------------------------------------------------------------------------- */

struct watcher {
    handle_t port; /* HANDLE_NONE: free */
    uint64_t file;
};

static struct watcher *watchers;
static uint32_t watchers_room;

/* A cookie for the file; 0: no memory. */
static uint64_t watcher_add(handle_t port, uint64_t file)
{
    uint32_t slot = 0;

    while (slot < watchers_room && watchers[slot].port != HANDLE_NONE)
        slot++;
    if (slot == watchers_room) {
        uint32_t room = watchers_room ? 2 * watchers_room : 4;
        struct watcher *table = realloc(watchers, room * sizeof(*table));

        if (!table)
            return 0;
        for (uint32_t i = watchers_room; i < room; i++)
            table[i].port = HANDLE_NONE;
        watchers = table;
        watchers_room = room;
    }
    watchers[slot] = (struct watcher){port, file};
    return cookie_of(NODE_DEVICES, slot);
}

static void watchers_wake(void)
{
    for (uint32_t slot = 0; slot < watchers_room; slot++)
        if (watchers[slot].port != HANDLE_NONE)
            sys_ignore(
                sys_file_ready(watchers[slot].port, watchers[slot].file, SIGNAL_READABLE, 0));
}

/* --- Files --------------------------------------------------------------------------------------------------------- */

/* Whether the process was started for this function. */
static bool is_its_driver(uint32_t index, uint64_t process)
{
    struct abi_kept grant = {.key = BUS_GRANT(process), .flags = KEPT_EXACT};
    char granted[BUS_NAME_MAX + 1], name[NAME_SIZE];

    if (sys_port_kept(pci.service.port, &grant) < 0)
        return false;
    int64_t result = sys_memory_op(grant.handle, MEMORY_OP_READ, 0, sizeof(granted), granted);
    handle_drop(grant.handle);
    function_name(&table_at(index)->function, name);
    return result >= 0 && strncmp(granted, name, sizeof(granted)) == 0;
}

static int64_t claim(const struct protocol *protocol, uint32_t index, uint64_t process)
{
    return protocol->claims || is_its_driver(index, process) ? claim_open(index, process)
                                                             : -E_PERMISSION;
}

static int64_t pci_open(void *context, struct command *command)
{
    uint64_t flags = command->message.args[0], cookie;
    int64_t result = find_path(command->path, command->path_length, &cookie);

    if (result < 0)
        return result == -E_NOT_FOUND && flags & OPEN_CREATE ? -E_READ_ONLY : result;
    if (flags & OPEN_CREATE && flags & OPEN_EXCLUSIVE)
        return -E_EXISTS;
    if (flags & OPEN_DIRECTORY && !is_folder(node_of(cookie)))
        return -E_NOT_DIRECTORY;
    if (flags & (OPEN_WRITE | OPEN_TRUNCATE) && node_of(cookie) != NODE_DEVICE)
        return is_folder(node_of(cookie)) ? -E_IS_DIRECTORY : -E_READ_ONLY;
    if (node_of(cookie) == NODE_DEVICE && !(flags & OPEN_PATH)) {
        if (!(flags & OPEN_READ) || !(flags & OPEN_WRITE))
            return -E_ACCESS;
        result = claim(context, index_of(cookie), command->message.caller);
        if (result < 0)
            return result;
    } else if (node_of(cookie) == NODE_DEVICE) {
        cookie = cookie_of(NODE_INFO, index_of(cookie)); /* only named */
    }
    if (node_of(cookie) == NODE_DEVICES) {
        cookie = watcher_add(command->port, command->message.file);
        if (!cookie)
            return -E_NO_MEMORY;
    }
    command->reply.values[0] = cookie;
    command->reply.values[1] = node_of(cookie) == NODE_DEVICE ? 0 : HANDLE_FLAG_SEEKABLE;
    command->reply.values[2] = SIGNAL_READABLE;
    return 0;
}

static void pci_closed(void *context, uint64_t cookie)
{
    (void)context;
    pthread_mutex_lock(&lock);
    if (node_of(cookie) == NODE_DEVICE)
        claim_close(index_of(cookie));
    if (node_of(cookie) == NODE_DEVICES && index_of(cookie) < watchers_room)
        watchers[index_of(cookie)].port = HANDLE_NONE;
    pthread_mutex_unlock(&lock);
}

static int64_t read_config(struct command *command, uint32_t index)
{
    uint32_t where = table_at(index)->function.where;
    uint32_t size = MIN(config_machine.size(NULL, where), PCI_CONFIG_SIZE);

    for (uint32_t at = 0; at < size; at += 4)
        answer.words[at / 4] = config_read(&config_machine, where, at, 4);
    return command_answer_part(command, answer.words, size);
}

static int64_t pci_file_read(void *context, struct command *command)
{
    uint64_t cookie;
    int64_t result = find(command, &cookie);
    size_t length;

    (void)context;
    if (result < 0)
        return result;
    if (node_of(cookie) == NODE_ROOT)
        return -E_IS_DIRECTORY;
    if (node_of(cookie) == NODE_DEVICE)
        return -E_INVALID;
    if (node_of(cookie) == NODE_CONFIG)
        return read_config(command, index_of(cookie));
    if (node_of(cookie) == NODE_DEVICES && command->message.file)
        sys_ignore(sys_file_ready(command->port, command->message.file, 0, SIGNAL_READABLE));
    const char *text = text_make(cookie, &length);
    return text ? command_answer_part(command, text, length) : -E_NO_MEMORY;
}

static uint64_t size_of(uint64_t cookie)
{
    enum node node = node_of(cookie);
    size_t length;

    if (node == NODE_CONFIG)
        return config_machine.size(NULL, table_at(index_of(cookie))->function.where);
    if (node != NODE_INFO && node != NODE_DEVICES)
        return 0;
    return text_make(cookie, &length) ? length : 0;
}

static int64_t pci_stat(void *context, struct command *command)
{
    uint64_t cookie;
    int64_t result = find(command, &cookie);

    (void)context;
    if (result < 0)
        return result;
    enum node node = node_of(cookie);
    answer.stat = (struct abi_stat){
        .size = size_of(cookie),
        .inode = node == NODE_DEVICES ? cookie_of(NODE_DEVICES, 0) : cookie,
        .device = 1,
        .type = is_folder(node)       ? FILE_DIRECTORY
                : node == NODE_DEVICE ? FILE_CHARACTER
                                      : FILE_REGULAR,
        .mode = is_folder(node)       ? 0555
                : node == NODE_DEVICE ? 0600
                                      : 0444,
        .links = is_folder(node) ? 2 : 1,
        .block_size = PAGE_SIZE,
    };
    return command_answer(command, &answer.stat, sizeof(answer.stat));
}

static enum file_type entry_type(enum node node)
{
    return is_folder(node) ? FILE_DIRECTORY : node == NODE_DEVICE ? FILE_CHARACTER : FILE_REGULAR;
}

static int64_t pci_list(void *context, struct command *command)
{
    struct listing listing = listing_begin(command, answer.listing, sizeof(answer.listing));
    uint64_t folder, cookie;
    char name[NAME_SIZE];
    int64_t result = find(command, &folder);

    (void)context;
    if (result < 0)
        return result;
    if (!is_folder(node_of(folder)))
        return -E_NOT_DIRECTORY;
    while (entry_at(folder, listing.position, name, &cookie) &&
           listing_add(&listing, name, cookie, entry_type(node_of(cookie))))
        ;
    return listing_end(&listing);
}

static void fault(const struct iommu_fault *fault)
{
    if (claim_fault(fault))
        watchers_wake();
}

/* An IOMMU has refused something, or an interrupt that a driver has fires without end. */
static void pci_notified(void *context, uint64_t key, uint64_t signals)
{
    (void)context;
    pthread_mutex_lock(&lock);
    if (key >= IOMMU_KEYS)
        iommu_faults(key, fault);
    if (signals & SIGNAL_ERROR && key >= 1 && key <= table_count() &&
        claim_revoke((uint32_t)key - 1, "its interrupts come without end: switched off"))
        watchers_wake();
    pthread_mutex_unlock(&lock);
}

static command_handler *const handlers[SERVICE_OPERATIONS] = {
    [OP_OPEN] = pci_open,
    [OP_READ] = pci_file_read,
    [OP_STAT] = pci_stat,
    [OP_LIST] = pci_list,
    [SERVICE_INDEX(PCI_DESCRIBE)... SERVICE_INDEX(PCI_DMA_AGAIN)] = driver_command,
};

/* All of them, one at a time. */
static int64_t serve(void *context, struct command *command)
{
    pthread_mutex_lock(&lock);
    int64_t result = handlers[SERVICE_INDEX(command->message.op)](context, command);
    pthread_mutex_unlock(&lock);
    return result;
}

static command_handler *const operations[SERVICE_OPERATIONS] = {
    [OP_OPEN] = serve,
    [OP_READ] = serve,
    [OP_STAT] = serve,
    [OP_LIST] = serve,
    [SERVICE_INDEX(PCI_DESCRIBE)... SERVICE_INDEX(PCI_DMA_AGAIN)] = serve,
};

static void prepare(struct protocol *protocol, const char *port)
{
    protocol->service = (struct service){
        .port = startup_require(port),
        .context = protocol,
        .operations = operations,
        .notified = pci_notified,
        .closed = pci_closed,
    };
}

static void *serve_claims(void *argument)
{
    int64_t result = service_run(&pci_claim.service, 1);

    (void)argument;
    fprintf(stderr, "cannot serve pci-claim://: %s\n", error_text(result));
    exit(1);
}

int main(void)
{
    pthread_t thread;

    prepare(&pci, "port:pci");
    prepare(&pci_claim, "port:pci-claim");
    pci_claim.claims = true;
    int64_t result = config_start();
    text_start();
    if (result < 0)
        fprintf(stderr, "no PCI here: %s\n", error_text(result));
    result = claims_start(pci.service.port);
    if (result < 0) {
        fprintf(stderr, "cannot keep a table of functions: %s\n", error_text(result));
        return 1;
    }
    fprintf(stderr, "%u functions\n", table_count());
    int error = pthread_create(&thread, NULL, serve_claims, NULL);
    if (error) {
        fprintf(stderr, "cannot start a thread for pci-claim://: %s\n", strerror(error));
        return 1;
    }
    fprintf(stderr, "cannot serve pci://: %s\n", error_text(service_run(&pci.service, 1)));
    return 1;
}
