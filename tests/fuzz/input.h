/* The input of a fuzz target, taken from its front; zeros behind its end.
 *
 *     struct input input = {data, data + length};
 *     next(&input, 4), next64(&input, 8), next_byte(&input)      a number of so many bytes
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct input {
    const uint8_t *at, *end;
};

static inline uint64_t next64(struct input *input, size_t bytes)
{
    uint64_t value = 0;

    while (bytes-- && input->at < input->end)
        value = value << 8 | *input->at++;
    return value;
}

static inline uint32_t next(struct input *input, size_t bytes)
{
    return (uint32_t)next64(input, bytes);
}

static inline uint8_t next_byte(struct input *input)
{
    return (uint8_t)next64(input, 1);
}
