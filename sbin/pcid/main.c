/* pcid: pci://, the PCI functions of the machine (abi/pci.h). claim.h says what becomes of them; this file is the names and the
 * texts.
 *
 *     pci:///                      a folder for each function, and `devices`: a line for each
 *     pci:///00:1f.2/info          what it is, for people
 *     pci:///00:1f.2/config        its configuration space
 *     pci:///00:1f.2/device        to be claimed by a driver
 *
 * A file's cookie is what it is << 32 | function index + 1. One thread.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/error.h"
#include "lib/sys/listing.h"
#include "lib/sys/startup.h"
#include "sbin/pcid/claim.h"

enum node { NODE_ROOT = 1, NODE_DEVICES, NODE_FUNCTION, NODE_INFO, NODE_CONFIG, NODE_DEVICE };

static const struct {
    enum node node;
    const char *name;
} function_files[] = {{NODE_INFO, "info"}, {NODE_CONFIG, "config"}, {NODE_DEVICE, "device"}};

#define NAME_SIZE   20u
#define TEXT_SIZE   65536u
#define CONFIG_SIZE 4096u

static struct {
    char text[TEXT_SIZE];
    struct abi_stat stat;
    struct pci_description description;
    uint64_t words[CONFIG_SIZE / 8];
    uint64_t listing[2048];
} answer; /* until it is returned */

/* --- Names ------------------------------------------------------------------------------------------------------ */

static uint64_t cookie_of(enum node node, uint32_t index)
{
    return (uint64_t)node << 32 | (index + 1);
}

static enum node node_of(uint64_t cookie)
{
    return (enum node)(cookie >> 32);
}

static uint32_t index_of(uint64_t cookie)
{
    return (uint32_t)cookie - 1;
}

static void function_name(const struct pci_function *function, char name[NAME_SIZE])
{
    uint32_t where = function->where;

    if (where >> 16)
        snprintf(name, NAME_SIZE, "%04x:%02x:%02x.%x", where >> 16, where >> 8 & 0xff,
                 where >> 3 & 31, where & 7);
    else
        snprintf(name, NAME_SIZE, "%02x:%02x.%x", where >> 8, where >> 3 & 31, where & 7);
}

static bool equals(const char *text, size_t length, const char *name)
{
    return strlen(name) == length && memcmp(text, name, length) == 0;
}

/* The next part of a path, behind its slashes; an empty one at the end. */
static const char *next_part(const char **path, size_t *left, size_t *length)
{
    while (*left && **path == '/')
        ++*path, --*left;
    const char *part = *path;
    while (*left && **path != '/')
        ++*path, --*left;
    *length = (size_t)(*path - part);
    return part;
}

static int64_t find_in_function(uint32_t index, const char **path, size_t *left, uint64_t *cookie)
{
    size_t length;
    const char *part = next_part(path, left, &length);

    if (length == 0 || equals(part, length, ".")) {
        *cookie = cookie_of(NODE_FUNCTION, index);
        return 0;
    }
    for (size_t i = 0; i < ARRAY_SIZE(function_files); i++) {
        if (!equals(part, length, function_files[i].name))
            continue;
        *cookie = cookie_of(function_files[i].node, index);
        next_part(path, left, &length);
        return length ? -E_NOT_DIRECTORY : 0;
    }
    return -E_NOT_FOUND;
}

static int64_t find_path(const struct command *command, uint64_t *cookie)
{
    const char *path = command->path;
    size_t left = command->path_length, length;
    const char *part = next_part(&path, &left, &length);

    *cookie = cookie_of(NODE_ROOT, 0);
    if (length == 0 || equals(part, length, "."))
        return 0;
    if (equals(part, length, "devices")) {
        *cookie = cookie_of(NODE_DEVICES, 0);
        next_part(&path, &left, &length);
        return length ? -E_NOT_DIRECTORY : 0;
    }
    for (uint32_t index = 0; index < claims_count(); index++) {
        char name[NAME_SIZE];

        function_name(claims_at(index), name);
        if (equals(part, length, name))
            return find_in_function(index, &path, &left, cookie);
    }
    return -E_NOT_FOUND;
}

/* The open file, or what the command's path names. */
static int64_t find(const struct command *command, uint64_t *cookie)
{
    if (command->message.file == 0)
        return find_path(command, cookie);
    *cookie = command->message.cookie;
    return 0;
}

static bool is_folder(enum node node)
{
    return node == NODE_ROOT || node == NODE_FUNCTION;
}

/* --- Texts ------------------------------------------------------------------------------------------------------- */

static size_t text_used;

static PRINTF(1, 2) void put(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    int length = vsnprintf(answer.text + text_used, TEXT_SIZE - text_used, format, arguments);
    va_end(arguments);
    if (length > 0)
        text_used = MIN(text_used + (size_t)length, TEXT_SIZE - 1);
}

static void put_line(const struct pci_function *function)
{
    char name[NAME_SIZE];

    function_name(function, name);
    put("%s %06x %04x:%04x %s\n", name, function->class_code, function->vendor, function->device,
        pci_class_name(function->class_code));
}

static void put_length(uint64_t length)
{
    if (length >= UINT64_C(1) << 20)
        put("%" PRIu64 " MiB", length >> 20);
    else if (length >= 1024)
        put("%" PRIu64 " KiB", length >> 10);
    else
        put("%" PRIu64, length);
}

static void put_info(uint32_t index)
{
    const struct pci_function *function = claims_at(index);

    put_line(function);
    put("revision %02x, subsystem %04x:%04x, header %u\n", function->revision,
        function->subsystem_vendor, function->subsystem, function->header);
    if (function->header == 1)
        put("bridge to bus %02x\n", function->secondary);
    for (unsigned i = 0; i < PCI_BARS; i++) {
        const struct pci_bar *bar = &function->bars[i];

        if (!bar->length)
            continue;
        put("bar %u: %s 0x%" PRIx64 ", ", i, bar->flags & PCI_BAR_PORTS ? "ports" : "memory",
            bar->base);
        put_length(bar->length);
        put("%s%s\n", bar->flags & PCI_BAR_64 ? ", 64 bits" : "",
            bar->flags & PCI_BAR_PREFETCHABLE ? ", prefetchable" : "");
    }
    put("interrupts:");
    if (function->pin)
        put(" INT%c", 'A' + function->pin - 1);
    if (function->msi)
        put(" MSI");
    if (function->msix)
        put(" MSI-X (%u)", function->msix_count);
    put("\ncommand %04x\n", config_read(&config_machine, function->where, 4, 2));
    if (function->owner)
        put("driver: process %" PRIu64 "\n", function->owner);
    else
        put("driver: none\n");
}

/* The whole text of a file; anew at each read. */
static void make_text(uint64_t cookie)
{
    text_used = 0;
    if (node_of(cookie) == NODE_INFO)
        put_info(index_of(cookie));
    for (uint32_t i = 0; node_of(cookie) == NODE_DEVICES && i < claims_count(); i++)
        put_line(claims_at(i));
}

/* --- Files --------------------------------------------------------------------------------------------------------- */

static int64_t pci_open(void *context, struct command *command)
{
    uint64_t flags = command->message.args[0], cookie;
    int64_t result = find_path(command, &cookie);

    (void)context;
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
        result = claim_open(index_of(cookie), command->message.caller);
        if (result < 0)
            return result;
    } else if (node_of(cookie) == NODE_DEVICE) {
        cookie = cookie_of(NODE_INFO, index_of(cookie)); /* only named */
    }
    command->reply.values[0] = cookie;
    command->reply.values[1] = node_of(cookie) == NODE_DEVICE ? 0 : HANDLE_FLAG_SEEKABLE;
    command->reply.values[2] = SIGNAL_READABLE;
    return 0;
}

static void pci_closed(void *context, uint64_t cookie)
{
    (void)context;
    if (node_of(cookie) == NODE_DEVICE)
        claim_close(index_of(cookie));
}

static int64_t answer_bytes(struct command *command, const void *bytes, size_t size)
{
    uint64_t offset = command->message.args[0];

    if (offset >= size)
        return 0;
    command->reply.data = (uintptr_t)bytes + offset;
    command->reply.data_length = MIN(size - offset, command->message.out_length);
    command->reply.values[0] = command->reply.data_length;
    return 0;
}

static int64_t pci_file_read(void *context, struct command *command)
{
    uint64_t cookie;
    int64_t result = find(command, &cookie);

    (void)context;
    if (result < 0)
        return result;
    if (is_folder(node_of(cookie)))
        return -E_IS_DIRECTORY;
    if (node_of(cookie) == NODE_DEVICE)
        return -E_INVALID;
    if (node_of(cookie) == NODE_CONFIG) {
        uint32_t where = claims_at(index_of(cookie))->where;
        uint32_t size = MIN(config_machine.size(NULL, where), CONFIG_SIZE);
        uint32_t *words = (uint32_t *)answer.words;

        for (uint32_t at = 0; at < size; at += 4)
            words[at / 4] = config_read(&config_machine, where, at, 4);
        return answer_bytes(command, words, size);
    }
    make_text(cookie);
    return answer_bytes(command, answer.text, text_used);
}

static int64_t pci_stat(void *context, struct command *command)
{
    uint64_t cookie;
    int64_t result = find(command, &cookie);

    (void)context;
    if (result < 0)
        return result;
    enum node node = node_of(cookie);
    text_used = 0;
    if (node == NODE_INFO || node == NODE_DEVICES)
        make_text(cookie);
    answer.stat = (struct abi_stat){
        .size = node == NODE_CONFIG ? config_machine.size(NULL, claims_at(index_of(cookie))->where)
                                    : text_used,
        .inode = cookie,
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

/* The name and the cookie of the entry at a position; false: the end. */
static bool entry_at(uint64_t folder, uint64_t position, char name[NAME_SIZE], uint64_t *cookie)
{
    if (position < 2) {
        strcpy(name, position ? ".." : ".");
        *cookie = position ? cookie_of(NODE_ROOT, 0) : folder;
        return true;
    }
    position -= 2;
    if (node_of(folder) == NODE_FUNCTION) {
        if (position >= ARRAY_SIZE(function_files))
            return false;
        strcpy(name, function_files[position].name);
        *cookie = cookie_of(function_files[position].node, index_of(folder));
        return true;
    }
    if (position == 0) {
        strcpy(name, "devices");
        *cookie = cookie_of(NODE_DEVICES, 0);
        return true;
    }
    if (position > claims_count())
        return false;
    function_name(claims_at((uint32_t)position - 1), name);
    *cookie = cookie_of(NODE_FUNCTION, (uint32_t)position - 1);
    return true;
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

/* --- A driver's operations --------------------------------------------------------------------------------------------- */

/* The function of a claimed file. */
static int64_t claimed(const struct command *command, uint32_t *index)
{
    uint64_t cookie = command->message.cookie;

    if (command->message.file == 0 || node_of(cookie) != NODE_DEVICE)
        return -E_NO_CALL;
    *index = index_of(cookie);
    return 0;
}

static int64_t pci_describe(void *context, struct command *command)
{
    uint32_t index;
    int64_t result = claimed(command, &index);

    (void)context;
    if (result < 0)
        return result;
    const struct pci_function *function = claims_at(index);
    answer.description = (struct pci_description){
        .segment = (uint16_t)(function->where >> 16),
        .bus = (uint8_t)(function->where >> 8),
        .device_function = (uint8_t)function->where,
        .vendor = function->vendor,
        .device = function->device,
        .subsystem_vendor = function->subsystem_vendor,
        .subsystem = function->subsystem,
        .class_code = function->class_code,
        .revision = function->revision,
        .pin = function->pin,
        .msix_count = function->msix_count,
        .msi = function->msi != 0,
    };
    for (unsigned i = 0; i < PCI_BARS; i++) {
        answer.description.bars[i].base = function->bars[i].base;
        answer.description.bars[i].length = function->bars[i].length;
        answer.description.bars[i].flags = function->bars[i].flags;
    }
    return command_answer(command, &answer.description, sizeof(answer.description));
}

static bool aligned(uint64_t offset, uint64_t size)
{
    return (size == 1 || size == 2 || size == 4) && offset % size == 0 && offset < CONFIG_SIZE;
}

static int64_t pci_config_read(void *context, struct command *command)
{
    const uint64_t *args = command->message.args;
    uint32_t index;
    int64_t result = claimed(command, &index);

    (void)context;
    if (result < 0)
        return result;
    if (!aligned(args[0], args[1]))
        return -E_INVALID;
    command->reply.values[0] =
        config_read(&config_machine, claims_at(index)->where, (uint32_t)args[0], (uint32_t)args[1]);
    return 0;
}

static int64_t pci_config_write(void *context, struct command *command)
{
    const uint64_t *args = command->message.args;
    uint32_t index;
    int64_t result = claimed(command, &index);

    (void)context;
    if (result < 0)
        return result;
    if (!aligned(args[0], args[1]))
        return -E_INVALID;
    return claim_config_write(index, (uint32_t)args[0], (uint32_t)args[1], (uint32_t)args[2]);
}

static int64_t pci_bar(void *context, struct command *command)
{
    const uint64_t *args = command->message.args;
    uint32_t index;
    int64_t result = claimed(command, &index);

    (void)context;
    if (result < 0)
        return result;
    if (args[0] >= PCI_BARS || args[1] > CACHE_COMBINING)
        return -E_INVALID;
    return command_answer_handle(
        command, claim_bar(index, (uint32_t)args[0], (uint32_t)args[1], command->reply.values));
}

static int64_t pci_interrupt(void *context, struct command *command)
{
    const uint64_t *args = command->message.args;
    uint32_t index;
    int64_t result = claimed(command, &index);

    (void)context;
    if (result < 0)
        return result;
    if (args[0] > PCI_INTERRUPT_MSIX || args[1] > UINT16_MAX || args[2] > UINT32_MAX)
        return -E_INVALID;
    return command_answer_handle(command,
                                 claim_interrupt(index, (uint32_t)args[0], (uint32_t)args[1],
                                                 (uint32_t)args[2], &command->reply.values[0]));
}

static int64_t pci_dma(void *context, struct command *command)
{
    const uint64_t *args = command->message.args;
    uint32_t index;
    int64_t result = claimed(command, &index);

    (void)context;
    if (result < 0)
        return result;
    if (args[1] > UINT32_MAX)
        return -E_INVALID;
    return command_answer_handle(
        command, claim_dma(index, args[0], (uint32_t)args[1], &command->reply.values[0]));
}

static int64_t pci_dma_free(void *context, struct command *command)
{
    uint32_t index;
    int64_t result = claimed(command, &index);

    (void)context;
    return result < 0 ? result : claim_dma_free(index, command->message.args[0]);
}

static int64_t pci_do_reset(void *context, struct command *command)
{
    uint32_t index;
    int64_t result = claimed(command, &index);

    (void)context;
    return result < 0 ? result : claim_reset(index);
}

/* An interrupt that a driver has, and that fires without end. */
static void pci_notified(void *context, uint64_t key, uint64_t signals)
{
    (void)context;
    if (signals & SIGNAL_ERROR && key >= 1 && key <= claims_count())
        claim_storm((uint32_t)key - 1);
}

static command_handler *const operations[SERVICE_OPERATIONS] = {
    [OP_OPEN] = pci_open,
    [OP_READ] = pci_file_read,
    [OP_STAT] = pci_stat,
    [OP_LIST] = pci_list,
    [SERVICE_INDEX(PCI_DESCRIBE)] = pci_describe,
    [SERVICE_INDEX(PCI_CONFIG_READ)] = pci_config_read,
    [SERVICE_INDEX(PCI_CONFIG_WRITE)] = pci_config_write,
    [SERVICE_INDEX(PCI_BAR)] = pci_bar,
    [SERVICE_INDEX(PCI_INTERRUPT)] = pci_interrupt,
    [SERVICE_INDEX(PCI_DMA)] = pci_dma,
    [SERVICE_INDEX(PCI_DMA_FREE)] = pci_dma_free,
    [SERVICE_INDEX(PCI_RESET)] = pci_do_reset,
};

int main(void)
{
    struct service service = {
        .port = startup_require("port:pci"),
        .operations = operations,
        .notified = pci_notified,
        .closed = pci_closed,
    };
    int64_t result = config_start();

    if (result < 0)
        fprintf(stderr, "no PCI here: %s\n", error_text(result));
    result = claims_start(service.port);
    if (result < 0) {
        fprintf(stderr, "cannot keep a table of functions: %s\n", error_text(result));
        return 1;
    }
    fprintf(stderr, "%u functions; DMA unconfined (no IOMMU is used)\n", claims_count());
    fprintf(stderr, "cannot serve pci://: %s\n", error_text(service_run(&service, 1)));
    return 1;
}
