/* Making, finding and ending pseudo terminals; pty_master.c has what the master asks. */
#include "sbin/outputd/pty.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/clock.h"
#include "lib/sys/keep.h"
#include "sbin/outputd/number.h"
#include "sbin/outputd/pty_master.h"

#define PTS_RDEV    (136 << 8) /* Linux's major of Unix98 slaves */
#define FIRST_FILES 16u
#define LOOK_NS     INT64_C(1000000000) /* between two looks for files that have not come back */

static struct list ptys = LIST_INIT(ptys); /* by number */
static handle_t port;
static int64_t look_at = DEADLINE_NEVER;

static size_t kept_size(uint32_t room)
{
    return sizeof(struct pty_kept) + room * sizeof(uint64_t);
}

/* --- Finding ----------------------------------------------------------------------------------------------------- */

static struct pty *find(const char *name, size_t length)
{
    uint32_t number;
    if (!number_read(name, length, &number))
        return NULL;
    list_for_each (struct pty, pty, &ptys, link)
        if (pty->number == number)
            return pty;
    return NULL;
}

struct terminal *pty_terminal(const char *name, size_t length)
{
    struct pty *pty = find(name, length);
    return pty ? &pty->terminal : NULL;
}

struct terminal *pty_of_session(int32_t session)
{
    list_for_each (struct pty, pty, &ptys, link)
        if (pty->terminal.session == session)
            return &pty->terminal;
    return NULL;
}

void pty_list(struct listing *listing)
{
    char name[12];
    list_for_each (struct pty, pty, &ptys, link) {
        uint64_t at = 2 + (uint64_t)pty->number;
        if (at < listing->position)
            continue;
        listing->position = at;
        snprintf(name, sizeof(name), "%u", pty->number);
        if (!listing_add(listing, name, PTS_RDEV | pty->number, FILE_CHARACTER))
            return;
    }
}

/* --- Life -------------------------------------------------------------------------------------------------------- */

static uint64_t key_of(uint32_t number)
{
    return PTY_KEY + 2 * (uint64_t)number;
}

static void destroy(struct pty *pty)
{
    uint64_t key = key_of(pty->number);
    list_remove(&pty->link);
    terminal_destroy(&pty->terminal);
    keep_release(pty->terminal.kept, sizeof(struct terminal_kept));
    keep_release(pty->kept, kept_size(pty->kept_room));
    sys_ignore(keep_handle(port, key, HANDLE_NONE));
    sys_ignore(keep_handle(port, key + 1, HANDLE_NONE));
    free(pty);
}

/* In the list, by number, with its kept memory as it is; NULL: no memory. */
static struct pty *create(uint32_t number)
{
    struct pty *pty = calloc(1, sizeof(*pty)), *behind = NULL;
    uint64_t key = key_of(number);
    struct terminal_kept *kept = keep_memory(port, key, sizeof(*kept));
    if (!pty || !kept) {
        free(pty);
        keep_release(kept, sizeof(*kept));
        return NULL;
    }
    list_for_each (struct pty, other, &ptys, link)
        if (!behind && other->number > number)
            behind = other;
    list_append(behind ? &behind->link : &ptys, &pty->link);
    pty->number = number;
    terminal_init(&pty->terminal, port, kept, &pty_device);
    if (kept->valid != TERMINAL_KEPT)
        pty->terminal.size = (struct tty_size){0}; /* the master says how large it is */
    pty->terminal.rdev = PTS_RDEV | number;
    pty->master = (struct terminal_file){.terminal = &pty->terminal, .master = true};
    list_init(&pty->master.link);
    list_init(&pty->reads);
    list_init(&pty->writes);
    pty->kept_room = FIRST_FILES;
    pty->kept = keep_memory(port, key + 1, kept_size(FIRST_FILES));
    if (!pty->kept) {
        destroy(pty);
        return NULL;
    }
    return pty;
}

static uint32_t number_free(void)
{
    uint32_t number = 0;
    list_for_each (struct pty, pty, &ptys, link) {
        if (pty->number != number)
            break;
        number++;
    }
    return number;
}

/* The master is gone: all who have the terminal open hear of it, and the number is free. */
static void end(struct pty *pty)
{
    __atomic_store_n(&pty->kept->master, 0, __ATOMIC_RELEASE);
    pty->ending = true;
    terminal_hang_up(&pty->terminal);
    pty_master_leave(pty);
    destroy(pty);
}

static struct pty *opened_before(uint64_t id)
{
    list_for_each (struct pty, pty, &ptys, link)
        if (pty->master.lost && pty->master.id == id)
            return pty;
    return NULL;
}

int64_t pty_open_master(struct command *command)
{
    uint64_t id = command->message.file;
    struct pty *pty = opened_before(id);
    if (!pty) {
        pty = create(number_free());
        if (!pty)
            return -E_NO_MEMORY;
        pty->kept->locked = 1;
        pty->master.id = id;
        __atomic_store_n(&pty->kept->master, id, __ATOMIC_RELEASE);
    }
    pty->master.lost = false;
    command->reply.values[0] = (uintptr_t)&pty->master;
    command->reply.values[2] = pty->ready = pty_master_ready(pty);
    return 0;
}

/* --- The slave's files ------------------------------------------------------------------------------------------- */

/* Where to note the file; NULL: no memory. */
static uint64_t *slave_slot(struct pty *pty, uint64_t id)
{
    for (uint32_t i = 0; i < pty->kept_room; i++)
        if (pty->kept->slaves[i] == id)
            return &pty->kept->slaves[i];
    if (id)
        return slave_slot(pty, 0);
    uint32_t room = pty->kept_room;
    struct pty_kept *more = keep_memory(port, key_of(pty->number) + 1, kept_size(2 * room));
    if (!more)
        return NULL;
    keep_release(pty->kept, kept_size(room));
    pty->kept = more;
    pty->kept_room = 2 * room;
    return &more->slaves[room];
}

int64_t pty_open_slave(const char *name, size_t length, struct command *command)
{
    struct pty *pty = find(name, length);
    uint64_t id = command->message.file;
    if (!pty)
        return -E_NOT_FOUND;
    /* Files are numbered as they are opened: this one was of a terminal that had the number before. */
    if (pty->kept->locked || id < pty->master.id)
        return -E_IO;
    uint64_t *slot = slave_slot(pty, id);
    if (!slot)
        return -E_NO_MEMORY;
    int64_t result = terminal_open(&pty->terminal, command);
    if (result < 0)
        return result;
    *slot = id;
    pty->kept->opened = 1;
    pty_device.attend(&pty->terminal);
    return 0;
}

static void slave_close(struct pty *pty, struct terminal_file *file)
{
    uint64_t *slot = slave_slot(pty, file->id);
    if (slot)
        *slot = 0;
    terminal_close(file);
    pty_device.attend(&pty->terminal);
}

bool pty_close(struct terminal_file *file)
{
    if (file->master)
        end(container_of(file, struct pty, master));
    else if (file->terminal && file->terminal->device == &pty_device)
        slave_close(container_of(file->terminal, struct pty, terminal), file);
    else
        return false;
    return true;
}

/* --- After the end of an outputd --------------------------------------------------------------------------------- */

static bool file_gone(const struct terminal_file *file)
{
    return file->lost && sys_file_ready(port, file->id, 0, 0) == -E_NOT_FOUND;
}

/* Files that were closed while nobody served them are let go of; true: some may still come back. */
static bool look_for_lost(struct pty *pty)
{
    bool lost = pty->master.lost;
    if (file_gone(&pty->master)) {
        end(pty);
        return false;
    }
    list_for_each (struct terminal_file, file, &pty->terminal.files, link) {
        if (file_gone(file))
            slave_close(pty, file);
        else
            lost |= file->lost;
    }
    return lost;
}

static void restore(uint32_t number)
{
    struct pty *pty = create(number);
    if (!pty)
        return;
    struct abi_kept kept = {.key = key_of(number) + 1, .flags = KEPT_EXACT};
    if (sys_port_kept(port, &kept) >= 0) { /* it may have grown */
        handle_drop(kept.handle);
        uint32_t room = (uint32_t)((kept.size - sizeof(struct pty_kept)) / sizeof(uint64_t));
        struct pty_kept *all = keep_memory(port, kept.key, kept_size(room));
        if (all) {
            keep_release(pty->kept, kept_size(pty->kept_room));
            pty->kept = all;
            pty->kept_room = room;
        }
    }
    pty->master.id = pty->kept->master;
    pty->master.lost = true;
    for (uint32_t i = 0; i < pty->kept_room; i++) {
        uint64_t id = pty->kept->slaves[i];
        struct terminal_file *file = id ? terminal_file_add(&pty->terminal, id) : NULL;
        if (file)
            file->lost = true;
    }
    if (pty->master.id)
        terminal_refresh(&pty->terminal);
    else
        end(pty);
}

void pty_start(handle_t own_port)
{
    struct abi_kept kept = {.key = PTY_KEY};
    port = own_port;
    for (; sys_port_kept(port, &kept) >= 0; kept.key |= 1, kept.key++, kept.flags = 0) {
        handle_drop(kept.handle);
        if (kept.key >= key_of(UINT32_MAX))
            return;
        restore((uint32_t)((kept.key - PTY_KEY) / 2));
        look_at = clock_monotonic() + LOOK_NS;
    }
}

/* --- All of them ------------------------------------------------------------------------------------------------- */

bool pty_cancel(uint64_t token)
{
    list_for_each (struct pty, pty, &ptys, link)
        if (terminal_cancel(&pty->terminal, token) || pty_master_cancel(pty, token))
            return true;
    return false;
}

int64_t pty_deadline(void)
{
    int64_t deadline = look_at;
    list_for_each (struct pty, pty, &ptys, link)
        deadline = MIN(deadline, terminal_deadline(&pty->terminal));
    return deadline;
}

void pty_expire(void)
{
    int64_t now = clock_monotonic();
    bool look = now >= look_at, lost = false;
    list_for_each (struct pty, pty, &ptys, link) {
        terminal_expire(&pty->terminal);
        if (look)
            lost |= look_for_lost(pty);
    }
    if (look)
        look_at = lost ? now + LOOK_NS : DEADLINE_NEVER;
}

void pty_leader_ended(int32_t session)
{
    list_for_each (struct pty, pty, &ptys, link)
        terminal_leader_ended(&pty->terminal, session);
}
