/* See fake_pager.h. */
#include "tests/host/fake_pager.h"

#include <pthread.h>

#include "abi/errors.h"
#include "kernel/sched/wait.h"

#define WEAK __attribute__((weak))

int (*fake_service)(const struct pager *pager, uint32_t op, uint64_t offset, uint64_t length,
                    unsigned how, struct pager_answer *answer);
__thread bool fake_is_service;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t woken = PTHREAD_COND_INITIALIZER;

struct object *fake_port(void)
{
    static struct object port = {.references = 1};

    object_get(&port);
    return &port;
}

int pager_ask(const struct pager *pager, uint32_t op, uint64_t offset, uint64_t length,
              unsigned how, struct pager_answer *answer)
{
    *answer = (struct pager_answer){0};
    return fake_service ? fake_service(pager, op, offset, length, how, answer) : -E_SERVICE_DOWN;
}

bool pager_serves(const struct pager *pager)
{
    (void)pager;
    return fake_is_service;
}

WEAK void wait_prepare(uint32_t flags)
{
    pthread_mutex_lock(&lock);
    thread_current()->waiting = WAIT_ARMED | flags;
    pthread_mutex_unlock(&lock);
}

WEAK int wait_block(uint64_t deadline)
{
    struct thread *self = thread_current();

    (void)deadline;
    pthread_mutex_lock(&lock);
    while (self->waiting)
        pthread_cond_wait(&woken, &lock);
    pthread_mutex_unlock(&lock);
    return self->wait_result;
}

WEAK bool thread_wake(struct thread *thread, int result, unsigned sched_flags)
{
    (void)sched_flags;
    pthread_mutex_lock(&lock);

    bool mine = thread->waiting != 0;

    if (mine) {
        thread->waiting = 0;
        thread->wait_result = result;
        pthread_cond_broadcast(&woken);
    }
    pthread_mutex_unlock(&lock);
    return mine;
}

bool fake_kill(struct thread *thread)
{
    return thread_wake(thread, -E_INTERRUPTED, 0);
}
