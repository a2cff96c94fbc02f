/* Questions to pagers, as commands: what vmm/pager.h asks of the relay.
 *
 * They go out with the faulting thread's own command. Between its system calls, and within one before it sends or after
 * it collected, that command is idle; while it is under way its thread touches no user memory.
 */
#include "abi/errors.h"
#include "abi/ops.h"
#include "kernel/ipc/port.h"
#include "kernel/vmm/pager.h"

static struct port *port_of(const struct pager *pager)
{
    return container_of(pager->port, struct port, object);
}

/* Codes that say something about the one who waits, or that mean something else to vmm, are the kernel's to give. */
static int service_error(int64_t status, const struct thread *self)
{
    if (status == -E_INTERRUPTED && __atomic_load_n(&self->work, __ATOMIC_RELAXED))
        return -E_INTERRUPTED;
    switch (status) {
    case -E_SERVICE_DOWN:
    case -E_RANGE:
    case -E_NO_SPACE:
    case -E_NO_MEMORY:
        return (int)status;
    default:
        return -E_IO;
    }
}

int pager_ask(const struct pager *pager, uint32_t op, uint64_t offset, uint64_t length,
              unsigned how, struct pager_answer *answer)
{
    struct thread *self = thread_current();
    struct completion completion;
    struct request request;

    request.op = op;
    request.flags = how & PAGE_KICKABLE ? 0 : COMMAND_RESTARTABLE;
    request.args[0] = offset;
    request.args[1] = length;
    request.args[2] = op != OP_PAGE_IN       ? 0
                      : how & PAGE_FOR_WRITE ? PROT_READ_ | PROT_WRITE_
                                             : PROT_READ_;
    request.args[3] = pager->key;
    request_empty(&request);
    if (self->command->state != COMMAND_IDLE)
        return -E_DEADLOCK;

    int64_t status = command_call(&request, port_of(pager), NULL, &completion);

    if (status == 0) {
        *answer = (struct pager_answer){completion.values[0], completion.values[1]};
        transfer_drop(completion.receive, completion.receive_count);
        return 0;
    }
    return service_error(status, self);
}

bool pager_serves(const struct pager *pager)
{
    return port_serves(port_of(pager), process_current());
}
