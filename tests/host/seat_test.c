/* What ends the picture of the boot, and where keys go: the seat, with consoles that only count. */
// sources: sbin/outputd/seat.c
#include "sbin/outputd/seat.h"

#include "abi/log.h"
#include "lib/sys/file.h"
#include "tests/host/test.h"

#define F1     59
#define ESCAPE 1
#define SECOND INT64_C(1000000000)

static void *kept[64];
static const char *log_text;
static bool screen_there, splash_drawn, input_hangs;
static int64_t now;
static struct console *shown;
static uint32_t keys, pointed, printed;
static struct input_event events[8];
static uint64_t event_count, events_read, lines_said;

/* --- What is around it ----------------------------------------------------------------------------------------- */

int64_t syscall_raw(uint32_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
                    uint64_t f)
{
    (void)a, (void)b, (void)c, (void)d, (void)e, (void)f;
    return number == 0x4b ? now : 0; /* clock_get */
}

const char *error_text(int64_t error)
{
    (void)error;
    return "";
}

int64_t file_load(handle_t namespace, const char *uri, uint64_t limit, char **text, size_t *length)
{
    (void)namespace, (void)uri, (void)limit;
    *text = strdup(log_text);
    *length = strlen(log_text);
    return 0;
}

enum { INPUT_FILE = 1, LOG_FILE };

int64_t file_open(handle_t namespace, const char *uri, uint32_t flags, handle_t *file)
{
    (void)namespace, (void)flags;
    *file = strcmp(uri, "log:///console") == 0 ? LOG_FILE : INPUT_FILE;
    return 0;
}

/* log:///console: a line of 10 bytes for each of lines_said. */
static int64_t log_command(struct abi_command *command)
{
    uint64_t at = command->args[0];
    if (command->op == LOG_END)
        command->values[0] = lines_said * 10;
    if (command->op != OP_READ)
        return 0;
    if (at == lines_said * 10)
        return -E_AGAIN;
    command->values[0] = 10;
    command->values[1] = at + 10;
    return 0;
}

/* input:///events. Offsets are counted in events here. */
int64_t file_command(handle_t file, struct abi_command *command)
{
    if (file == LOG_FILE)
        return log_command(command);
    if (command->op != OP_READ)
        return 0;
    if (input_hangs)
        return -E_TIMED_OUT;
    if (events_read == event_count)
        return -E_AGAIN;
    memcpy((void *)command->out, events, event_count * sizeof(events[0]));
    command->values[0] = event_count * sizeof(events[0]);
    events_read = event_count;
    return 0;
}

bool screen_start(struct screen *screen)
{
    *screen = (struct screen){.rows = 24, .columns = 80};
    return screen_there;
}

void screen_splash(struct screen *screen)
{
    (void)screen;
    splash_drawn = true;
}

bool console_init(struct console *console, struct screen *screen, handle_t port,
                  struct terminal_kept *terminal_kept, struct console_kept *console_kept)
{
    (void)screen, (void)port, (void)terminal_kept, (void)console_kept;
    *console = (struct console){0};
    return true;
}

void console_show(struct console *console, bool is)
{
    CHECK(is ? !shown : shown == console);
    shown = is ? console : NULL;
}

bool console_print(struct console *console, const char *text, size_t length)
{
    CHECK(&console->terminal == seat_terminal(0));
    (void)text;
    if (!console->alternate)
        printed += length > 0;
    return !console->alternate;
}

bool console_key(struct console *console, const struct input_event *event)
{
    CHECK(console == shown || !shown); /* typed ahead, under the picture */
    keys++;
    return event->symbol;
}

void pointer_start(struct pointer *pointer, struct screen *screen)
{
    *pointer = (struct pointer){.screen = screen};
}

void pointer_event(struct pointer *pointer, struct console *console,
                   const struct input_event *event)
{
    (void)pointer, (void)event;
    CHECK(console == shown);
    pointed++;
}

void pointer_typed(struct pointer *pointer)
{
    (void)pointer;
}

void pointer_deselect(struct pointer *pointer)
{
    (void)pointer;
}

/* --- The machine ------------------------------------------------------------------------------------------------- */

static void *memory(uint64_t key, size_t size)
{
    CHECK(key < ARRAY_SIZE(kept));
    if (!kept[key])
        kept[key] = calloc(1, size);
    CHECK(kept[key]);
    return kept[key];
}

/* An outputd starts; what was kept with tty:// is there. */
static void start(void)
{
    shown = NULL;
    splash_drawn = false;
    keys = pointed = printed = 0;
    event_count = events_read = 0;
    seat_start(1, memory);
}

static void boot(const char *log)
{
    for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
        free(kept[i]);
        kept[i] = NULL;
    }
    log_text = log;
    screen_there = true;
    now = SECOND;
    lines_said = 3;
    unsetenv("splash");
    unsetenv("log");
    unsetenv("PROTOS_FRAMEBUFFER");
}

static void end(void)
{
    boot("");
}

static void happens(uint16_t type, uint16_t code, int32_t value, uint32_t modifiers)
{
    events[0] =
        (struct input_event){.type = type, .code = code, .value = value, .modifiers = modifiers};
    event_count = 1;
    events_read = 0;
    seat_input();
}

static void press(uint16_t code, uint32_t modifiers)
{
    happens(INPUT_KEY, code, 1, modifiers);
}

static void check_shown(uint32_t number)
{
    CHECK(shown && &shown->terminal == seat_terminal(number));
}

TEST(without_a_screen)
{
    boot("");
    screen_there = false;
    start();
    CHECK_EQUAL(seat_count(), 0);
    seat_written(NULL);
    end();
}

/* --- The picture of the boot ----------------------------------------------------------------------------------- */

TEST(picture_until_escape)
{
    boot("[    0.000001] info: protos\n");
    start();
    CHECK(splash_drawn && !shown);
    CHECK_EQUAL(printed, 1);
    press(30, 0); /* another key does not end it, but is typed */
    CHECK(!shown && keys == 1);
    press(ESCAPE, 0);
    check_shown(0);
    CHECK_EQUAL(seat_deadline(), DEADLINE_NEVER);
    end();
}

TEST(picture_until_something_is_written)
{
    boot("");
    start();
    seat_written(seat_terminal(1)); /* on a console that nobody would see */
    CHECK(!shown);
    seat_written(seat_terminal(0));
    check_shown(0);
    end();
}

TEST(picture_until_another_console_is_wanted)
{
    boot("");
    start();
    press(F1 + 2, INPUT_ALT);
    check_shown(2);
    end();
}

TEST(picture_for_five_seconds)
{
    boot("");
    start();
    CHECK_EQUAL(seat_deadline(), 6 * SECOND);
    now = 6 * SECOND - 1;
    seat_expire();
    CHECK(!shown);
    now = 6 * SECOND;
    seat_expire();
    check_shown(0);
    end();
}

TEST(no_picture_after_an_error)
{
    boot("[    0.100000] info: protos\n[    0.200000] rngd: error: no entropy\n");
    start();
    CHECK(!splash_drawn);
    check_shown(0);
    end();
}

TEST(no_picture_where_it_is_not_wanted)
{
    boot("");
    setenv("splash", "off", 1);
    start();
    CHECK(!splash_drawn);
    check_shown(0);
    boot("");
    setenv("log", "debug", 1);
    start();
    CHECK(!splash_drawn);
    check_shown(0);
    end();
}

/* The kernel drew it already. */
TEST(picture_of_the_kernel)
{
    boot("");
    setenv("PROTOS_FRAMEBUFFER", "1", 1);
    start();
    CHECK(!splash_drawn && !shown);
    press(ESCAPE, 0);
    check_shown(0);
    end();
}

/* One that comes back shows what was shown, and neither picture nor log again. */
TEST(one_that_comes_back)
{
    boot("log\n");
    start();
    press(F1 + 1, INPUT_ALT);
    start();
    check_shown(1);
    CHECK_EQUAL(printed, 0);
    end();
}

/* The file stays readable meanwhile, so nobody tells again. */
TEST(keys_of_a_service_that_hung)
{
    boot("");
    start();
    input_hangs = true;
    press(ESCAPE, 0);
    input_hangs = false;
    CHECK(!shown);
    int64_t again = seat_deadline();
    CHECK(again > now && again < now + SECOND);
    now = again;
    seat_expire();
    check_shown(0);
    CHECK_EQUAL(seat_deadline(), DEADLINE_NEVER);
    end();
}

/* --- The log ------------------------------------------------------------------------------------------------------ */

TEST(lines_as_they_come)
{
    boot("log\n");
    start();
    CHECK_EQUAL(printed, 1); /* what was before, at once */
    lines_said += 2;
    seat_log();
    CHECK_EQUAL(printed, 3);
    seat_log();
    CHECK_EQUAL(printed, 3);
    lines_said++; /* while there is no outputd */
    start();
    CHECK_EQUAL(printed, 1);
    end();
}

TEST(lines_wait_for_an_alternate_screen)
{
    boot("log\n");
    start();
    struct console *console = container_of(seat_terminal(0), struct console, terminal);
    console->alternate = true;
    lines_said++;
    seat_log();
    seat_written(seat_terminal(0));
    CHECK_EQUAL(printed, 1);
    console->alternate = false;
    seat_written(seat_terminal(1));
    CHECK_EQUAL(printed, 1);
    seat_written(seat_terminal(0));
    CHECK_EQUAL(printed, 2);
    end();
}

/* --- Keys and the mouse ------------------------------------------------------------------------------------------ */

TEST(keys_go_to_what_is_shown)
{
    boot("");
    start();
    happens(INPUT_REL, INPUT_REL_X, 5, 0);
    CHECK_EQUAL(pointed, 0); /* over the picture there is none */
    press(ESCAPE, 0);
    CHECK_EQUAL(keys, 0);
    press(ESCAPE, 0);
    CHECK_EQUAL(keys, 1);
    happens(INPUT_KEY, ESCAPE, 0, 0);
    CHECK_EQUAL(keys, 1);
    press(F1 + 3, INPUT_ALT);
    check_shown(3);
    press(F1 + 4, INPUT_ALT); /* there are four */
    check_shown(3);
    happens(INPUT_REL, INPUT_REL_X, 5, 0);
    press(INPUT_BUTTON_LEFT, 0);
    happens(INPUT_KEY, INPUT_BUTTON_LEFT, 0, 0);
    CHECK_EQUAL(pointed, 3);
    end();
}
