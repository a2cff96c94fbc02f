/* A device behind the bulk-only transport that does anything: every transfer, request and byte of an answer is the input's. */
// sources: lib/usb/bulk_only.c lib/usb/scsi.c lib/usb/storage.c
#include <stdlib.h>
#include <string.h>

#include "lib/usb/bulk_only.h"
#include "lib/usb/storage.h"
#include "tests/fuzz/input.h"

#define BLOCKS 8u
#define DATA   BULK_PAGE
#define SIZE   (DATA + BLOCKS * 4096u)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct input input;
static uint8_t *memory; /* of exactly this size: ASan looks */
static uint32_t steps;

static void check(bool condition)
{
    if (!condition)
        abort();
}

static int64_t error_of(uint8_t what)
{
    static const int64_t errors[] = {-E_NOT_SUPPORTED, -E_IO, -E_TIMED_OUT, -E_CLOSED};
    return errors[what % ARRAY_SIZE(errors)];
}

/* A status that fits its command is too much to ask of chance: half of them are, but for what the input changes. */
static void status_make(uint8_t *bytes, uint8_t what)
{
    memcpy(bytes, "USBS", 4);
    memcpy(bytes + 4, memory + 4, 4);
    memset(bytes + 8, 0, 5);
    bytes[12] = what & 1;
    if (what & 2)
        bytes[8 + what % 4] = next_byte(&input);
}

static int64_t move_one(bool in, uint64_t address, uint32_t length)
{
    uint8_t what = next_byte(&input);
    check(address <= SIZE && length <= SIZE - address && ++steps < 1000000);
    if (what >= 0xf0)
        return error_of(what);
    if (!in)
        return what & 1 ? length : (int64_t)next(&input, 4);
    if (address == BULK_STATUS && what & 0x80) {
        status_make(memory + address, what);
        return 13;
    }
    uint32_t count = what & 0x40 ? length : MIN(length, (uint32_t)what);
    for (uint32_t i = 0; i < MIN(count, 64u); i++)
        memory[address + i] = next_byte(&input);
    return what == 0x3f ? (int64_t)next(&input, 4) : count;
}

/* Now and then nobody knows which of them failed. */
static int64_t move(void *context, struct bulk_move *moves, uint32_t count, int64_t patience)
{
    (void)context;
    check(patience > 0 && count && count <= BULK_MOVES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        int64_t moved = move_one(moves[i].in, moves[i].address, moves[i].length);
        if (moved == -E_TIMED_OUT)
            return moved;
        moves[i].moved = moved;
        if (moved < 0)
            return moved;
        if (moved < moves[i].length)
            break;
    }
    return 0;
}

static int64_t answer(void)
{
    uint8_t what = next_byte(&input);
    return what >= 0xf0 ? error_of(what) : 0;
}

static int64_t clear(void *context, bool in)
{
    (void)context, (void)in;
    return answer();
}

static int64_t reset(void *context)
{
    (void)context;
    return answer();
}

static int64_t units(void *context, uint8_t *last)
{
    (void)context;
    *last = next_byte(&input);
    return answer();
}

static void pause_(void *context, int64_t nanoseconds)
{
    (void)context;
    check(nanoseconds > 0);
}

static const struct bulk_pipes pipes = {move, clear, reset, units, reset, pause_, NULL};

static void unit_check(const struct storage_unit *unit)
{
    check(strlen(unit->inquiry.vendor) <= 8 && strlen(unit->inquiry.product) <= 16);
    if (!unit->loaded)
        return;
    uint32_t block = unit->capacity.block;
    check(block >= 512 && block <= 4096 && !(block & (block - 1)));
    check(unit->capacity.blocks && unit->capacity.blocks <= UINT64_MAX / block);
    check(unit->capacity.physical >= block);
}

static void unit_use(struct storage_unit *unit, struct lane *lane)
{
    for (int i = 0; i < 8 && input.at < input.end; i++) {
        uint8_t what = next_byte(&input);
        int64_t result = what & 1   ? storage_transfer(unit, lane, what & 2, next64(&input, 5),
                                                       1 + what % BLOCKS, DATA)
                         : what & 2 ? storage_flush(unit, lane)
                         : what & 4 ? storage_load(unit, lane)
                         : what & 8 ? storage_discard(unit, lane, next64(&input, 5), what)
                                    : storage_look(unit, lane);
        check(result <= 0);
        unit_check(unit);
        if (!unit->loaded && storage_load(unit, lane) < 0)
            return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bulk_only bulk;
    struct storage_unit unit;
    input = (struct input){data, data + size};
    steps = 0;
    memory = calloc(1, SIZE);
    bulk_only_open(&bulk, &pipes, memory, 0);
    uint32_t units, more;
    if (storage_units(&bulk.lane, &units, &more) >= 0) {
        check(units && units >> STORAGE_UNITS == 0);
        uint8_t last = (uint8_t)(31 - __builtin_clz(units));
        if (storage_open(&unit, &bulk.lane, last) >= 0 && storage_load(&unit, &bulk.lane) >= 0) {
            unit_check(&unit);
            unit_use(&unit, &bulk.lane);
        }
    }
    free(memory);
    return 0;
}
