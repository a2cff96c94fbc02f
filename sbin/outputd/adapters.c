#include "sbin/outputd/adapters.h"

#include <stdlib.h>
#include <string.h>

#include "lib/sys/clock.h"
#include "lib/sys/held.h"
#include "lib/sys/keep.h"
#include "lib/sys/life.h"
#include "sbin/outputd/number.h"

#define RDEV         (188 << 8) /* Linux's major of ttyUSB */
#define PREFIX       "usb"
#define PLACES_FIRST 16u
#define LEFT_NS      INT64_C(10000000000) /* a driver comes back, from usbd's end on */

/* Kept: by number, whose it is. */
struct place {
    char name[LIFE_NAME_SIZE]; /* "": nobody's */
    uint32_t alive;            /* there is a terminal */
};

static struct list adapters = LIST_INIT(adapters); /* by number */
static struct place *places;                       /* NULL: no memory, no adapters */
static uint32_t place_count;
static handle_t port;

/* --- Places ------------------------------------------------------------------------------------------------------ */

static bool places_grow(void)
{
    size_t size = place_count * sizeof(*places);
    struct place *more = places ? keep_memory(port, ADAPTER_KEY, 2 * size) : NULL;
    if (!more)
        return false;
    keep_release(places, size);
    places = more;
    place_count *= 2;
    return true;
}

/* The number it had, or that of nobody, or of one that is gone. */
static bool place_find(const char *name, uint32_t *number)
{
    uint32_t free = place_count, dead = place_count;
    for (uint32_t i = place_count; i-- > 0;) {
        *number = i;
        if (strcmp(places[i].name, name) == 0)
            return true;
        if (!places[i].name[0])
            free = i;
        else if (!places[i].alive)
            dead = i;
    }
    *number = free < place_count ? free : dead;
    if (*number == place_count && !places_grow())
        return false;
    places[*number] = (struct place){0};
    strcpy(places[*number].name, name);
    return true;
}

/* --- Life -------------------------------------------------------------------------------------------------------- */

static uint64_t key_of(uint32_t number)
{
    return ADAPTER_KEY + 1 + number;
}

/* In the list, by number; NULL: no memory. */
static struct adapter *create(uint32_t number)
{
    struct adapter *adapter = calloc(1, sizeof(*adapter)), *behind = NULL;
    struct adapter_kept *kept = keep_memory(port, key_of(number), sizeof(*kept));
    if (!adapter || !kept) {
        free(adapter);
        keep_release(kept, sizeof(*kept));
        return NULL;
    }
    adapter_init(adapter, port, kept);
    adapter->number = number;
    adapter->terminal.rdev = RDEV | number;
    list_for_each (struct adapter, other, &adapters, link)
        if (!behind && other->number > number)
            behind = other;
    list_append(behind ? &behind->link : &adapters, &adapter->link);
    return adapter;
}

static void end(struct adapter *adapter)
{
    __atomic_store_n(&places[adapter->number].alive, 0, __ATOMIC_RELEASE);
    terminal_hang_up(&adapter->terminal);
    adapter_leave(adapter);
    list_for_each (struct adapter_file, file, &adapter->files, link) {
        list_remove(&file->link);
        file->adapter = NULL;
    }
    list_remove(&adapter->link);
    terminal_destroy(&adapter->terminal);
    keep_release(adapter->kept, sizeof(*adapter->kept));
    sys_ignore(keep_handle(port, key_of(adapter->number), HANDLE_NONE));
    free(adapter);
}

static struct adapter *adapter_numbered(uint32_t number)
{
    list_for_each (struct adapter, adapter, &adapters, link)
        if (adapter->number == number)
            return adapter;
    return NULL;
}

/* The adapter of this place, there now if it was not; id: of the file that asks. NULL: no memory. */
static struct adapter *adapter_at(const char *name, uint64_t id)
{
    uint32_t number;
    if (!places || !place_find(name, &number))
        return NULL;
    struct adapter *adapter = adapter_numbered(number);
    if (adapter)
        return adapter;
    adapter = create(number);
    if (!adapter)
        return NULL;
    adapter->kept->first_id = id;
    __atomic_store_n(&places[number].alive, 1, __ATOMIC_RELEASE);
    return adapter;
}

void adapters_start(handle_t own)
{
    port = own;
    place_count = PLACES_FIRST;
    places = keep_memory(port, ADAPTER_KEY, place_count * sizeof(*places));
    while (places && place_count < UINT16_MAX && places[place_count - 1].name[0])
        if (!places_grow())
            break;
    for (uint32_t i = 0; places && i < place_count; i++) {
        places[i].name[sizeof(places[i].name) - 1] = '\0';
        struct adapter *adapter = places[i].alive ? create(i) : NULL;
        if (adapter)
            adapter->gone_at = clock_monotonic() + LEFT_NS;
    }
}

/* --- Drivers ----------------------------------------------------------------------------------------------------- */

int64_t adapters_open(struct command *command)
{
    const char *path;
    char name[LIFE_NAME_SIZE];
    size_t length = command_name(command, &path);
    struct adapter_file *file = calloc(1, sizeof(*file));
    struct adapter *adapter = NULL;
    int64_t result = file ? 0 : -E_NO_MEMORY;
    if (file && !life_read(path, length, name, &file->life))
        result = -E_NOT_FOUND;
    if (result == 0)
        adapter = adapter_at(name, command->message.file);
    if (!adapter) {
        free(file);
        return result < 0 ? result : -E_NO_MEMORY;
    }
    file->adapter = adapter;
    list_append(&adapter->files, &file->link);
    adapter_begin(adapter, file->life);
    adapter->gone_at = DEADLINE_NEVER;
    command->reply.values[0] = (uintptr_t)file;
    return 0;
}

/* The driver's adapter; NULL: it is gone, or another life's. */
static struct adapter *adapter_of(const struct command *command)
{
    const struct adapter_file *file = (struct adapter_file *)(uintptr_t)command->message.cookie;
    struct adapter *adapter = command->message.file ? file->adapter : NULL;
    return adapter && adapter->kept->life == file->life ? adapter : NULL;
}

int64_t adapters_write(struct command *command)
{
    struct adapter *adapter = adapter_of(command);
    return adapter ? adapter_receive(adapter, command) : -E_CLOSED;
}

int64_t adapters_next(struct command *command)
{
    struct adapter *adapter = adapter_of(command);
    return adapter ? adapter_next(adapter, command) : -E_CLOSED;
}

int64_t adapters_gone(struct command *command)
{
    struct adapter *adapter = adapter_of(command);
    if (!adapter)
        return -E_CLOSED;
    end(adapter);
    return 0;
}

void adapters_closed(uint64_t cookie)
{
    struct adapter_file *file = (struct adapter_file *)(uintptr_t)cookie;
    struct adapter *adapter = file->adapter;
    list_remove(&file->link);
    if (adapter) {
        held_forget(&adapter->orders, cookie);
        held_forget(&adapter->receipts, cookie);
        if (list_empty(&adapter->files))
            adapter->gone_at = clock_monotonic() + LEFT_NS;
    }
    free(file);
}

/* --- Terminals --------------------------------------------------------------------------------------------------- */

struct adapter *adapter_named(const struct command *command)
{
    const char *name;
    size_t length = command_name(command, &name), prefix = strlen(PREFIX);
    uint32_t number;
    if (length <= prefix || memcmp(name, PREFIX, prefix) != 0 ||
        !number_read(name + prefix, length - prefix, &number))
        return NULL;
    return adapter_numbered(number);
}

int64_t adapter_open(struct adapter *adapter, struct command *command)
{
    /* Files are numbered as they are opened: this one was of a terminal that had the name before. */
    if (command->message.file < adapter->kept->first_id)
        return -E_IO;
    return terminal_open(&adapter->terminal, command);
}

bool adapters_cancel(uint64_t token)
{
    list_for_each (struct adapter, adapter, &adapters, link)
        if (terminal_cancel(&adapter->terminal, token) || adapter_cancel(adapter, token))
            return true;
    return false;
}

int64_t adapters_deadline(void)
{
    int64_t deadline = DEADLINE_NEVER;
    list_for_each (struct adapter, adapter, &adapters, link) {
        deadline = MIN(deadline, terminal_deadline(&adapter->terminal));
        deadline = MIN(deadline, adapter->gone_at);
    }
    return deadline;
}

void adapters_expire(void)
{
    int64_t now = clock_monotonic();
    list_for_each (struct adapter, adapter, &adapters, link) {
        terminal_expire(&adapter->terminal);
        if (adapter->gone_at <= now)
            end(adapter);
    }
}

void adapters_leader_ended(int32_t session)
{
    list_for_each (struct adapter, adapter, &adapters, link)
        terminal_leader_ended(&adapter->terminal, session);
}

struct terminal *adapter_of_session(int32_t session)
{
    list_for_each (struct adapter, adapter, &adapters, link)
        if (adapter->terminal.session == session)
            return &adapter->terminal;
    return NULL;
}
