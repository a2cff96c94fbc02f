/* The service behind pagers, and waiting, for host tests of memory: each host thread is a kernel thread. */
#pragma once

#include "kernel/sched/thread.h"
#include "kernel/vmm/pager.h"

/* What the service does when it is asked; NULL: E_SERVICE_DOWN. */
extern int (*fake_service)(const struct pager *pager, uint32_t op, uint64_t offset, uint64_t length,
                           unsigned how, struct pager_answer *answer);
extern __thread bool fake_is_service; /* the calling thread's process serves every port */

/* A port for memory_new_paged: one more reference of it, so that it never goes. */
struct object *fake_port(void);
/* End another thread's wait as a kill does. True: it was waiting. */
bool fake_kill(struct thread *thread);
