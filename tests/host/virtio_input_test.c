// sources: sbin/virtioinputd/events.c
/* What a virtio-input device says, and what of it input:// is told. */
#include "sbin/virtioinputd/events.h"
#include "tests/host/test.h"

static struct events events;

static void start(void)
{
    memset(&events, 0, sizeof(events));
    events.keys[30 / 8] = 1 << 30 % 8;
    events.keys[EVENTS_BITS - 1] = 0x80; /* the last one there is */
    events.movements[0] = 1;
    events.positions[0] = 3;
    events.axes[0].most = 32767;
    events.axes[1].least = INT32_MIN;
    events.axes[1].most = INT32_MAX;
    events.lights[0] = 3; /* no scroll lock */
}

/* What input:// is told: INT32_MIN for nothing. */
static int32_t told(uint16_t type, uint16_t code, uint32_t value)
{
    struct input_event event;
    struct events_event said = {type, code, value};

    return events_translate(&events, &said, &event) ? event.value : INT32_MIN;
}

TEST(only_what_the_device_has)
{
    start();
    CHECK_EQUAL(told(INPUT_KEY, 30, 1), 1);
    CHECK_EQUAL(told(INPUT_KEY, 30, 2), INT32_MIN); /* it repeats: so does inputd */
    CHECK_EQUAL(told(INPUT_KEY, 31, 1), INT32_MIN);
    CHECK_EQUAL(told(INPUT_KEY, INPUT_KEYS - 1, 0), 0);
    CHECK_EQUAL(told(INPUT_KEY, INPUT_KEYS, 1), INT32_MIN);
    CHECK_EQUAL(told(INPUT_KEY, UINT16_MAX, 1), INT32_MIN);
    CHECK_EQUAL(told(INPUT_REL, 0, (uint32_t)-5), -5);
    CHECK_EQUAL(told(INPUT_REL, 1, 5), INT32_MIN);
    CHECK_EQUAL(told(INPUT_ABS, EVENTS_AXES, 5), INT32_MIN);
    CHECK_EQUAL(told(INPUT_LED, 0, 1), INT32_MIN);
    CHECK_EQUAL(told(INPUT_SYNC, 0, 1), 0); /* the value would be a loss */
    CHECK_EQUAL(told(INPUT_SYNC, 2, 0), INT32_MIN);
}

TEST(positions_are_scaled)
{
    start();
    CHECK_EQUAL(told(INPUT_ABS, 0, 0), 0);
    CHECK_EQUAL(told(INPUT_ABS, 0, 32767), INPUT_ABS_MAX);
    CHECK_EQUAL(told(INPUT_ABS, 0, 16384), 32768);
    CHECK_EQUAL(told(INPUT_ABS, 0, 40000), INPUT_ABS_MAX);
    CHECK_EQUAL(told(INPUT_ABS, 0, (uint32_t)-1), 0);
    CHECK_EQUAL(told(INPUT_ABS, 1, (uint32_t)INT32_MIN), 0);
    CHECK_EQUAL(told(INPUT_ABS, 1, INT32_MAX), INPUT_ABS_MAX);
    events.axes[0].least = 40000; /* no range at all */
    CHECK_EQUAL(told(INPUT_ABS, 0, 5), 0);
}

TEST(lights)
{
    struct events_event said[EVENTS_LIGHTS];

    start();
    CHECK_EQUAL(events_lights(&events, INPUT_LED_CAPS | INPUT_LED_SCROLL, said), 2);
    CHECK_EQUAL(said[0].type, INPUT_LED);
    CHECK_EQUAL(said[0].code, 0);
    CHECK_EQUAL(said[0].value, 0);
    CHECK_EQUAL(said[1].code, 1);
    CHECK_EQUAL(said[1].value, 1);
}
