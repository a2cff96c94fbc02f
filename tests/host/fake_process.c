/* See fake_process.h. */
#include "tests/host/fake_process.h"

static __thread struct process process;
static __thread struct thread thread;

void fake_process_enter(struct space *space)
{
    process.space = space;
    thread.process = &process;
    cpu_self()->current = &thread;
}

void fake_process_account(struct account *account)
{
    process.account = account;
}

void fake_machine(uint64_t mib)
{
    static bool started;

    if (started)
        return;
    started = true;
    fake_init();
    fake_ram(0x100000, mib << 20);
    frame_init(&boot_info);
    heap_init();
    fake_process_enter(NULL);
}

uint64_t fake_frames(void)
{
    return frame_count_free() + heap_frames();
}
