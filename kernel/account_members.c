/* Who is in an account, and its end: everybody in it is killed.
 *
 * Processes are made while that goes on. Each joins when it is complete, before anybody can use it, and under the lock that
 * `ended` is set under: either it is on the list then, or it is refused. So nothing that forks as fast as it is killed
 * gets away, and each round leaves fewer.
 *
 * A member that is on the list is referred to by someone: it leaves before its last reference can go (process.c).
 */
#include "abi/errors.h"
#include "kernel/account.h"
#include "kernel/process.h"

int account_join(struct process *process)
{
    struct account *account = process->account;

    if (!account)
        return 0;
    lock_acquire(&account->lock);
    bool ended = account->ended;
    if (!ended)
        list_append(&account->members, &process->member);
    lock_release(&account->lock);
    return ended ? -E_NO_PROCESS : 0;
}

void account_leave(struct process *process)
{
    struct account *account = process->account;

    if (!account)
        return;
    lock_acquire(&account->lock);
    list_remove(&process->member);
    lock_release(&account->lock);
}

/* Off the list, with a reference; NULL: no more. */
static struct process *take_member(struct account *account)
{
    lock_acquire(&account->lock);
    account->ended = true;

    struct process *process = list_first(&account->members, struct process, member);

    if (process) {
        list_remove(&process->member);
        object_get(&process->object);
    }
    lock_release(&account->lock);
    return process;
}

/* Likewise. One whose last reference is gone waits for this lock. */
static struct account *take_inner(struct account *account)
{
    struct account *found = NULL;

    lock_acquire(&account->lock);
    while (!found && !list_empty(&account->inside)) {
        struct account *inner = list_first(&account->inside, struct account, link);

        list_remove(&inner->link);
        if (account_try_get(inner))
            found = inner;
    }
    lock_release(&account->lock);
    return found;
}

void account_end(struct account *account)
{
    struct process *process;
    struct account *inner;

    while ((process = take_member(account)) != NULL) {
        process_end(process, EXIT_ACCOUNT);
        object_put(&process->object);
        arch_preempt_window();
    }
    while ((inner = take_inner(account)) != NULL) { /* ACCOUNT_DEPTH_MAX calls deep at most */
        account_end(inner);
        account_put(inner);
    }
}
