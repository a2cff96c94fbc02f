/* A device behind UAS that does anything: every transfer, information unit and byte of an answer is the input's, and so are its descriptors. */
// sources: lib/usb/uas.c lib/usb/uas_find.c lib/usb/descriptor.c lib/usb/scsi.c lib/usb/storage.c
#include <stdlib.h>
#include <string.h>

#include "lib/usb/storage.h"
#include "lib/usb/uas.h"
#include "tests/fuzz/input.h"

#define LANES  3u
#define BLOCKS 8u
#define DATA   (LANES * UAS_PAGE)
#define SIZE   (DATA + BLOCKS * 4096u)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct input input;
static uint8_t *memory; /* of exactly this size: ASan looks */
static uint32_t steps;
static int alone;

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
static int64_t status_make(uint8_t *bytes, const uint8_t *command, uint8_t what)
{
    static const uint8_t kinds[] = {3, 6, 7, 4};
    memset(bytes, 0, 64);
    bytes[0] = command[0] == 5 ? 4 : kinds[what >> 4 & 3];
    memcpy(bytes + 2, command + 2, 2);
    bytes[what & 4 ? 6 : 7] = what & 8 ? next_byte(&input) : 0;
    bytes[15] = what & 2 ? next_byte(&input) : 18;
    for (uint32_t i = 0; i < 18 && what & 2; i++)
        bytes[16 + i] = next_byte(&input);
    return bytes[0] == 3 ? 34 : bytes[0] == 4 ? 8 : 4;
}

static int64_t move_one(const struct uas_move *move)
{
    uint8_t what = next_byte(&input), *bytes = memory + move->address;
    check(move->address <= SIZE && move->length <= SIZE - move->address && ++steps < 1000000);
    if (what >= 0xf0)
        return error_of(what);
    if (move->pipe == UAS_COMMAND || move->pipe == UAS_DATA_OUT)
        return what & 1 ? move->length : (int64_t)next(&input, 4);
    if (move->pipe == UAS_STATUS_IN && what & 0x80)
        return status_make(bytes, bytes - UAS_STATUS, what);
    uint32_t count = what & 0x40 ? move->length : MIN(move->length, (uint32_t)what);
    for (uint32_t i = 0; i < MIN(count, 64u); i++)
        bytes[i] = next_byte(&input);
    return what == 0x3f ? (int64_t)next(&input, 4) : count;
}

static int64_t move(void *context, struct uas_move *moves, uint32_t count, int64_t patience)
{
    const struct uas *uas = context;
    check(patience > 0 && count && count <= UAS_MOVES_MAX && moves[0].pipe == UAS_STATUS_IN);
    for (uint32_t i = 0; i < count; i++) {
        check((moves[i].stream != 0) == (uas->streams && moves[i].pipe != UAS_COMMAND));
        moves[i].moved = move_one(&moves[i]);
        if (moves[i].moved == -E_TIMED_OUT)
            return -E_TIMED_OUT;
    }
    return 0;
}

static int64_t answer(void)
{
    uint8_t what = next_byte(&input);
    return what >= 0xf0 ? error_of(what) : 0;
}

static int64_t clear(void *context, enum uas_pipe pipe)
{
    (void)context;
    check(pipe < UAS_PIPES);
    return answer();
}

static int64_t anew(void *context)
{
    (void)context;
    return answer();
}

static void pause_(void *context, int64_t nanoseconds)
{
    (void)context;
    check(nanoseconds > 0);
}

static void alone_(void *context, bool begins)
{
    (void)context;
    alone += begins ? 1 : -1;
    check(alone == 0 || alone == 1);
}

static void unit_check(const struct storage_unit *unit)
{
    check(strlen(unit->inquiry.vendor) <= 8 && strlen(unit->inquiry.product) <= 16);
    if (!unit->loaded)
        return;
    uint32_t block = unit->capacity.block;
    check(block >= 512 && block <= 4096 && !(block & (block - 1)));
    check(unit->capacity.blocks && unit->capacity.blocks <= UINT64_MAX / block);
    check(unit->limits.unit >= 1);
}

static void unit_use(struct storage_unit *unit, const struct uas *uas)
{
    for (int i = 0; i < 8 && input.at < input.end; i++) {
        uint8_t what = next_byte(&input);
        struct lane *lane = &uas->lanes[(uint32_t)i % uas->lane_count].lane;
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

static void settings_check(void)
{
    struct uas_settings settings;
    uint8_t length = next_byte(&input), *bytes = malloc(length + 1u);
    for (uint8_t i = 0; i < length; i++)
        bytes[i] = next_byte(&input);
    uas_find(bytes, length, 0, &settings);
    for (uint32_t pipe = 0; pipe < UAS_PIPES && settings.attached; pipe++)
        check(!!(settings.pipes[pipe] & 0x80) == (pipe == UAS_STATUS_IN || pipe == UAS_DATA_IN));
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct uas uas;
    struct uas_lane lanes[LANES];
    struct storage_unit unit;
    const struct uas_pipes pipes = {move, clear, anew, pause_, alone_, &uas};
    input = (struct input){data, data + size};
    steps = 0;
    uint8_t how = next_byte(&input);
    if (how & 4)
        settings_check();
    memory = calloc(1, SIZE);
    uint16_t streams = how & 1 ? LANES + 1 : 0;
    uas_open(&uas, &pipes, streams, lanes, uas_lanes(streams), memory, 0);
    uint32_t units, more;
    int64_t result = how & 2 ? uas_quiet(&uas) : 0;
    if (result >= 0 && storage_units(&lanes[0].lane, &units, &more) >= 0) {
        check(units >> STORAGE_UNITS == 0);
        uint8_t last = (uint8_t)(units ? 31 - __builtin_clz(units) : 0);
        if (storage_open(&unit, &lanes[0].lane, last) >= 0 &&
            storage_load(&unit, &lanes[0].lane) >= 0) {
            unit_check(&unit);
            unit_use(&unit, &uas);
        }
    }
    free(memory);
    return 0;
}
