/* A key map of any bytes, and keys of any kind typed with it. */
// sources: sbin/inputd/keymap.c sbin/inputd/keys.c lib/sys/conf.c
#include <stdlib.h>
#include <string.h>

#include "sbin/inputd/keys.h"

static void type(const struct keymap *map, const uint8_t *bytes, size_t count)
{
    struct keys keys = {.map = map};
    uint8_t down[INPUT_KEYS / 8] = {0};
    struct input_event event;
    for (size_t i = 0; i + 1 < count; i += 2) {
        uint16_t code = (uint16_t)(bytes[i] | (bytes[i + 1] & 2) << 7);
        event = (struct input_event){
            .time = (int64_t)i, .type = INPUT_KEY, .code = code, .value = bytes[i + 1] & 1};
        if (code / 8 < sizeof(down))
            down[code / 8] ^= (uint8_t)(1u << code % 8);
        keys_event(&keys, down, &event);
        if (keys_repeat(&keys, INT64_MAX - KEYS_REPEAT_PERIOD, &event) && event.value != 2)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The text ends at the first NUL; what follows is typed. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct keymap map;
    struct keymap_problem problem;
    const uint8_t *end = memchr(data, 0, size);
    size_t length = end ? (size_t)(end - data) : size;
    char *text = malloc(length + 1);
    if (!text)
        return 0;
    memcpy(text, data, length);
    if (keymap_parse(&map, text, length, &problem) == 0)
        type(&map, data + length, size - length);
    else if (!problem.text)
        abort();
    keymap_destroy(&map);
    free(text);
    return 0;
}
