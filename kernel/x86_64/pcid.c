/* See pcid.h. */
#include "kernel/x86_64/pcid.h"

static struct pcid_slot *find(struct pcid_table *table, uint64_t space)
{
    for (unsigned i = 0; i < PCID_SLOTS; i++)
        if (table->slots[i].space == space)
            return &table->slots[i];
    return NULL;
}

unsigned pcid_choose(struct pcid_table *table, uint64_t space, uint64_t flushes, bool *flush)
{
    struct pcid_slot *slot = find(table, space);

    *flush = !slot || slot->flushes != flushes;
    if (!slot) {
        slot = &table->slots[table->next];
        table->next = (table->next + 1) % PCID_SLOTS;
    }
    *slot = (struct pcid_slot){space, flushes};
    return (unsigned)(slot - table->slots) + 1;
}

bool pcid_step(struct pcid_table *table, uint64_t space, uint64_t flushes)
{
    struct pcid_slot *slot = find(table, space);

    if (!slot || slot->flushes + 1 != flushes)
        return false;
    slot->flushes = flushes;
    return true;
}

void pcid_in_step(struct pcid_table *table, uint64_t space, uint64_t flushes)
{
    struct pcid_slot *slot = find(table, space);

    if (slot)
        slot->flushes = flushes;
}
