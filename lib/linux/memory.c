/* brk, mmap and their kin, over the kernel's regions. Nothing is recorded here but where the heap ends: the kernel
 * knows what is mapped. All of it stays below USER_LIMIT, so that no program unmaps its own personality. */
#include "lib/linux/memory.h"

#include "abi/ops.h"
#include "lib/base/string.h"
#include "lib/linux/answer.h"
#include "lib/linux/calls.h"
#include "lib/linux/file.h"
#include "lib/linux/io.h"

#define QUERY_SHARED 8u /* bit of SPACE_OP_QUERY's answer where MAP_* begins */

static uint64_t page_up(uint64_t value)
{
    return ALIGN_UP(value, (uint64_t)PAGE_SIZE);
}

int64_t map_anywhere(struct abi_map *map)
{
    int64_t result;

    map->flags |= MAP_FIXED_ | MAP_NOREPLACE_;
    do { /* again if another thread was quicker */
        result = sys_space_op(HANDLE_SELF, SPACE_OP_FIND, MMAP_BASE, map->length, 0);
        if (result < 0)
            return result;
        if (!program_range((uint64_t)result, map->length))
            return -E_NO_MEMORY;
        map->address = (uint64_t)result;
        result = sys_space_map(HANDLE_SELF, map);
    } while (result == -E_EXISTS);
    return result;
}

/* Linux knows only one error where the kernel tells several. */
static int64_t memory_answer(int64_t native)
{
    if (native == -E_FAULT || native == -E_RANGE || native == -E_QUOTA)
        return -LINUX_ENOMEM;
    return answer(native);
}

/* RLIMIT_AS: may that much more be mapped? Without a limit, as nearly always, nobody is asked. */
static bool limit_allows(const struct process *process, uint64_t length)
{
    uint64_t limit = process->limits[LINUX_RLIMIT_AS].current;
    struct abi_process_info info;

    if (likely(limit == LINUX_RLIM_INFINITY))
        return true;
    return sys_process_info(HANDLE_SELF, &info) >= 0 && length <= limit &&
           info.mapped <= limit - length;
}

int64_t linux_brk(struct thread *thread, uint64_t wanted)
{
    struct process *process = thread->process;

    lock(&process->lock);
    uint64_t end = process->brk_end, old_page = page_up(end);
    uint64_t page = wanted <= USER_LIMIT ? page_up(wanted) : UINT64_MAX;
    bool ok = wanted >= process->brk_start && wanted <= USER_LIMIT;
    if (ok && page > old_page)
        ok = wanted - process->brk_start <= process->limits[LINUX_RLIMIT_DATA].current &&
             limit_allows(process, page - old_page);
    if (ok && page > old_page) {
        struct abi_map map = {
            .address = old_page,
            .length = page - old_page,
            .memory = HANDLE_NONE,
            .protection = PROT_READ_ | PROT_WRITE_,
            .flags = MAP_FIXED_ | MAP_NOREPLACE_,
        };
        ok = sys_space_map(HANDLE_SELF, &map) >= 0;
    } else if (ok && page < old_page) {
        ok = sys_space_unmap(HANDLE_SELF, page, old_page - page) >= 0;
    }
    if (ok)
        process->brk_end = end = wanted;
    unlock(&process->lock);
    return (int64_t)end;
}

static int64_t map_place(struct abi_map *map, uint64_t address, uint64_t flags)
{
    int64_t result;

    if (flags & (LINUX_MAP_FIXED | LINUX_MAP_FIXED_NOREPLACE)) {
        map->address = address;
        map->flags |= MAP_FIXED_ | (flags & LINUX_MAP_FIXED_NOREPLACE ? MAP_NOREPLACE_ : 0);
        return sys_space_map(HANDLE_SELF, map);
    }
    address = ALIGN_DOWN(address, (uint64_t)PAGE_SIZE);
    if (address && program_range(address, map->length)) { /* a hint: there if nothing is there */
        struct abi_map hinted = *map;

        hinted.address = address;
        hinted.flags |= MAP_FIXED_ | MAP_NOREPLACE_;
        result = sys_space_map(HANDLE_SELF, &hinted);
        if (result != -E_EXISTS)
            return result;
    }
    return map_anywhere(map);
}

/* Without OP_MAP: the bytes as they are now, in memory of our own. Only what nobody else may see changed. */
static int64_t map_copy(struct file *file, struct abi_map *map, uint64_t address, uint64_t flags,
                        uint64_t offset)
{
    uint32_t protection = map->protection;
    uint64_t done = 0;

    if ((map->flags & MAP_SHARED_) && (protection & PROT_WRITE_))
        return -LINUX_ENODEV;
    map->flags &= ~MAP_SHARED_;
    map->protection = PROT_READ_ | PROT_WRITE_;
    int64_t result = memory_answer(map_place(map, address, flags));
    if (result < 0)
        return result;
    uint64_t start = (uint64_t)result;
    while (done < map->length) {
        result = io_read(file, start + done, map->length - done, offset + done, false);
        if (result <= 0)
            break;
        done += (uint64_t)result;
    }
    if (result >= 0)
        result = memory_answer(sys_space_protect(HANDLE_SELF, start, map->length, protection));
    if (result < 0) {
        sys_ignore(sys_space_unmap(HANDLE_SELF, start, map->length));
        return result;
    }
    return (int64_t)start;
}

/* Pages behind the end of the memory the service gave are reserved: touching them ends in a signal. */
static int64_t map_file(struct file *file, struct abi_map *map, uint64_t address, uint64_t flags,
                        uint64_t offset)
{
    struct abi_command command;
    bool shared = map->flags & MAP_SHARED_;

    if (file->kind != KIND_FILE)
        return -LINUX_ENODEV;
    if ((file->flags & LINUX_O_ACCMODE) == LINUX_O_WRONLY || (file->flags & LINUX_O_PATH))
        return -LINUX_EACCES;
    if (shared && (map->protection & PROT_WRITE_) && !(file->flags & LINUX_O_RDWR))
        return -LINUX_EACCES;
    memset(&command, 0, sizeof(command));
    command.op = OP_MAP;
    command.args[0] = offset;
    command.args[1] = map->length;
    command.args[2] = shared ? map->protection : map->protection & ~PROT_WRITE_;
    int64_t result = sys_file_call(file->handle, &command);
    if (result == -E_NOT_SUPPORTED || result == -E_NO_CALL || result == -E_RANGE)
        return map_copy(file, map, address, flags, offset);
    if (result < 0)
        return result == -E_IS_DIRECTORY || result == -E_INVALID ? -LINUX_ENODEV : answer(result);
    if (command.receive_count != 1)
        return -LINUX_EIO;
    uint64_t whole = map->length, given = page_up(command.values[1]);
    map->memory = command.receive[0];
    map->offset = command.values[0];
    if (given < whole) { /* take the place first, then lay the file's part over its start */
        struct abi_map reserve = {
            .length = whole,
            .memory = HANDLE_NONE,
        };
        result = map_place(&reserve, address, flags);
        if (result >= 0) {
            map->address = (uint64_t)result;
            map->length = given;
            map->flags |= MAP_FIXED_;
            result = sys_space_map(HANDLE_SELF, map);
            if (result < 0)
                sys_ignore(sys_space_unmap(HANDLE_SELF, map->address, whole));
        }
    } else {
        result = map_place(map, address, flags);
    }
    handle_drop(map->memory);
    return memory_answer(result);
}

int64_t linux_mmap(struct thread *thread, uint64_t address, uint64_t length, uint64_t protection,
                   uint64_t flags, uint64_t fd, uint64_t offset)
{
    uint64_t type = flags & LINUX_MAP_TYPE;
    bool fixed = flags & (LINUX_MAP_FIXED | LINUX_MAP_FIXED_NOREPLACE);

    if (!length || offset % PAGE_SIZE || (fixed && address % PAGE_SIZE) || type == 0 ||
        type > LINUX_MAP_SHARED_VALIDATE)
        return -LINUX_EINVAL;
    length = page_up(length);
    if (!length || (fixed ? !program_range(address, length) : length > USER_LIMIT))
        return -LINUX_ENOMEM;
    if (fixed && address < PAGE_SIZE)
        return -LINUX_EPERM;
    if (!limit_allows(thread->process, length))
        return -LINUX_ENOMEM;
    struct abi_map map = {
        .length = length,
        .memory = HANDLE_NONE,
        .protection = (uint32_t)protection & (PROT_READ_ | PROT_WRITE_ | PROT_EXECUTE_),
        .flags = (type != LINUX_MAP_PRIVATE ? MAP_SHARED_ : 0) |
                 (flags & LINUX_MAP_POPULATE ? MAP_POPULATE_ : 0),
    };
    if (!(flags & LINUX_MAP_ANONYMOUS)) {
        struct file *file = file_get(thread->process, (uint32_t)fd);
        if (!file)
            return -LINUX_EBADF;
        int64_t result = map_file(file, &map, address, flags, offset);
        file_put(file);
        return result;
    }
    if (map.flags & MAP_SHARED_) { /* shared with children: memory with a name of its own */
        int64_t memory = sys_memory_create(length, 0);
        if (memory < 0)
            return memory_answer(memory);
        map.memory = (handle_t)memory;
    }
    int64_t result = map_place(&map, address, flags);
    handle_drop(map.memory);
    return memory_answer(result);
}

int64_t linux_munmap(struct thread *thread, uint64_t address, uint64_t length)
{
    (void)thread;
    if (address % PAGE_SIZE || !length || !program_range(address, length))
        return -LINUX_EINVAL;
    return memory_answer(sys_space_unmap(HANDLE_SELF, address, page_up(length)));
}

int64_t linux_mprotect(struct thread *thread, uint64_t address, uint64_t length,
                       uint64_t protection)
{
    (void)thread;
    if (address % PAGE_SIZE)
        return -LINUX_EINVAL;
    if (!length)
        return 0;
    if (!program_range(address, length))
        return -LINUX_ENOMEM;
    return memory_answer(
        sys_space_protect(HANDLE_SELF, address, page_up(length),
                          (uint32_t)protection & (PROT_READ_ | PROT_WRITE_ | PROT_EXECUTE_)));
}

/* The new pages behind a private anonymous mapping that grows. */
static int64_t map_tail(uint64_t address, uint64_t length, uint32_t protection)
{
    struct abi_map map = {
        .address = address,
        .length = length,
        .memory = HANDLE_NONE,
        .protection = protection,
        .flags = MAP_FIXED_ | MAP_NOREPLACE_,
    };

    return sys_space_map(HANDLE_SELF, &map);
}

static int64_t remap_to(uint64_t old, uint64_t old_length, uint64_t new, uint64_t new_length,
                        uint32_t protection)
{
    uint64_t moved = MIN(old_length, new_length);

    if (new_length > old_length &&
        map_tail(new + old_length, new_length - old_length, protection) < 0)
        return -LINUX_ENOMEM;
    int64_t result = memory_answer(sys_space_op(HANDLE_SELF, SPACE_OP_MOVE, old, moved, new));
    if (result < 0) {
        if (new_length > old_length)
            sys_ignore(sys_space_unmap(HANDLE_SELF, new + old_length, new_length - old_length));
        return result;
    }
    if (old_length > moved)
        sys_ignore(sys_space_unmap(HANDLE_SELF, old + moved, old_length - moved));
    return (int64_t) new;
}

/* Growth is for private memory: a shared object would have to be mapped further, and only its handle could. */
int64_t linux_mremap(struct thread *thread, uint64_t old, uint64_t old_length, uint64_t new_length,
                     uint64_t flags, uint64_t new)
{
    bool fixed = flags & LINUX_MREMAP_FIXED, may_move = flags & LINUX_MREMAP_MAYMOVE;

    if ((flags & ~(uint64_t)(LINUX_MREMAP_FIXED | LINUX_MREMAP_MAYMOVE)) || (fixed && !may_move) ||
        old % PAGE_SIZE || !new_length || !old_length)
        return -LINUX_EINVAL;
    old_length = page_up(old_length);
    new_length = page_up(new_length);
    if (!program_range(old, old_length) || !program_range(fixed ? new : old, new_length))
        return -LINUX_EINVAL;
    if (new_length > old_length && !limit_allows(thread->process, new_length - old_length))
        return -LINUX_ENOMEM;
    int64_t state = sys_space_op(HANDLE_SELF, SPACE_OP_QUERY, old, PAGE_SIZE, 0);
    if (state < 0)
        return -LINUX_EFAULT;
    uint32_t protection = (uint32_t)state & (PROT_READ_ | PROT_WRITE_ | PROT_EXECUTE_);
    bool shared = ((uint64_t)state >> QUERY_SHARED) & MAP_SHARED_;
    if (fixed) {
        if (new % PAGE_SIZE || (new < old + old_length &&old < new + new_length))
            return -LINUX_EINVAL;
        if (shared && new_length > old_length)
            return -LINUX_ENOMEM;
        sys_ignore(sys_space_unmap(HANDLE_SELF, new, new_length));
        return remap_to(old, old_length, new, new_length, protection);
    }
    if (new_length == old_length)
        return (int64_t)old;
    if (new_length < old_length) {
        sys_ignore(sys_space_unmap(HANDLE_SELF, old + new_length, old_length - new_length));
        return (int64_t)old;
    }
    if (shared)
        return -LINUX_ENOMEM;
    if (map_tail(old + old_length, new_length - old_length, protection) >= 0)
        return (int64_t)old;
    if (!may_move)
        return -LINUX_ENOMEM;
    int64_t place = sys_space_op(HANDLE_SELF, SPACE_OP_FIND, MMAP_BASE, new_length, 0);
    if (place < 0 || !program_range((uint64_t)place, new_length))
        return -LINUX_ENOMEM;
    return remap_to(old, old_length, (uint64_t)place, new_length, protection);
}

/* What is shared is the file's memory already; MS_SYNC waits until it is on the medium. */
int64_t linux_msync(struct thread *thread, uint64_t address, uint64_t length, uint64_t flags)
{
    enum { ASYNC = 1, INVALIDATE = 2, SYNC = 4 };

    (void)thread;
    if (address % PAGE_SIZE || flags & ~(uint64_t)(ASYNC | INVALIDATE | SYNC) ||
        (flags & ASYNC && flags & SYNC))
        return -LINUX_EINVAL;
    if (!length)
        return 0;
    if (!program_range(address, length))
        return -LINUX_ENOMEM;
    if (flags & SYNC)
        return memory_answer(sys_space_op(HANDLE_SELF, SPACE_OP_SYNC, address, page_up(length), 0));
    int64_t state = sys_space_op(HANDLE_SELF, SPACE_OP_QUERY, address, PAGE_SIZE, 0);
    return state < 0 ? -LINUX_ENOMEM : 0;
}

/* Only what changes what the program reads must be done; the rest is advice. */
int64_t linux_madvise(struct thread *thread, uint64_t address, uint64_t length, uint64_t advice)
{
    enum { LAST_PLAIN = 3, HUGEPAGE = 14, NOHUGEPAGE = 15, DONTDUMP = 16, DODUMP = 17 };

    (void)thread;
    if (address % PAGE_SIZE || !program_range(address, length))
        return -LINUX_EINVAL;
    if (advice == LINUX_MADV_DONTNEED)
        return length ? memory_answer(sys_space_op(HANDLE_SELF, SPACE_OP_DISCARD, address,
                                                   page_up(length), 0))
                      : 0;
    if (length && (advice == HUGEPAGE || advice == NOHUGEPAGE))
        return memory_answer(sys_space_op(HANDLE_SELF, SPACE_OP_HUGE, address, page_up(length),
                                          advice == HUGEPAGE ? HUGE_ALWAYS : HUGE_NEVER));
    return advice <= LAST_PLAIN || (advice >= HUGEPAGE && advice <= DODUMP) ? 0 : -LINUX_EINVAL;
}
