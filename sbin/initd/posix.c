/* Commands to procd. */
#include "sbin/initd/posix.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/clock.h"
#include "lib/sys/error.h"
#include "lib/sys/file.h"
#include "lib/sys/wait.h"

#define ANSWER_TIME_NS INT64_C(1000000000)
#define RETRY_NS       (ANSWER_TIME_NS / 10)

#define WANTED (POSIX_BIT(POSIX_SIGUSR1) | POSIX_BIT(POSIX_SIGUSR2) | POSIX_BIT(POSIX_SIGTERM))

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of proc */
static handle_t proc = HANDLE_NONE;
static void (*received)(uint64_t signals);

static int64_t proc_command(struct abi_command *command)
{
    pthread_mutex_lock(&lock);
    handle_t file = proc;
    pthread_mutex_unlock(&lock);
    command->deadline = clock_monotonic() + ANSWER_TIME_NS;
    return file == HANDLE_NONE ? -E_NO_PROTOCOL : file_command(file, command);
}

int64_t posix_adopt(handle_t process, uint32_t flags)
{
    struct abi_command command = {.op = PROC_ADOPT, .args = {0, flags}, .send_count = 1};
    int64_t copy = handle_copy(process, RIGHT_CONTROL | RIGHT_MAP | RIGHT_WAIT | RIGHT_DUPLICATE |
                                            RIGHT_TRANSFER);
    if (copy < 0)
        return copy;
    command.send[0] = (handle_t)copy;
    int64_t result = proc_command(&command);
    if (result == -E_NO_PROTOCOL)
        handle_drop((handle_t)copy); /* never sent */
    return result < 0 ? result : (int64_t)command.values[0];
}

static void signals_want(void)
{
    struct abi_command command = {.op = PROC_MASKS, .args = {POSIX_BIT(POSIX_SIGCHLD), WANTED, 0}};
    int64_t result = proc_command(&command);
    if (result < 0)
        fprintf(stderr, "proc: no signals for init: %s\n", error_text(result));
}

static void signals_watch(void);

bool posix_connect(handle_t self)
{
    handle_t file;
    pthread_mutex_lock(&lock);
    bool open = proc != HANDLE_NONE;
    pthread_mutex_unlock(&lock);
    if (!open) {
        int64_t result = file_open(HANDLE_SELF, "proc://", OPEN_READ | OPEN_WRITE, &file);
        if (result < 0) {
            fprintf(stderr, "proc: cannot open proc://: %s\n", error_text(result));
            return false;
        }
        pthread_mutex_lock(&lock);
        proc = file;
        pthread_mutex_unlock(&lock);
    }
    int64_t pid = posix_adopt(self, PROC_LEADER);
    if (pid != 1 && pid != -E_EXISTS)
        fprintf(stderr, "proc: init is not pid 1: %s\n", pid < 0 ? error_text(pid) : "another pid");
    signals_want();
    signals_watch();
    return true;
}

handle_t posix_file(void)
{
    pthread_mutex_lock(&lock);
    int64_t copy = proc == HANDLE_NONE
                       ? HANDLE_NONE
                       : handle_copy(proc, RIGHT_READ | RIGHT_WRITE | RIGHT_CONTROL | RIGHT_WAIT |
                                               RIGHT_DUPLICATE | RIGHT_TRANSFER);
    pthread_mutex_unlock(&lock);
    return copy < 0 ? HANDLE_NONE : (handle_t)copy;
}

/* --- signals --- */

/* A command that procd holds, for a kick may come to a thread that is not waiting, and be lost. */
static int64_t signals_take(uint64_t *signals)
{
    struct proc_siginfo infos[8];
    struct abi_command command = {
        .op = PROC_SIGNALS,
        .args = {WANTED, 0, PROC_HOLD},
        .out = (uintptr_t)infos,
        .out_length = sizeof(infos),
    };
    handle_t file = posix_file();
    int64_t result = file == HANDLE_NONE ? -E_NO_PROTOCOL : file_command(file, &command);
    handle_drop(file);
    *signals = command.values[0];
    return result;
}

static void *signals_thread(void *argument)
{
    uint64_t signals;
    for (;;) {
        int64_t result = signals_take(&signals);
        if (result >= 0 && signals)
            received(signals);
        else if (result < 0 && result != -E_RESTARTED && result != -E_INTERRUPTED)
            sleep_until(clock_monotonic() + RETRY_NS);
    }
    return argument;
}

static void signals_watch(void)
{
    static bool watched; /* posix_connect's thread alone */
    pthread_t thread;
    if (watched)
        return;
    int error = pthread_create(&thread, NULL, signals_thread, NULL);
    if (error) {
        fprintf(stderr, "proc: no thread for signals: %s\n", strerror(error));
        return;
    }
    watched = true;
    pthread_detach(thread);
}

void posix_receive(void (*function)(uint64_t signals))
{
    received = function;
}

/* --- programs --- */

#define ENTRIES 64u /* asked for at a time */

void posix_spare(struct posix_spared *spared, handle_t process)
{
    struct abi_process_info info;
    if (process == HANDLE_NONE || sys_process_info(process, &info) < 0)
        return;
    uint64_t *ids = realloc(spared->ids, (spared->count + 1) * sizeof(*ids));
    if (!ids)
        return;
    spared->ids = ids;
    spared->ids[spared->count++] = info.id;
}

static bool is_program(const struct posix_spared *spared, const struct proc_entry *entry)
{
    for (size_t i = 0; i < spared->count; i++)
        if (spared->ids[i] == entry->id)
            return false;
    return entry->state != 'Z';
}

static int64_t signal_send(int32_t pid, int signal)
{
    struct abi_command command = {.op = PROC_KILL, .args = {(uint64_t)pid, (uint64_t)signal}};
    return proc_command(&command);
}

int64_t posix_programs(const struct posix_spared *spared, int signal)
{
    struct proc_entry entries[ENTRIES];
    int64_t programs = 0;
    for (uint64_t index = 0;; index += ENTRIES) {
        struct abi_command command = {
            .op = PROC_LIST,
            .args = {index},
            .out = (uintptr_t)entries,
            .out_length = sizeof(entries),
        };
        int64_t result = proc_command(&command);
        if (result < 0)
            return result;
        size_t count = command.values[0] / sizeof(entries[0]);
        for (size_t i = 0; i < count; i++) {
            if (!is_program(spared, &entries[i]))
                continue;
            programs++;
            if (signal)
                sys_ignore(signal_send(entries[i].pid, signal));
        }
        if (count < ENTRIES)
            return programs;
    }
}
