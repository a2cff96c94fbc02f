#include "sbin/outputd/seat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/log.h"
#include "lib/sys/error.h"
#include "lib/sys/file.h"

#define RDEV        (4 << 8) /* Linux's tty0; tty1 and on are consoles */
#define ESCAPE      1        /* evdev codes */
#define F1          59
#define LOG         "log:///"
#define LOG_CONSOLE LOG "console"
#define LOG_ERROR   " error: "
#define LOG_LIMIT   (UINT64_C(1) << 20)
#define SPLASH_NS   INT64_C(5000000000)

/* Who hangs, be it for the keyboard or the log, does not stop the terminals. */
#define PATIENCE (INT64_C(250) * 1000 * 1000)

struct state {
    uint64_t input_at; /* offset of the next event of input:// */
    uint32_t shown;    /* console */
    uint32_t logged;   /* the log was printed on the first console */
    uint64_t log_at;   /* ... and what goes to a console, up to this number (abi/log.h) */
};

static struct screen screen;
static struct console consoles[SEAT_CONSOLES];
static uint32_t count;
static struct pointer pointer;
static struct state *state;
static handle_t input = HANDLE_NONE, lines = HANDLE_NONE;
static bool log_waits;                        /* for the first console to be free */
static int64_t splash_until = DEADLINE_NEVER; /* NEVER: the consoles are shown */
static int64_t retry_at =
    DEADLINE_NEVER; /* a service did not answer, and may not tell again that it is readable */

uint32_t seat_count(void)
{
    return count;
}

struct terminal *seat_terminal(uint32_t number)
{
    return &consoles[number].terminal;
}

/* --- What is shown ------------------------------------------------------------------------------------------------- */

static bool splash_shown(void)
{
    return splash_until != DEADLINE_NEVER;
}

static void splash_end(void)
{
    if (!splash_shown())
        return;
    splash_until = DEADLINE_NEVER;
    console_show(&consoles[state->shown], true);
}

void seat_written(const struct terminal *terminal)
{
    if (log_waits && terminal == &consoles[0].terminal)
        seat_log();
    if (!count || terminal != &consoles[state->shown].terminal)
        return;
    splash_end();
    pointer_deselect(&pointer);
}

int64_t seat_deadline(void)
{
    return MIN(splash_until, retry_at);
}

void seat_expire(void)
{
    int64_t now = sys_clock_get(CLOCK_MONOTONIC_);
    if (splash_shown() && now >= splash_until)
        splash_end();
    if (now < retry_at)
        return;
    retry_at = DEADLINE_NEVER;
    seat_input();
    seat_log();
}

static void retry_later(void)
{
    retry_at = sys_clock_get(CLOCK_MONOTONIC_) + PATIENCE;
}

static void console_switch(uint32_t number)
{
    splash_end();
    if (number >= count || number == state->shown)
        return;
    pointer_deselect(&pointer);
    console_show(&consoles[state->shown], false);
    state->shown = number;
    console_show(&consoles[number], true);
}

/* --- Keys and the mouse ------------------------------------------------------------------------------------------ */

static void key_pressed(const struct input_event *event)
{
    uint32_t number = (uint32_t)event->code - F1;
    if (event->modifiers & INPUT_ALT && number < SEAT_CONSOLES)
        console_switch(number);
    else if (splash_shown() && event->code == ESCAPE)
        splash_end();
    else if (console_key(&consoles[state->shown], event))
        pointer_typed(&pointer);
}

static void event_take(const struct input_event *event)
{
    bool key = event->type == INPUT_KEY && event->code < INPUT_BUTTON_LEFT;
    if (key && event->value)
        key_pressed(event);
    else if (!key && !splash_shown())
        pointer_event(&pointer, &consoles[state->shown], event);
}

static void input_lost(int64_t error)
{
    fprintf(stderr, "input://: %s\n", error_text(error));
    handle_drop(input);
    input = HANDLE_NONE;
}

void seat_input(void)
{
    struct input_event events[32];
    while (input != HANDLE_NONE) {
        struct abi_command command = {
            .op = OP_READ,
            .flags = COMMAND_NONBLOCK,
            .args = {state->input_at},
            .deadline = sys_clock_get(CLOCK_MONOTONIC_) + PATIENCE,
            .out = (uintptr_t)events,
            .out_length = sizeof(events),
        };
        int64_t result = file_command(input, &command);
        if (result == -E_TIMED_OUT)
            retry_later();
        if (result == -E_AGAIN || result == -E_TIMED_OUT)
            return;
        if (result < 0) {
            input_lost(result);
            return;
        }
        for (size_t i = 0; i < MIN(command.values[0], sizeof(events)) / sizeof(events[0]); i++)
            event_take(&events[i]);
        state->input_at = command.values[1];
    }
}

static void input_start(handle_t port)
{
    struct abi_command end = {.op = INPUT_END}, focus = {.op = INPUT_FOCUS};
    int64_t result = file_open(HANDLE_SELF, "input:///events", OPEN_READ, &input);
    if (result >= 0)
        result = file_command(input, &end);
    if (result >= 0 && (!state->input_at || state->input_at > end.values[0]))
        state->input_at = end.values[0];
    if (result >= 0)
        result = file_command(input, &focus);
    if (result >= 0)
        result = sys_port_bind(port, input, SIGNAL_READABLE, SEAT_KEY, 0);
    if (result < 0)
        input_lost(result);
    else
        seat_input();
}

/* --- The log ------------------------------------------------------------------------------------------------------ */

/* The next lines, and where they end; E_AGAIN: there are none. */
static int64_t log_next(char *text, size_t size, size_t *length, uint64_t *next)
{
    struct abi_command command = {
        .op = OP_READ,
        .flags = COMMAND_NONBLOCK,
        .args = {state->log_at},
        .deadline = sys_clock_get(CLOCK_MONOTONIC_) + PATIENCE,
        .out = (uintptr_t)text,
        .out_length = size,
    };
    int64_t result = file_command(lines, &command);
    if (result == -E_TIMED_OUT)
        retry_later();
    *length = MIN(command.values[0], size);
    *next = command.values[1];
    return result;
}

void seat_log(void)
{
    char text[1024];
    size_t length;
    uint64_t next;
    log_waits = false;
    while (lines != HANDLE_NONE && log_next(text, sizeof(text), &length, &next) >= 0) {
        log_waits = !console_print(&consoles[0], text, length);
        if (log_waits)
            return;
        state->log_at = next;
        pointer_deselect(&pointer);
    }
}

static int64_t log_open(handle_t port)
{
    struct abi_command end = {.op = LOG_END};
    int64_t result = file_open(HANDLE_SELF, LOG_CONSOLE, OPEN_READ, &lines);
    if (result >= 0 && !state->log_at) {
        result = file_command(lines, &end);
        state->log_at = end.values[0];
    }
    if (result >= 0)
        result = sys_port_bind(port, lines, SIGNAL_READABLE, SEAT_LOG_KEY, 0);
    return result;
}

/* From here on: what was said before is printed by first_start. */
static void log_start(handle_t port)
{
    int64_t result = log_open(port);
    if (result >= 0)
        return;
    fprintf(stderr, "%s: %s\n", LOG_CONSOLE, error_text(result));
    handle_drop(lines);
    lines = HANDLE_NONE;
}

/* --- The start --------------------------------------------------------------------------------------------------- */

/* What was said before there was a console to read it on. True: something went wrong. */
static bool log_print(struct console *console)
{
    char *text;
    size_t length;
    if (file_load(HANDLE_SELF, LOG, LOG_LIMIT, &text, &length) < 0)
        return false;
    console_print(console, text, length);
    bool bad = strstr(text, LOG_ERROR);
    free(text);
    return bad;
}

/* Whether the picture is, or may be, on the screen: the kernel draws it where the loader left a framebuffer. */
static bool splash_start(void)
{
    const char *wanted = getenv("splash");
    if (getenv("log") || (wanted && strcmp(wanted, "off") == 0))
        return false;
    if (!getenv("PROTOS_FRAMEBUFFER"))
        screen_splash(&screen);
    return true;
}

static void first_start(void)
{
    state->logged = 1;
    if (!log_print(&consoles[0]) && splash_start())
        splash_until = sys_clock_get(CLOCK_MONOTONIC_) + SPLASH_NS;
}

void seat_start(handle_t port, void *(*memory)(uint64_t key, size_t size))
{
    state = memory(SEAT_KEPT_STATE, sizeof(*state));
    if (!screen_start(&screen))
        return;
    pointer_start(&pointer, &screen);
    for (count = 0; count < SEAT_CONSOLES; count++) {
        uint64_t key = SEAT_KEPT + 2 * count;
        struct console *console = &consoles[count];
        if (!console_init(console, &screen, port, memory(key, sizeof(struct terminal_kept)),
                          memory(key + 1, sizeof(struct console_kept)))) {
            fprintf(stderr, "no memory for console %u\n", count + 1);
            break;
        }
        console->terminal.rdev = RDEV | (count + 1);
    }
    if (!count)
        return;
    if (state->shown >= count)
        state->shown = 0;
    log_start(port);
    if (!state->logged)
        first_start();
    if (!splash_shown())
        console_show(&consoles[state->shown], true);
    input_start(port);
    seat_log();
}
