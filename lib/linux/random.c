/* See random.h. The file on rng:// is opened once and kept; a forked child shares it, which does no harm: each read
 * is a request of its own.
 *
 * Small requests are answered from bytes fetched before: one command for sixteen requests of 16 bytes. The bytes lie
 * where the program could read them, as those of any generator in a program do; each is zeroed when it is given out, so
 * that none is given twice and none can be found later, and a forked child forgets them (random_forget). */
#include "lib/linux/random.h"

#include "abi/ops.h"
#include "lib/base/string.h"
#include "lib/linux/answer.h"
#include "lib/linux/time.h"
#include "lib/linux/user.h"

#define RDRAND_TRIES 16
#define RANDOM_SMALL 32u
#define IMPATIENT_NS INT64_C(100000000)

static bool cpu_random(uint64_t *word)
{
    uint32_t a = 1, b, c = 0, d;
    unsigned char ok = 0;

    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    if (!(c & BIT(30)))
        return false;
    for (int i = 0; i < RDRAND_TRIES && !ok; i++)
        __asm__ volatile("rdrand %0; setc %1" : "=r"(*word), "=qm"(ok) : : "cc");
    return ok;
}

/* 0 and *rng, HANDLE_NONE without such a service; -EAGAIN past the deadline; or -RESTART_*. */
static int64_t source(struct process *process, int64_t deadline, handle_t *rng)
{
    static const char uri[] = "rng:///";
    struct abi_open open = {
        .uri = (uint64_t)uri,
        .uri_length = sizeof(uri) - 1,
        .flags = OPEN_READ,
        .deadline = deadline,
    };

    *rng = process->rng;
    if (*rng != HANDLE_NONE)
        return 0;
    int64_t handle = sys_open(HANDLE_SELF, &open);
    if (handle < 0)
        return handle == -E_INTERRUPTED ? answer(handle)
               : handle == -E_TIMED_OUT ? -LINUX_EAGAIN
                                        : 0;
    handle_t none = HANDLE_NONE;
    if (!__atomic_compare_exchange_n(&process->rng, &none, (handle_t)handle, false,
                                     __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        handle_drop((handle_t)handle); /* another thread was quicker */
    *rng = process->rng;
    return 0;
}

static int64_t read_cpu(uint64_t address, uint64_t length)
{
    uint64_t word;

    for (uint64_t done = 0; done < length; done += sizeof(word)) {
        if (!cpu_random(&word))
            return -LINUX_ENOSYS;
        if (user_write(address + done, &word, MIN(length - done, (uint64_t)sizeof(word))))
            return -LINUX_EFAULT;
    }
    return (int64_t)length;
}

/* memset that is not left out because nobody reads what it writes. */
static void wipe(void *bytes, size_t length)
{
    memset(bytes, 0, length);
    __asm__ volatile("" : : "r"(bytes) : "memory");
}

static int64_t fetch(handle_t rng, int64_t deadline, uint64_t address, uint64_t length)
{
    struct abi_command command;

    memset(&command, 0, sizeof(command));
    command.op = OP_READ;
    command.out = address;
    command.out_length = length;
    command.deadline = deadline;

    int64_t result = sys_file_call(rng, &command);

    if (result == -E_TIMED_OUT)
        return -LINUX_EAGAIN;
    return result < 0 ? answer(result) : (int64_t)command.values[0];
}

static bool pool_take(struct process *process, uint8_t *bytes, uint64_t length)
{
    lock(&process->lock);

    bool enough = process->random_left >= length;

    if (likely(enough)) {
        uint8_t *from = process->random + (process->random_left -= (uint32_t)length);

        memcpy(bytes, from, length);
        wipe(from, length);
    }
    unlock(&process->lock);
    return enough;
}

/* Threads that do this at once fetch one pool each, and the last one's stays. */
static int64_t pool_fill(struct process *process, handle_t rng, int64_t deadline)
{
    uint8_t bytes[RANDOM_POOL];
    int64_t count = fetch(rng, deadline, (uint64_t)bytes, sizeof(bytes));

    if (count > 0) {
        lock(&process->lock);
        memcpy(process->random, bytes, (size_t)count);
        process->random_left = (uint32_t)count;
        unlock(&process->lock);
        wipe(bytes, sizeof(bytes));
    }
    return count;
}

static int64_t read_small(struct process *process, handle_t rng, int64_t deadline, uint64_t address,
                          uint64_t length)
{
    uint8_t bytes[RANDOM_SMALL];

    while (!pool_take(process, bytes, length)) {
        int64_t count = pool_fill(process, rng, deadline);

        /* An error, or a source that is short of bytes: ask it for just these. */
        if (count < (int64_t)length)
            return count < 0 ? count : fetch(rng, deadline, address, length);
    }

    int error = user_write(address, bytes, length);

    wipe(bytes, sizeof(bytes));
    return error ? -LINUX_EFAULT : (int64_t)length;
}

void random_forget(struct process *process)
{
    wipe(process->random, sizeof(process->random));
    process->random_left = 0;
}

int64_t random_read(struct thread *thread, uint64_t address, uint64_t length, bool patient)
{
    struct process *process = thread->process;
    handle_t rng;
    int64_t deadline = patient ? 0 : deadline_in(IMPATIENT_NS);
    int64_t result = source(process, deadline, &rng);

    if (result < 0)
        return result;
    length = MIN(length, UINT64_C(0x7ffff000));
    if (rng == HANDLE_NONE)
        return read_cpu(address, length);
    if (length <= RANDOM_SMALL)
        return read_small(process, rng, deadline, address, length);
    return fetch(rng, deadline, address, length);
}

/* Stack addresses and the like are mixed from this; without RDRAND it is the clock, spread over the bytes. */
void random_seed(uint8_t bytes[16])
{
    for (int i = 0; i < 2; i++) {
        uint64_t word = 0;

        if (!cpu_random(&word)) {
            uint32_t low, high;
            __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
            word = (low | (uint64_t)high << 32) * UINT64_C(0x9e3779b97f4a7c15) + (uint64_t)i;
            word = (word ^ word >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
        }
        memcpy(bytes + i * 8, &word, sizeof(word));
    }
}
