/* A terminal whose line is a driver's: what the driver is told and when, and what the terminal makes of what it brings. */
// sources: sbin/outputd/adapter.c sbin/outputd/terminal.c sbin/outputd/control.c lib/sys/held.c sbin/outputd/line.c
#include "sbin/outputd/adapter.h"

#include "abi/tty.h"
#include "sbin/outputd/control.h"
#include "tests/host/fake_session.h"
#include "tests/host/test.h"

#define ANSWERS 16u

static struct adapter adapter;
static struct adapter_kept kept;
static uint16_t units[512]; /* what a write brings */
static uint32_t modem_argument, hang_ups;
static uint64_t next_token, last_settings;
static bool begun;
static struct {
    uint64_t token, value;
    int64_t status;
    struct {
        struct serial_order order;
        char bytes[1024];
    } data;
} answers[ANSWERS]; /* the last of them */
static uint32_t answer_count;

/* --- What is around it ------------------------------------------------------------------------------------------ */

int64_t syscall_raw(uint32_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
                    uint64_t f)
{
    (void)a, (void)b, (void)f;
    if (number == 0x2c) /* cmd_read */
        memcpy((void *)d, (const char *)units + c, e);
    return number == 0x2c ? (int64_t)e : 0;
}

void command_return(handle_t port, uint64_t token, int64_t status, struct abi_return *reply)
{
    uint32_t at = answer_count++ % ANSWERS;
    (void)port;
    answers[at].token = token;
    answers[at].status = status;
    answers[at].value = reply->values[0];
    if (reply->data_length) {
        CHECK(reply->data_length <= sizeof(answers[at].data));
        memcpy(&answers[at].data, (const void *)reply->data, reply->data_length);
        last_settings = answers[at].data.order.settings;
    }
}

int64_t command_read_exactly(const struct command *command, void *buffer, size_t length)
{
    (void)command;
    CHECK_EQUAL(length, sizeof(modem_argument));
    memcpy(buffer, &modem_argument, length);
    return 0;
}

void session_signal(int32_t pgid, int signal)
{
    hang_ups += pgid && signal == 1;
}

/* --- Both ends --------------------------------------------------------------------------------------------------- */

static void begin(void)
{
    if (begun)
        adapter_leave(&adapter); /* what the test before left waiting */
    begun = true;
    memset(&kept, 0, sizeof(kept));
    adapter_init(&adapter, 1, &kept);
    adapter_begin(&adapter, 1);
    answer_count = hang_ups = 0;
    last_settings = 0;
}

static struct tty_attributes *attributes(void)
{
    return &adapter.terminal.line->attributes;
}

/* The driver asks; the answer's number, or -1: it waits. */
static int next(uint64_t sent, uint64_t in_force, uint64_t impossible)
{
    uint32_t before = answer_count;
    struct command command = {
        .message = {.token = ++next_token,
                    .args = {sent, in_force, impossible},
                    .out_length = sizeof(answers[0].data)},
    };
    CHECK_EQUAL(adapter_next(&adapter, &command), COMMAND_HELD);
    return answer_count > before ? (int)before % (int)ANSWERS : -1;
}

/* What the driver was told last. */
static uint64_t told(void)
{
    CHECK(last_settings);
    return last_settings;
}

/* The driver brings the first `count` of units; how many were taken, or -1: it waits. */
static int64_t bring(uint64_t first, size_t count)
{
    uint32_t before = answer_count;
    struct command command = {
        .message = {.token = ++next_token, .args = {first * 2}, .in_length = count * 2},
        .in_length = count * 2,
    };
    CHECK_EQUAL(adapter_receive(&adapter, &command), COMMAND_HELD);
    return answer_count > before ? (int64_t)answers[before % ANSWERS].value / 2 : -1;
}

static int64_t bring_text(uint64_t first, const char *text)
{
    for (size_t i = 0; text[i]; i++)
        units[i] = (uint8_t)text[i];
    return bring(first, strlen(text));
}

static void write_text(const char *text)
{
    struct command command = {
        .data = (const uint8_t *)text, .data_length = strlen(text), .in_length = strlen(text)};
    CHECK_EQUAL(terminal_write(&adapter.terminal, &command), 0);
    CHECK_EQUAL(command.reply.values[0], strlen(text));
}

static const char *read_text(void)
{
    static char text[4097];
    bool end;
    size_t count = line_read(adapter.terminal.line, (uint8_t *)text, sizeof(text) - 1, &end);
    text[count] = '\0';
    terminal_changed(&adapter.terminal);
    return text;
}

static void control_set(uint32_t control)
{
    attributes()->control = control;
    terminal_changed(&adapter.terminal);
}

/* --- Tests ------------------------------------------------------------------------------------------------------- */

TEST(output_is_the_terminals_until_it_is_sent)
{
    begin();
    write_text("hello");
    int first = next(0, 0, 0);
    CHECK(first >= 0);
    uint64_t settings = told();
    CHECK_EQUAL((uint32_t)settings, 115200);
    CHECK(settings & SERIAL_DTR && settings & SERIAL_RTS && !(settings & SERIAL_BREAK));
    CHECK_EQUAL(answers[first].data.order.at, 0);
    CHECK_EQUAL(answers[first].value, sizeof(struct serial_order) + 5);
    CHECK(memcmp(answers[first].data.bytes, "hello", 5) == 0);
    CHECK_EQUAL(line_output_pending(adapter.terminal.line), 5);
    adapter_begin(&adapter, 2); /* that driver died: the next is given it again */
    int again = next(0, settings, 0);
    CHECK(again >= 0 && memcmp(answers[again].data.bytes, "hello", 5) == 0);
    again = next(2, settings, 0);
    CHECK(again >= 0 && answers[again].data.order.at == 2);
    CHECK(memcmp(answers[again].data.bytes, "llo", 3) == 0);
    CHECK_EQUAL(next(5, settings, 0), -1);
    CHECK_EQUAL(line_output_pending(adapter.terminal.line), 0);
    CHECK_EQUAL(next(99, settings, 0), -1); /* more than there ever was */
    write_text("!");
    CHECK_EQUAL(line_output_pending(adapter.terminal.line), 1);
}

TEST(stopped_output_waits)
{
    begin();
    next(0, 0, 0);
    uint64_t settings = told();
    adapter.terminal.line->stopped = true;
    write_text("x");
    CHECK_EQUAL(next(0, settings, 0), -1);
    uint32_t before = answer_count;
    adapter.terminal.line->stopped = false;
    terminal_changed(&adapter.terminal);
    CHECK_EQUAL(answer_count, before + 1);
}

TEST(settings_follow_termios)
{
    begin();
    next(0, 0, 0);
    uint64_t settings = told();
    CHECK_EQUAL(next(0, settings, 0), -1);
    control_set(0x000d | 0x20 | LINE_CSTOPB | LINE_PARENB | LINE_PARODD | (uint32_t)LINE_CRTSCTS);
    settings = told();
    CHECK_EQUAL((uint32_t)settings, 9600);
    CHECK_EQUAL((settings & SERIAL_BITS) >> SERIAL_BITS_SHIFT, 7);
    CHECK(settings & SERIAL_STOP_2 && settings & SERIAL_PARITY && settings & SERIAL_ODD &&
          settings & SERIAL_RTS_CTS);
    CHECK_EQUAL(next(0, settings, 0), -1);
    control_set(LINE_CSIZE); /* B0: hangs up, at the speed it has */
    settings = told();
    CHECK_EQUAL((uint32_t)settings, 9600);
    CHECK(!(settings & (SERIAL_DTR | SERIAL_RTS)));
    CHECK_EQUAL(next(0, settings, 0), -1);
    control_set(0x100f | LINE_CSIZE);
    CHECK_EQUAL((uint32_t)told(), 4000000);
    CHECK(told() & SERIAL_DTR);
}

TEST(what_the_device_has_not_got_is_taken_back)
{
    begin();
    uint32_t good = attributes()->control;
    next(0, 0, 0);
    uint64_t settings = told();
    CHECK_EQUAL(next(0, settings, 0), -1);
    control_set(0x0001 | LINE_CSIZE); /* 50 */
    uint64_t wanted = told();
    CHECK_EQUAL((uint32_t)wanted, 50);
    CHECK_EQUAL(next(0, settings, wanted), -1); /* not told again and again */
    CHECK_EQUAL(attributes()->control, good);
}

TEST(breaks_and_lines)
{
    uint32_t wanted = TTY_MODEM_RTS;
    struct command set = {.message = {.args = {TTY_MODEM_SET}}},
                   get = {.message = {.args = {TTY_MODEM_GET}}};
    begin();
    next(0, 0, 0);
    CHECK_EQUAL(next(0, told(), 0), -1);
    modem_argument = wanted;
    CHECK_EQUAL(terminal_control(&adapter.terminal, &set), 0);
    CHECK(told() & SERIAL_RTS && !(told() & SERIAL_DTR));
    units[0] = SERIAL_LINES | TTY_MODEM_CTS | TTY_MODEM_CAR;
    CHECK_EQUAL(bring(0, 1), 1);
    CHECK_EQUAL(terminal_control(&adapter.terminal, &get), 0);
    CHECK_EQUAL(get.reply.values[0], TTY_MODEM_RTS | TTY_MODEM_CTS | TTY_MODEM_CAR);
    CHECK_EQUAL(next(0, told(), 0), -1);
    struct command on = {.message = {.args = {TTY_BREAK_ON}}};
    CHECK_EQUAL(terminal_control(&adapter.terminal, &on), 0);
    CHECK(told() & SERIAL_BREAK);
}

TEST(the_carriers_fall_hangs_up)
{
    begin();
    adapter.terminal.session = 7;
    adapter.terminal.foreground = 8;
    units[0] = SERIAL_LINES; /* none there was is none that falls */
    CHECK_EQUAL(bring(0, 1), 1);
    CHECK_EQUAL(hang_ups, 0);
    units[0] = SERIAL_LINES | TTY_MODEM_CAR;
    units[1] = SERIAL_LINES;
    attributes()->control |= LINE_CLOCAL;
    CHECK_EQUAL(bring(1, 2), 2);
    CHECK_EQUAL(hang_ups, 0);
    attributes()->control &= ~(uint32_t)LINE_CLOCAL;
    CHECK_EQUAL(bring(3, 2), 2);
    CHECK(hang_ups > 0);
}

TEST(what_comes_twice_counts_once)
{
    begin();
    CHECK_EQUAL(bring_text(0, "ab"), 2);
    CHECK_EQUAL(bring_text(0, "abc"), 3);
    CHECK_EQUAL(bring_text(2, "cd\n"), 3);
    CHECK_STRING(read_text(), "abcd\n");
    adapter_begin(&adapter, 2); /* another driver numbers anew */
    CHECK_EQUAL(bring_text(0, "e\n"), 2);
    CHECK_STRING(read_text(), "e\n");
}

TEST(input_waits_for_room)
{
    begin();
    attributes()->local &= ~(uint32_t)(LINE_ICANON | LINE_ECHO);
    uint64_t first = 0;
    int64_t taken;
    memset(units, 0, sizeof(units));
    while ((taken = bring(first, 512)) > 0)
        first += (uint64_t)taken;
    CHECK_EQUAL(taken, -1);
    CHECK_EQUAL(first, line_pending(adapter.terminal.line));
    uint32_t before = answer_count;
    CHECK_EQUAL(read_text()[0], '\0');
    CHECK_EQUAL(answer_count, before + 1);
    CHECK(line_pending(adapter.terminal.line) > 0);
}

TEST(damage_and_breaks_are_marked)
{
    static const uint16_t bad[] = {'a', SERIAL_DAMAGED | 'b', SERIAL_BROKEN, 'c'};
    begin();
    attributes()->local &= ~(uint32_t)(LINE_ICANON | LINE_ECHO);
    attributes()->input |= LINE_PARMRK | LINE_INPCK;
    memcpy(units, bad, sizeof(bad));
    CHECK_EQUAL(bring(0, 4), 4);
    char text[8];
    bool end;
    CHECK_EQUAL(line_read(adapter.terminal.line, (uint8_t *)text, sizeof(text), &end), 8);
    CHECK(memcmp(text, "a\377\0b\377\0\0c", 8) == 0);
}

TEST(who_leaves_is_told)
{
    begin();
    next(0, 0, 0);
    CHECK_EQUAL(next(0, told(), 0), -1);
    uint64_t token = next_token;
    CHECK(adapter_cancel(&adapter, token));
    CHECK_EQUAL(answers[(answer_count - 1) % ANSWERS].status, -E_INTERRUPTED);
    CHECK(!adapter_cancel(&adapter, token));
    CHECK_EQUAL(next(0, told(), 0), -1);
    adapter_leave(&adapter);
    CHECK_EQUAL(answers[(answer_count - 1) % ANSWERS].status, -E_CLOSED);
}
