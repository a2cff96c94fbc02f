/* fsd.tmp: tmp://, files in memory. docs/files.md
 *
 * Everything lies in memory that is kept with the port, and each command is a transaction on it (arena.h), so who is killed
 * loses nothing: the next instance goes on with every file, open or not, and a command that was under way is carried out
 * once. One thread.
 */
#include <stdio.h>
#include <stdlib.h>

#include "abi/tmp.h"
#include "lib/fsd/numbers.h"
#include "lib/sys/error.h"
#include "lib/sys/startup.h"
#include "sbin/fsd.tmp/commands.h"
#include "sbin/fsd.tmp/data.h"
#include "sbin/fsd.tmp/found.h"
#include "sbin/fsd.tmp/store.h"

#define BUFFER_SIZE (2 * PATH_LENGTH_MAX + 4096u)

/* Whether the command brings the port of fs:// itself. */
static bool from_vfsd(const struct command *command)
{
    struct abi_handle_info shown, named;
    int64_t port = sys_namespace_lookup(HANDLE_SELF, "fs", 2);
    bool same = command->message.handle_count == 1 && port >= 0 &&
                sys_handle_info(command->message.handles[0], &shown) >= 0 &&
                sys_handle_info((handle_t)port, &named) >= 0 && shown.id == named.id &&
                shown.type == OBJECT_PORT && shown.rights & RIGHT_ACCEPT;
    handle_drop(port < 0 ? HANDLE_NONE : (handle_t)port);
    return same;
}

static int64_t tmp_create(void *context, struct command *command)
{
    (void)context;
    struct abi_system_info info;
    struct volume *volume;
    uint64_t limit = command->message.args[0] / PAGE_SIZE;
    if (!from_vfsd(command))
        return -E_PERMISSION;
    int64_t result = sys_system_info(&info, sizeof(info));
    if (result < 0)
        return result;
    result = volume_create(limit ? limit : info.frames_total / 2,
                           (uint32_t)command->message.args[1] & 07777, time_now(), &volume);
    if (result >= 0)
        command->reply.values[0] = volume->id;
    return result;
}

static int64_t tmp_destroy(void *context, struct command *command)
{
    (void)context;
    if (!from_vfsd(command))
        return -E_PERMISSION;
    opens_sweep(true);
    struct volume *volume =
        command->message.args[0] ? volume_find((uint32_t)command->message.args[0]) : NULL;
    if (!volume)
        return -E_NOT_FOUND;
    found_forget_all();
    bool busy = opens_any(volume);
    if (busy && !(command->message.args[1] & TMP_LAZY))
        return -E_BUSY;
    if (busy)
        arena_set(&volume->id, 0);
    else
        volume_destroy(volume);
    return 0;
}

static int64_t tmp_known(void *context, struct command *command)
{
    (void)context;
    uint32_t id = (uint32_t)command->message.args[0];
    return id && volume_find(id) ? 0 : -E_NOT_FOUND;
}

static int64_t tmp_sync(void *context, struct command *command)
{
    (void)context;
    (void)command;
    return 0;
}

static command_handler *const handlers[SERVICE_OPERATIONS] = {
    [OP_OPEN] = names_open,
    [OP_READ] = bytes_read,
    [OP_WRITE] = bytes_write,
    [OP_STAT] = attributes_stat,
    [OP_LIST] = attributes_list,
    [OP_TRUNCATE] = bytes_truncate,
    [OP_SYNC] = tmp_sync,
    [OP_MAP] = bytes_map,
    [OP_READLINK] = attributes_readlink,
    [OP_UNLINK] = names_unlink,
    [OP_MKDIR] = names_make,
    [OP_RENAME] = names_rename,
    [OP_SYMLINK] = names_symlink,
    [OP_LINK] = names_link,
    [OP_CHMOD] = attributes_chmod,
    [OP_CHOWN] = attributes_chown,
    [OP_UTIME] = attributes_utime,
    [OP_STATFS] = attributes_statfs,
    [SERVICE_INDEX(TMP_CREATE)] = tmp_create,
    [SERVICE_INDEX(TMP_DESTROY)] = tmp_destroy,
    [SERVICE_INDEX(TMP_KNOWN)] = tmp_known,
};

static int64_t run(struct command *command)
{
    int64_t result = handlers[SERVICE_INDEX(command->message.op)](NULL, command);
    if (result >= 0 && numbers_meant(command->message.op) && command->message.args[3])
        arena_number(command->message.args[3], 0, 0);
    if (unlikely(arena_changed())) {
        if (result < 0)
            arena_abort();
        else
            arena_commit();
        data_finish(result >= 0);
    }
    return result;
}

int64_t transaction(void *context, struct command *command)
{
    (void)context;
    uint32_t op = command->message.op;
    if (numbers_meant(op) && numbers_known(command->message.args[3]))
        return 0;
    if (op == OP_OPEN)
        opens_sweep(false);
    else if (op == OP_STATFS)
        opens_sweep(true);
    int64_t result = run(command);
    if (unlikely(result == -E_NO_SPACE)) {
        opens_sweep(true);
        result = run(command);
    }
    return result;
}

static void closed(void *context, uint64_t cookie)
{
    (void)context;
    struct open *open = opens_of(cookie);
    if (!open)
        return;
    open_destroy(open);
    arena_commit();
    data_finish(true);
}

int main(void)
{
    static command_handler *operations[SERVICE_OPERATIONS];
    handle_t port = startup_require("port:tmp");
    int64_t result = store_open(port);
    if (result >= 0)
        result = opens_recover();
    if (result >= 0) {
        const uint64_t *roots = arena->roots;
        struct numbered last = {roots[ROOT_NUMBER], roots[ROOT_DONE], roots[ROOT_OFFSET]};
        result = numbers_recover(port, STORE_KEY_NUMBERS, &last);
    }
    if (result < 0) {
        fprintf(stderr, "cannot use what was kept: %s\n", error_text(result));
        return 1;
    }
    for (size_t i = 0; i < SERVICE_OPERATIONS; i++)
        operations[i] = handlers[i] ? transaction : NULL;
    operations[OP_READ] = bytes_read_again;
    operations[OP_STAT] = attributes_stat;
    struct service service = {
        .port = port,
        .operations = operations,
        .closed = closed,
        .buffer_size = BUFFER_SIZE,
    };
    fprintf(stderr, "cannot serve tmp://: %s\n", error_text(service_run(&service, 1)));
    return 1;
}
