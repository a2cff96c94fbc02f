// sources: sbin/outputd/line.c
/* The line discipline: what is typed, written, read, and asked of its modes, in any order; and ends of outputd in the middle
 * of any of it, after which its successor finds some of the stores made and others not. What must hold: queues within
 * their bounds, no more bytes than were asked for, and a read finds something where line_readable said so. */
#include <stdlib.h>
#include <string.h>

#include "sbin/outputd/line.h"
#include "tests/fuzz/input.h"

#define OPERATIONS 64u /* of one run */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

static void check(bool condition)
{
    if (!condition)
        abort();
}

static void check_line(const struct line *line)
{
    check(line->read <= line->lines && line->lines <= line->end);
    check(line->end - line->read <= LINE_INPUT);
    check(line->output_end - line->output_read <= LINE_OUTPUT);
    check(line_output_room(line) + line_output_pending(line) == LINE_OUTPUT);
    check(line_pending(line) <= LINE_INPUT);
}

static void type(struct line *line, struct input *input)
{
    for (unsigned count = next_byte(input); count > 0; count--) {
        int signal = line_input(line, next_byte(input));
        check(signal == 0 || signal == LINE_SIGINT || signal == LINE_SIGQUIT ||
              signal == LINE_SIGTSTP);
    }
}

/* A long line, to the edges of the queues; of letters: showing all of it again for each byte takes its time. */
static void type_much(struct line *line, struct input *input)
{
    uint8_t byte = ' ' + next_byte(input) % 95;
    for (unsigned count = next_byte(input) * 18u; count > 0; count--)
        line_input(line, byte);
}

static void read_some(struct line *line, struct input *input)
{
    size_t size = next_byte(input) * 17u + 1u;
    uint8_t *buffer = malloc(size); /* its end is watched */
    bool end, readable = line_readable(line, 1);
    size_t count = line_read(line, buffer, size, &end);
    check(count <= size && (count > 0 || end || !readable) && (!end || count == 0));
    free(buffer);
}

static void write_some(struct line *line, struct input *input)
{
    size_t size = next_byte(input) * 67u;
    uint8_t *bytes = malloc(size);
    for (size_t i = 0; i < size; i++)
        bytes[i] = i % 64 ? (uint8_t)i : next_byte(input);
    check(line_write(line, bytes, size) <= size);
    free(bytes);
}

static void take_some(struct line *line, struct input *input)
{
    size_t size = next_byte(input) * 67u;
    uint8_t *buffer = malloc(size);
    check(line_output_take(line, buffer, size) <= size);
    free(buffer);
}

static void change_modes(struct line *line, struct input *input)
{
    struct tty_attributes attributes = line->attributes;
    uint32_t *flags[] = {&attributes.input, &attributes.output, &attributes.local};
    *flags[next_byte(input) % 3] ^= 1u << next_byte(input) % 16;
    attributes.characters[next_byte(input) % sizeof(attributes.characters)] = next_byte(input);
    line_set_attributes(line, &attributes);
}

static void operate(struct line *line, struct input *input)
{
    switch (next_byte(input) % 9) {
    case 0:
        type(line, input);
        break;
    case 1:
        type_much(line, input);
        break;
    case 2:
        read_some(line, input);
        break;
    case 3:
        write_some(line, input);
        break;
    case 4:
        take_some(line, input);
        break;
    case 5:
        change_modes(line, input);
        break;
    case 6:
        line_flush_input(line);
        break;
    case 7:
        line_flush_output(line);
        break;
    default:
        line->stopped = !line->stopped;
    }
    check_line(line);
}

/* Words of an operation that was under way: some as they were before it, some as after it. */
static void die_within(struct line *line, const struct line *before, struct input *input)
{
    uint32_t choice = next_byte(input);
    uint64_t *now = (uint64_t *)(void *)line;
    const uint64_t *then = (const uint64_t *)(const void *)before;
    for (size_t i = 0; i < sizeof(*line) / sizeof(*now); i++) {
        choice = choice * 1664525u + 1013904223u;
        if (choice >> 31)
            now[i] = then[i];
    }
    line_recover(line);
    check_line(line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    struct input input = {data, data + length};
    struct line *line = malloc(sizeof(*line)), *before = malloc(sizeof(*before));
    line_init(line);
    for (unsigned i = 0; i < OPERATIONS && input.at < input.end; i++) {
        bool dies = next_byte(&input) == 0xff;
        if (dies)
            *before = *line;
        operate(line, &input);
        if (dies)
            die_within(line, before, &input);
    }
    free(before);
    free(line);
    return 0;
}
