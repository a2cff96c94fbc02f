#include "sbin/virtioinputd/events.h"

static bool has(const uint8_t bits[EVENTS_BITS], uint32_t code)
{
    return code < EVENTS_BITS * 8 && bits[code / 8] >> code % 8 & 1;
}

static int32_t scale(int64_t value, int64_t least, int64_t most)
{
    if (most <= least)
        return 0;
    value = MIN(MAX(value, least), most);
    return (int32_t)((value - least) * INPUT_ABS_MAX / (most - least));
}

bool events_translate(const struct events *events, const struct events_event *said,
                      struct input_event *event)
{
    uint16_t code = said->code;
    *event = (struct input_event){.type = said->type, .code = code, .value = (int32_t)said->value};
    switch (said->type) {
    case INPUT_SYNC:
        *event = (struct input_event){.type = INPUT_SYNC}; /* other values are this side's */
        return code == 0;
    case INPUT_KEY:
        return has(events->keys, code) && said->value <= 1; /* inputd repeats */
    case INPUT_REL:
        return has(events->movements, code);
    case INPUT_ABS:
        if (!has(events->positions, code) || code >= EVENTS_AXES)
            return false;
        event->value = scale(event->value, events->axes[code].least, events->axes[code].most);
        return true;
    default:
        return false;
    }
}

uint32_t events_lights(const struct events *events, uint32_t mask, struct events_event *said)
{
    /* By evdev's codes. */
    static const uint32_t lights[EVENTS_LIGHTS] = {INPUT_LED_NUM, INPUT_LED_CAPS, INPUT_LED_SCROLL};
    uint32_t count = 0;
    for (uint16_t code = 0; code < EVENTS_LIGHTS; code++)
        if (has(events->lights, code))
            said[count++] = (struct events_event){INPUT_LED, code, (mask & lights[code]) != 0};
    return count;
}
