/* The services' end, in the reverse order of their start: see unwind.h. */
#include "sbin/initd/unwind.h"

#include <stdio.h>
#include <string.h>

#include "lib/sys/clock.h"
#include "sbin/initd/devices.h"
#include "sbin/initd/posix.h"
#include "sbin/initd/stop.h"

#define KILL_NS (1000 * MILLISECOND) /* for a process to be gone that was killed */
#define GONE_MS \
    2000u /* ... to end by itself when its device is gone: there is nothing to be written any more */

static bool stopping;

/* Who lives, but for the one that turns the machine off at last. */
static bool unit_lives(const struct unit *unit)
{
    return unit->process != HANDLE_NONE && !unit_serves(unit, protocol_find("power"));
}

/* Whether it has the other in its `after`. Of two of one service only the later one can need the other: a volume in a file of another. */
static bool unit_needs(const struct unit *unit, const struct unit *other)
{
    const struct strings *after = &unit->conf.after;
    for (size_t i = 0; i < after->count; i++)
        if (unit_is(other, after->items[i]))
            return !unit_is(unit, after->items[i]) || unit->number > other->number;
    return false;
}

static bool unit_needed(const struct unit *unit)
{
    const struct unit *other;
    for (size_t i = 0; (other = unit_at(i)); i++)
        if (other != unit && unit_lives(other) && unit_needs(other, unit))
            return true;
    return false;
}

static uint32_t stop_ms(const struct unit *unit)
{
    return unit->gone ? MIN(unit->conf.stop_ms, GONE_MS) : unit->conf.stop_ms;
}

void unwind_tell(struct unit *unit)
{
    unit->told = unit->port != HANDLE_NONE || unit->gone; /* by its port, or by its bus */
    unit->state = STOPPING;
    unit->due = clock_monotonic() + stop_ms(unit) * MILLISECOND;
    if (unit->port != HANDLE_NONE)
        sys_ignore(sys_port_notify(unit->port, PORT_STOP));
    for (size_t i = 0; i < unit->conf.protocols.count && !unit->gone; i++) {
        const struct protocol *protocol = protocol_find(unit->conf.protocols.items[i]);
        if (protocol)
            sys_ignore(sys_port_notify(protocol->port, PORT_STOP));
        unit->told = true;
    }
    if (!unit->told)
        unit->due = clock_monotonic(); /* it cannot be told */
}

void unwind_overdue(struct unit *unit)
{
    if (unit->life.over) {
        fprintf(stderr, "%s: cannot be ended\n", unit->conf.name);
        unit_process_over(unit);
        unit->state = ENDED;
        if (unit->gone && !stopping)
            device_driver_ended(unit);
        unwind_step();
        return;
    }
    if (unit->told)
        fprintf(stderr, "%s: not ended after %u ms: killed\n", unit->conf.name, stop_ms(unit));
    unit->life.over = 1;
    unit->due = clock_monotonic() + KILL_NS;
    sys_ignore(sys_process_kill(unit->process, POSIX_SIGKILL));
}

void unwind_step(void)
{
    size_t living = 0, ending = 0;
    struct unit *unit;
    for (size_t i = 0; stopping && (unit = unit_at(i)); i++) {
        if (!unit_lives(unit)) {
            if (unit->process == HANDLE_NONE)
                unit->state = ENDED;
            continue;
        }
        living++;
        if (unit->state != STOPPING && !unit_needed(unit))
            unwind_tell(unit);
        ending += unit->state == STOPPING;
    }
    for (size_t i = 0; living && !ending && (unit = unit_at(i)); i++)
        if (unit_lives(unit))
            unwind_tell(unit);
    if (stopping && !living)
        stop_services_ended();
}

bool unwinding(void)
{
    return stopping;
}

void unwind_begin(void)
{
    stopping = true;
    unwind_step();
}
