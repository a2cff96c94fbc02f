/* CPU exceptions as commands: OP_EXCEPTION to the port that a process's exceptions were given (PROCESS_EXCEPTIONS).
 *
 *     thread                     kernel                                       handler
 *     exception ---> registers copied; command_call -------------------> proto_accept: vector, address, rip, thread
 *                    (killable; kicks wait)                               cmd_read, cmd_write: registers, memory
 *       goes on <--- registers back, if the answer is 0 <---------------- proto_return: another rip, or all registers
 *     personality, or the end of the process <--- any error
 *
 * The command is the thread's own, as for a page (paging.c): in user mode it is idle, so nothing is allocated. Its
 * windows are the registers, a copy on the thread's stack, and behind them the whole of its memory (accept.c,
 * copy_window): the handler was given the port by someone who could do all that anyway.
 */
#include "kernel/exception.h"

#include "abi/errors.h"
#include "abi/ops.h"
#include "kernel/ipc/port.h"

/* A reference; NULL: nobody is to be told. A process that serves the port itself would wait for itself. */
static struct port *handler_get(struct process *process)
{
    lock_acquire(&process->lock);

    struct port *port = process->exceptions;

    if (port)
        object_get(&port->object);
    lock_release(&process->lock);
    if (port && port_serves(port, process)) {
        object_put(&port->object);
        port = NULL;
    }
    return port;
}

int exception_set_handler(struct process *process, struct port *port)
{
    lock_acquire(&process->lock);

    bool alive = process->space != NULL;
    struct port *old = alive ? process->exceptions : NULL;

    if (alive)
        process->exceptions = port;
    if (alive && port)
        object_get(&port->object);
    lock_release(&process->lock);
    if (old)
        object_put(&old->object);
    return alive ? 0 : -E_NO_PROCESS;
}

bool exception_tell(struct thread *self, struct abi_frame *frame, uint32_t cause)
{
    struct port *port = handler_get(self->process);
    struct abi_frame registers;
    struct completion completion;
    struct request request;

    if (!port)
        return false;
    registers = *frame;
    registers.cause = cause;
    request.op = OP_EXCEPTION;
    request.flags = COMMAND_RESTARTABLE;
    request.args[0] = (uint32_t)frame->vector | frame->error << 32;
    request.args[1] = frame->address;
    request.args[2] = frame->rip;
    request.args[3] = self->object.id;
    request_empty(&request);
    request.registers = &registers;
    request.in = request.out = UADDR(0);
    request.in_length = request.out_length = sizeof(registers);

    int64_t status = command_call(&request, port, NULL, &completion);

    object_put(&port->object);
    if (unlikely(status))
        return thread_has_work(self, WORK_KILL);
    if (unlikely(completion.receive_count))
        transfer_drop(completion.receive, completion.receive_count);
    if (completion.values[0])
        registers.rip = completion.values[0];
    arch_frame_change(frame, &registers);
    return true;
}
