/* Paths, texts and listings of proc://. */
#include "sbin/procd/files.h"
#include "lib/sys/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_NS 10000000u /* Linux's clock tick for user space: 100 Hz */
#define KIB     (PAGE_SIZE / 1024)

typedef void text_writer(FILE *stream, const struct table *table, const struct process *process);

struct file_kind {
    const char *name;
    bool of_process;
    text_writer *write; /* NULL: a link */
    const char *target;
};

void process_entry(const struct process *process, struct proc_entry *entry)
{
    struct abi_process_info info;
    static const char states[] = {
        [PROCESS_RUNNING] = 'S', [PROCESS_STOPPED] = 'T', [PROCESS_ZOMBIE] = 'Z'};
    memset(entry, 0, sizeof(*entry));
    entry->pid = process->pid;
    entry->ppid = process->parent ? process->parent->pid : 0;
    entry->pgid = process->pgid;
    entry->sid = process->sid;
    entry->state = (uint32_t)states[process->state];
    entry->uid = process->uid;
    entry->cpu_time = process->cpu_time;
    entry->start_time = process->start_time;
    memcpy(entry->name, process->name, sizeof(entry->name) - 1);
    if (process->handle != HANDLE_NONE && sys_process_info(process->handle, &info) >= 0) {
        entry->id = info.id;
        entry->cpu_time = info.cpu_time;
        entry->pages = info.pages;
    }
}

/* --- texts --- */

static void write_list(FILE *stream, const struct table *table, const struct process *process)
{
    (void)process;
    fprintf(stream, "  PID  PPID  PGID   SID S  TIME/ms  PAGES NAME\n");
    process_for_each(item, table)
    {
        struct proc_entry entry;
        process_entry(item, &entry);
        fprintf(stream, "%5d %5d %5d %5d %c %8" PRIu64 " %6" PRIu64 " %s\n", entry.pid, entry.ppid,
                entry.pgid, entry.sid, (char)entry.state, entry.cpu_time / 1000000, entry.pages,
                entry.name);
    }
}

/* proc(5): 52 fields; what we have no notion of is 0. */
static void write_stat(FILE *stream, const struct table *table, const struct process *process)
{
    struct proc_entry entry;
    (void)table;
    process_entry(process, &entry);
    fprintf(stream,
            "%d (%s) %c %d %d %d 0 -1 0 0 0 0 0 %" PRIu64 " 0 0 0 20 0 1 0 %" PRIu64 " %" PRIu64
            " %" PRIu64 " 18446744073709551615 0 0 0 0 0 0 %" PRIu64 " %" PRIu64 " %" PRIu64
            " 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 %u\n",
            entry.pid, entry.name, (char)entry.state, entry.ppid, entry.pgid, entry.sid,
            entry.cpu_time / TICK_NS, entry.start_time / TICK_NS, entry.pages * PAGE_SIZE,
            entry.pages, process->blocked, process->ignored, process->caught, process->status);
}

static void write_status(FILE *stream, const struct table *table, const struct process *process)
{
    struct proc_entry entry;
    (void)table;
    process_entry(process, &entry);
    const char *state = entry.state == 'Z' ? "zombie" : entry.state == 'T' ? "stopped" : "sleeping";
    fprintf(stream,
            "Name:\t%s\nState:\t%c (%s)\nTgid:\t%d\nPid:\t%d\nPPid:\t%d\n"
            "Uid:\t%u\t%u\t%u\t%u\nGid:\t%u\t%u\t%u\t%u\nVmSize:\t%8" PRIu64
            " kB\nVmRSS:\t%8" PRIu64 " kB\nSigPnd:\t%016" PRIx64 "\nSigBlk:\t%016" PRIx64
            "\nSigIgn:\t%016" PRIx64 "\nSigCgt:\t%016" PRIx64 "\n",
            entry.name, (char)entry.state, state, entry.pid, entry.pid, entry.ppid, process->uid,
            process->uid, process->uid, process->uid, process->gid, process->gid, process->gid,
            process->gid, entry.pages * KIB, entry.pages * KIB, process->pending, process->blocked,
            process->ignored, process->caught);
}

static void write_comm(FILE *stream, const struct table *table, const struct process *process)
{
    (void)table;
    fprintf(stream, "%s\n", process->name);
}

/* Arguments are in the process's memory, where procd does not look. What was not forked (services, shells on terminals) was started under its name,
 * which stands for them; else there are none, as of Linux's kernel threads. */
static void write_cmdline(FILE *stream, const struct table *table, const struct process *process)
{
    (void)table;
    if (!process->forked_by && !process->executed)
        fwrite(process->name, 1, strlen(process->name) + 1, stream);
}

static void write_meminfo(FILE *stream, const struct table *table, const struct process *process)
{
    struct abi_system_info info = {0};
    (void)table;
    (void)process;
    sys_ignore(sys_system_info(&info, sizeof(info)));
    fprintf(stream,
            "MemTotal:       %8" PRIu64 " kB\nMemFree:        %8" PRIu64 " kB\n"
            "MemAvailable:   %8" PRIu64
            " kB\nBuffers:               0 kB\nCached:                0 kB\n"
            "SwapTotal:             0 kB\nSwapFree:              0 kB\nSlab:           %8" PRIu64
            " kB\n",
            info.frames_total * KIB, info.frames_free * KIB, info.frames_free * KIB,
            info.kernel_bytes / 1024);
}

static void write_uptime(FILE *stream, const struct table *table, const struct process *process)
{
    (void)table;
    (void)process;
    uint64_t centiseconds = (uint64_t)clock_monotonic() / TICK_NS;
    fprintf(stream, "%" PRIu64 ".%02" PRIu64 " 0.00\n", centiseconds / 100, centiseconds % 100);
}

static void write_loadavg(FILE *stream, const struct table *table, const struct process *process)
{
    (void)process;
    fprintf(stream, "0.00 0.00 0.00 1/%" PRIu64 " %d\n", table->count, table->last_pid);
}

static void write_system(FILE *stream, const struct table *table, const struct process *process)
{
    struct abi_system_info info = {0};
    uint64_t busy = 0;
    (void)process;
    sys_ignore(sys_system_info(&info, sizeof(info)));
    process_for_each(item, table)
    {
        struct proc_entry entry;
        process_entry(item, &entry);
        busy += entry.cpu_time;
    }
    uint64_t all = info.uptime * MAX(info.cpus, (uint64_t)1);
    uint64_t idle = all > busy ? all - busy : 0;
    fprintf(stream,
            "cpu  %" PRIu64 " 0 0 %" PRIu64 " 0 0 0 0 0 0\nintr %" PRIu64 "\nctxt %" PRIu64
            "\nprocesses %" PRIu64 "\n",
            busy / TICK_NS, idle / TICK_NS, info.interrupts, info.context_switches, table->count);
}

static void write_version(FILE *stream, const struct table *table, const struct process *process)
{
    (void)table;
    (void)process;
    fprintf(stream, "protos\n");
}

static const struct file_kind kinds[] = {
    {"list", false, write_list, NULL},
    {"meminfo", false, write_meminfo, NULL},
    {"uptime", false, write_uptime, NULL},
    {"loadavg", false, write_loadavg, NULL},
    {"stat", false, write_system, NULL},
    {"version", false, write_version, NULL},
    {"stat", true, write_stat, NULL},
    {"status", true, write_status, NULL},
    {"comm", true, write_comm, NULL},
    {"cmdline", true, write_cmdline, NULL},
    {"mounts", false, NULL, "mounts:///"},
    {"mounts", true, NULL, "mounts:///"},
    {"filesystems", false, NULL, "mounts:///filesystems"},
};

const char *place_link(const struct place *place)
{
    return place->kind ? place->kind->target : NULL;
}

/* --- paths --- */

/* The next component; 0 at the end. */
static size_t component(const char *path, size_t length, size_t *at, const char **name)
{
    while (*at < length && path[*at] == '/')
        ++*at;
    *name = path + *at;
    size_t start = *at;
    while (*at < length && path[*at] != '/')
        ++*at;
    return *at - start;
}

static bool is(const char *name, size_t length, const char *text)
{
    return length == strlen(text) && memcmp(name, text, length) == 0;
}

static int32_t pid_parse(const char *name, size_t length)
{
    int32_t pid = 0;
    if (length == 0 || length > 9)
        return 0;
    for (size_t i = 0; i < length; i++) {
        if (name[i] < '0' || name[i] > '9')
            return 0;
        pid = pid * 10 + (name[i] - '0');
    }
    return pid;
}

static const struct file_kind *kind_find(const char *name, size_t length, bool of_process)
{
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        if (kinds[i].of_process == of_process && is(name, length, kinds[i].name))
            return &kinds[i];
    return NULL;
}

static int64_t place_enter(const struct table *table, const struct process *caller,
                           const char *name, size_t length, struct place *place)
{
    if (place->kind)
        return -E_NOT_DIRECTORY;
    if (is(name, length, "."))
        return 0;
    if (is(name, length, "..")) {
        place->pid = 0;
        return 0;
    }
    if (place->pid == 0) {
        bool self = is(name, length, "self") && caller;
        int32_t pid = self ? caller->pid : pid_parse(name, length);
        if (pid) {
            place->pid = pid;
            return process_by_pid(table, pid) ? 0 : -E_NOT_FOUND;
        }
    }
    place->kind = kind_find(name, length, place->pid != 0);
    return place->kind ? 0 : -E_NOT_FOUND;
}

int64_t place_find(const struct table *table, const struct process *caller, const char *path,
                   size_t length, struct place *place)
{
    size_t at = 0, name_length;
    const char *name;
    int64_t result = 0;
    *place = (struct place){NULL, 0};
    while (result >= 0 && (name_length = component(path, length, &at, &name)) > 0)
        result = place_enter(table, caller, name, name_length, place);
    return result;
}

int64_t place_text(const struct table *table, const struct place *place, char **text,
                   size_t *length)
{
    const struct process *process = place->pid ? process_by_pid(table, place->pid) : NULL;
    if (place->pid && !process)
        return -E_NOT_FOUND;
    if (place->pid && !place->kind)
        return -E_IS_DIRECTORY;
    FILE *stream = open_memstream(text, length);
    if (!stream)
        return -E_NO_MEMORY;
    text_writer *write = place->kind ? place->kind->write : write_list;
    write(stream, table, process);
    if (fclose(stream)) {
        free(*text);
        return -E_NO_MEMORY;
    }
    return 0;
}

/* --- listings --- */

/* Positions: 0 ".", 1 "..", then the files by their place in the table, then in the root FIRST_PID + pid. */
#define FIRST_PID (2 + ARRAY_SIZE(kinds))

static bool file_add(struct listing *listing, const struct place *place)
{
    uint64_t at = listing->position;
    if (at < 2)
        return listing_add(listing, at ? ".." : ".", 1, FILE_DIRECTORY);
    const struct file_kind *kind = &kinds[at - 2];
    if (kind->of_process == (place->pid != 0))
        return listing_add(listing, kind->name, at, kind->write ? FILE_REGULAR : FILE_LINK);
    listing->position++;
    return true;
}

void place_list(const struct table *table, const struct place *place, struct listing *listing)
{
    char name[16];
    while (listing->position < FIRST_PID)
        if (!file_add(listing, place))
            return;
    if (place->pid)
        return;
    process_for_each(process, table)
    {
        uint64_t at = FIRST_PID + (uint64_t)process->pid;
        if (at < listing->position)
            continue;
        listing->position = at;
        snprintf(name, sizeof(name), "%d", process->pid);
        if (!listing_add(listing, name, at, FILE_DIRECTORY))
            return;
    }
}

void place_stat(const struct table *table, const struct place *place, uint64_t size,
                struct abi_stat *stat)
{
    const struct process *process = place->pid ? process_by_pid(table, place->pid) : NULL;
    uint64_t kind = place->kind ? (uint64_t)(place->kind - kinds) + 2 : 1;
    *stat = (struct abi_stat){
        .size = size,
        .inode = (uint64_t)place->pid << 8 | kind,
        .device = 1,
        .type = !place->kind         ? FILE_DIRECTORY
                : place->kind->write ? FILE_REGULAR
                                     : FILE_LINK,
        .mode = !place->kind         ? 0555
                : place->kind->write ? 0444
                                     : 0777,
        .links = 1,
        .block_size = PAGE_SIZE,
        .uid = process ? process->uid : 0,
        .gid = process ? process->gid : 0,
    };
}
