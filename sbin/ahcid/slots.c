#include "sbin/ahcid/slots.h"

int slots_take(struct slots *slots, void *request, bool queued)
{
    uint32_t all = slots->count < AHCI_SLOTS ? (1u << slots->count) - 1 : UINT32_MAX;
    uint32_t free = all & ~slots->taken;
    if (!free)
        return -1;
    uint32_t slot = (uint32_t)__builtin_ctz(free);
    slots->requests[slot] = request;
    slots->taken |= 1u << slot;
    slots->queued |= (uint32_t)queued << slot;
    return (int)slot;
}

/* The next one behind the last one, round and round: none waits for ever for others of its kind. */
static uint32_t alone_next(const struct slots *slots, uint32_t waiting)
{
    uint32_t behind = waiting & ~((2u << slots->last) - 1);
    return (uint32_t)__builtin_ctz(behind ? behind : waiting);
}

uint32_t slots_issue(struct slots *slots)
{
    uint32_t waiting = slots->taken & ~slots->issued;
    uint32_t queued = waiting & slots->queued, alone = waiting & ~slots->queued;
    bool alone_turn = alone && !(slots->went_alone && queued);
    uint32_t bits = 0;
    if (slots->issued & ~slots->queued)
        return 0;
    if (!alone_turn) {
        bits = queued;
        slots->went_alone = slots->went_alone && !bits;
    } else if (!slots->issued) {
        slots->last = alone_next(slots, alone);
        slots->went_alone = true;
        bits = 1u << slots->last;
    }
    slots->issued |= bits;
    return bits;
}

void *slots_end(struct slots *slots, uint32_t slot)
{
    uint32_t others = ~(1u << slot);
    void *request = slots->requests[slot];
    slots->requests[slot] = NULL;
    slots->taken &= others;
    slots->queued &= others;
    slots->issued &= others;
    return request;
}
