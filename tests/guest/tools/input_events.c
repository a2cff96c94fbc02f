/* input_events COUNT [symbols]: takes the focus of input:// and prints what comes, COUNT packets of it: "rel 0 5; key 272 1", a line each;
 * of keys also what they mean, "key 30 1 61/1": the symbol and the modifiers, in hexadecimal. */
#include <stdio.h>
#include <stdlib.h>

#include "abi/input.h"
#include "lib/sys/error.h"
#include "lib/sys/file.h"

static handle_t events;
static uint64_t offset;

static void must(const char *what, int64_t result)
{
    if (result >= 0)
        return;
    printf("%s: %s\n", what, error_text(result));
    exit(1);
}

static struct input_event next(void)
{
    struct input_event event;
    struct abi_command command = {
        .op = OP_READ, .args = {offset}, .out = (uintptr_t)&event, .out_length = sizeof(event)};

    must("read", file_command(events, &command));
    offset = command.values[1];
    return event;
}

static const char *type_name(uint16_t type)
{
    return type == INPUT_KEY ? "key" : type == INPUT_REL ? "rel" : type == INPUT_ABS ? "abs" : "?";
}

int main(int argc, char **argv)
{
    struct abi_command focus = {.op = INPUT_FOCUS};

    must("open", file_open(HANDLE_SELF, "input:///events", OPEN_READ, &events));
    must("focus", file_command(events, &focus));
    printf("listening\n");
    for (int left = argc > 1 ? atoi(argv[1]) : 1; left > 0; left--) {
        const char *separator = "";

        fflush(stdout);
        for (;;) {
            struct input_event event = next();

            if (event.type == INPUT_SYNC)
                break;
            printf("%s%s %u %d", separator, type_name(event.type), event.code, event.value);
            if (argc > 2 && event.type == INPUT_KEY)
                printf(" %x/%x", event.symbol, event.modifiers);
            separator = "; ";
        }
        printf("\n");
    }
    return 0;
}
