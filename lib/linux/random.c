/* See random.h. The file on rng:// is opened once and kept; a forked child shares it, which does no harm: each read
 * is a request of its own. */
#include "lib/linux/random.h"

#include "abi/ops.h"
#include "lib/base/string.h"
#include "lib/linux/answer.h"
#include "lib/linux/user.h"

#define RDRAND_TRIES 16

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

/* 0 and *rng, HANDLE_NONE without such a service; or -RESTART_*. */
static int64_t source(struct process *process, handle_t *rng)
{
    static const char uri[] = "rng:///";
    struct abi_open open = {
        .uri = (uint64_t)uri,
        .uri_length = sizeof(uri) - 1,
        .flags = OPEN_READ,
    };

    *rng = process->rng;
    if (*rng != HANDLE_NONE)
        return 0;
    int64_t handle = sys_open(HANDLE_SELF, &open);
    if (handle < 0)
        return handle == -E_INTERRUPTED ? answer(handle) : 0;
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

int64_t random_read(struct thread *thread, uint64_t address, uint64_t length)
{
    struct process *process = thread->process;
    handle_t rng;
    struct abi_command command;
    int64_t result = source(process, &rng);

    if (result < 0)
        return result;
    length = MIN(length, UINT64_C(0x7ffff000));
    if (rng == HANDLE_NONE)
        return read_cpu(address, length);
    memset(&command, 0, sizeof(command));
    command.op = OP_READ;
    command.out = address;
    command.out_length = length;
    result = answer(sys_file_call(rng, &command));
    return result < 0 ? result : (int64_t)command.values[0];
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
