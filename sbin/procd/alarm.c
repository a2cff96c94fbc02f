/* Alarms in a red-black tree by deadline. */
#include "sbin/procd/alarm.h"

#include "sbin/procd/kernel.h"
#include "sbin/procd/signal.h"

#define SI_KERNEL_ 0x80 /* si_code of a signal the system sends */

static void alarm_insert(struct table *table, struct process *process)
{
    struct rb_node **place = &table->by_alarm.root, *parent = NULL;
    while (*place) {
        parent = *place;
        place = process->alarm_at < container_of(parent, struct process, by_alarm)->alarm_at
                    ? &parent->left
                    : &parent->right;
    }
    rb_insert(&table->by_alarm, &process->by_alarm, parent, place);
}

void alarm_forget(struct table *table, struct process *process)
{
    if (process->alarm_at)
        rb_remove(&table->by_alarm, &process->by_alarm);
    process->alarm_at = 0;
}

/* now + wait, without overflow and never 0. */
static int64_t time_after(int64_t now, uint64_t wait)
{
    uint64_t room = (uint64_t)(DEADLINE_NEVER - 1 - now);
    return now + (int64_t)MIN(wait, room);
}

void alarm_set(struct table *table, struct process *process, uint64_t first, uint64_t period,
               uint64_t *left, uint64_t *old_period)
{
    int64_t now = kernel_now();
    *left = 0;
    *old_period = 0;
    if (process->alarm_at) {
        *left = process->alarm_at > now ? (uint64_t)(process->alarm_at - now) : 1;
        *old_period = process->alarm_period;
    }
    alarm_forget(table, process);
    if (first == 0)
        return;
    process->alarm_at = time_after(now, first);
    process->alarm_period = period;
    alarm_insert(table, process);
}

int64_t alarm_next(const struct table *table)
{
    const struct process *process = rb_entry(rb_first(&table->by_alarm), struct process, by_alarm);
    return process ? process->alarm_at : DEADLINE_NEVER;
}

void alarm_expire(struct table *table)
{
    int64_t now = kernel_now();
    struct proc_siginfo info = {.signal = SIGNAL_ALARM, .code = SI_KERNEL_};
    struct process *process;
    while ((process = rb_entry(rb_first(&table->by_alarm), struct process, by_alarm)) &&
           process->alarm_at <= now) {
        alarm_forget(table, process);
        if (process->alarm_period) {
            /* Periods that were missed count once, as on Linux. */
            process->alarm_at = time_after(now, process->alarm_period);
            alarm_insert(table, process);
        }
        signal_send(table, process, &info);
    }
}
