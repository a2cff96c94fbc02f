/* Who a program acts for. procd is the authority for uid and gid, which only the process itself changes, so they are kept here once they
 * are known; real, effective and saved ids are one. Supplementary groups give no right anywhere and are the process's own note. */
#include "abi/proc.h"
#include "lib/base/string.h"
#include "lib/linux/answer.h"
#include "lib/linux/calls.h"
#include "lib/linux/heap.h"
#include "lib/linux/process.h"
#include "lib/linux/user.h"

#define GROUPS_MAX 65536u    /* NGROUPS_MAX */
#define SAME       PROC_SAME /* Linux's -1: as it is */

int64_t linux_getuid(struct thread *thread)
{
    process_know_ids(thread->process);
    return thread->process->uid;
}

int64_t linux_getgid(struct thread *thread)
{
    process_know_ids(thread->process);
    return thread->process->gid;
}

int64_t linux_geteuid(struct thread *thread)
{
    return linux_getuid(thread);
}

int64_t linux_getegid(struct thread *thread)
{
    return linux_getgid(thread);
}

static int64_t ids_set(struct thread *thread, uint32_t uid, uint32_t gid)
{
    struct process *process = thread->process;
    struct abi_command command;

    process_know_ids(process);
    memset(&command, 0, sizeof(command));
    command.op = PROC_SET_IDS;
    command.args[0] = uid;
    command.args[1] = gid;
    int64_t result = proc_command(process, &command);
    if (result < 0)
        return result;
    process->uid = uid == SAME ? process->uid : uid;
    process->gid = gid == SAME ? process->gid : gid;
    return 0;
}

/* One id for what were to be three; false: they are to differ. */
static bool ids_agree(uint32_t now, const uint32_t *wanted, size_t count, uint32_t *id)
{
    *id = wanted[0] == SAME ? now : wanted[0];
    for (size_t i = 1; i < count; i++)
        if ((wanted[i] == SAME ? now : wanted[i]) != *id)
            return false;
    return true;
}

/* The saved id of setreuid follows by itself: `count` is then 2. */
static int64_t uids_set(struct thread *thread, const uint32_t *wanted, size_t count)
{
    uint32_t uid;

    if (!ids_agree((uint32_t)linux_getuid(thread), wanted, count, &uid))
        return -LINUX_EINVAL;
    return ids_set(thread, uid, SAME);
}

static int64_t gids_set(struct thread *thread, const uint32_t *wanted, size_t count)
{
    uint32_t gid;

    if (!ids_agree((uint32_t)linux_getgid(thread), wanted, count, &gid))
        return -LINUX_EINVAL;
    return ids_set(thread, SAME, gid);
}

int64_t linux_setuid(struct thread *thread, uint64_t uid)
{
    return (uint32_t)uid == SAME ? -LINUX_EINVAL : ids_set(thread, (uint32_t)uid, SAME);
}

int64_t linux_setgid(struct thread *thread, uint64_t gid)
{
    return (uint32_t)gid == SAME ? -LINUX_EINVAL : ids_set(thread, SAME, (uint32_t)gid);
}

int64_t linux_setreuid(struct thread *thread, uint64_t real, uint64_t effective)
{
    return uids_set(thread, (const uint32_t[]){(uint32_t)real, (uint32_t)effective}, 2);
}

int64_t linux_setregid(struct thread *thread, uint64_t real, uint64_t effective)
{
    return gids_set(thread, (const uint32_t[]){(uint32_t)real, (uint32_t)effective}, 2);
}

int64_t linux_setresuid(struct thread *thread, uint64_t real, uint64_t effective, uint64_t saved)
{
    const uint32_t wanted[] = {(uint32_t)real, (uint32_t)effective, (uint32_t)saved};
    return uids_set(thread, wanted, ARRAY_SIZE(wanted));
}

int64_t linux_setresgid(struct thread *thread, uint64_t real, uint64_t effective, uint64_t saved)
{
    const uint32_t wanted[] = {(uint32_t)real, (uint32_t)effective, (uint32_t)saved};
    return gids_set(thread, wanted, ARRAY_SIZE(wanted));
}

static int64_t id_put(uint64_t real, uint64_t effective, uint64_t saved, uint32_t id)
{
    bool good = user_put_u32(real, id) == 0 && user_put_u32(effective, id) == 0 &&
                user_put_u32(saved, id) == 0;
    return good ? 0 : -LINUX_EFAULT;
}

int64_t linux_getresuid(struct thread *thread, uint64_t real, uint64_t effective, uint64_t saved)
{
    return id_put(real, effective, saved, (uint32_t)linux_getuid(thread));
}

int64_t linux_getresgid(struct thread *thread, uint64_t real, uint64_t effective, uint64_t saved)
{
    return id_put(real, effective, saved, (uint32_t)linux_getgid(thread));
}

/* --- Supplementary groups ---------------------------------------------------------------------------------------- */

/* A copy of the program's groups; EINVAL: there are more than find room. */
static int64_t groups_copy(struct process *process, uint32_t *groups, uint32_t room)
{
    lock(&process->lock);
    uint32_t count = process->group_count;
    if (count && count <= room)
        memcpy(groups, process->groups, count * sizeof(*groups));
    unlock(&process->lock);
    return room && count > room ? -LINUX_EINVAL : (int64_t)count;
}

int64_t linux_getgroups(struct thread *thread, uint64_t room, uint64_t address)
{
    if ((int32_t)room < 0)
        return -LINUX_EINVAL;
    if ((int32_t)room == 0)
        return groups_copy(thread->process, NULL, 0);
    uint32_t count = MIN((uint32_t)room, GROUPS_MAX), *groups = heap_alloc(count * sizeof(*groups));
    if (!groups)
        return -LINUX_ENOMEM;
    int64_t result = groups_copy(thread->process, groups, count);
    if (result > 0 && user_write(address, groups, (size_t)result * sizeof(*groups)))
        result = -LINUX_EFAULT;
    heap_free(groups);
    return result;
}

int64_t linux_setgroups(struct thread *thread, uint64_t count, uint64_t address)
{
    struct process *process = thread->process;
    uint32_t *groups = NULL, *old;
    size_t length = (uint32_t)count * sizeof(*groups);

    if (linux_getuid(thread) != 0)
        return -LINUX_EPERM;
    if ((uint32_t)count > GROUPS_MAX)
        return -LINUX_EINVAL;
    if (length && !(groups = heap_alloc(length)))
        return -LINUX_ENOMEM;
    if (length && user_read(groups, address, length)) {
        heap_free(groups);
        return -LINUX_EFAULT;
    }
    lock(&process->lock);
    old = process->groups;
    process->groups = groups;
    process->group_count = (uint32_t)count;
    unlock(&process->lock);
    heap_free(old);
    return 0;
}
