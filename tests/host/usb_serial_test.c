/* What serial adapters are told and say: FTDI's chips, and the class CDC-ACM, which QEMU has no device of. */
// sources: sbin/usb.serial/ftdi.c sbin/usb.serial/acm.c lib/usb/descriptor.c
#include "abi/errors.h"
#include "abi/tty.h"
#include "sbin/usb.serial/acm.h"
#include "sbin/usb.serial/ftdi.h"
#include "tests/host/test.h"

#define PACKET 64u

static uint64_t settings_of(uint32_t bauds, uint64_t bits, uint64_t more)
{
    return bauds | bits << SERIAL_BITS_SHIFT | more;
}

/* --- FTDI -------------------------------------------------------------------------------------------------------- */

static const struct ftdi_chip single = {.fast = false, .line = 0};

/* What the device makes of value and index (the part that is no line's): QEMU's reading of them, in bauds. */
static uint32_t speed_read(uint16_t value, uint32_t index)
{
    static const uint8_t eighths[] = {0, 4, 2, 1, 3, 5, 6, 7};
    uint32_t divisor = value & 0x3fff, part = eighths[value >> 14 | (index & 1) << 2];
    if (divisor == 1 && part == 0)
        part = 4;
    if (divisor == 0 && part == 0)
        divisor = 1;
    return (index & 2 ? 120000000 / 10 * 8 : 48000000 / 16 * 8) / (8 * divisor + part);
}

TEST(ftdi_speeds_are_what_was_asked_for)
{
    static const uint32_t speeds[] = {200,    300,    600,     1200,    1800,    2400,    4800,
                                      9600,   19200,  38400,   57600,   115200,  230400,  460800,
                                      500000, 921600, 1000000, 1152000, 1500000, 2000000, 3000000};
    struct ftdi_setup setups[FTDI_REQUESTS];
    for (size_t i = 0; i < ARRAY_SIZE(speeds); i++) {
        CHECK_EQUAL(ftdi_settings(&single, 0, settings_of(speeds[i], 8, 0), setups), FTDI_REQUESTS);
        CHECK_EQUAL(setups[0].request, FTDI_SET_SPEED);
        uint32_t is = speed_read(setups[0].value, setups[0].index);
        CHECK(is >= speeds[i] - speeds[i] / 32 && is <= speeds[i] + speeds[i] / 32);
    }
    CHECK_EQUAL(ftdi_settings(&single, 0, settings_of(9600, 8, 0), setups), FTDI_REQUESTS);
    CHECK_EQUAL(setups[0].value, 0x4138);
    CHECK_EQUAL(setups[0].index, 0);
    CHECK_EQUAL(ftdi_settings(&single, 0, settings_of(921600, 8, 0), setups), FTDI_REQUESTS);
    CHECK_EQUAL(setups[0].value, 0x8003);
    CHECK_EQUAL(ftdi_settings(&single, 0, settings_of(460800, 8, 0), setups), FTDI_REQUESTS);
    CHECK_EQUAL(setups[0].value, 0x4006);
}

TEST(ftdi_refuses_what_it_has_not_got)
{
    static const uint32_t speeds[] = {0, 50, 150, 2500000, 3500000, 4000000, UINT32_MAX};
    struct ftdi_setup setups[FTDI_REQUESTS];
    for (size_t i = 0; i < ARRAY_SIZE(speeds); i++)
        CHECK_EQUAL(ftdi_settings(&single, 0, settings_of(speeds[i], 8, 0), setups),
                    -E_NOT_SUPPORTED);
    CHECK_EQUAL(ftdi_settings(&single, 0, settings_of(9600, 6, 0), setups), -E_NOT_SUPPORTED);
    CHECK_EQUAL(ftdi_settings(&single, 0, settings_of(9600, 5, 0), setups), -E_NOT_SUPPORTED);
}

TEST(ftdi_chips_are_known_by_their_release)
{
    struct ftdi_chip chip;
    CHECK_EQUAL(ftdi_chip(0x0600, 0, &chip), 0); /* 232R */
    CHECK(!chip.fast && chip.line == 0);
    CHECK_EQUAL(ftdi_chip(0x0500, 1, &chip), 0); /* 2232C */
    CHECK(!chip.fast && chip.line == 2);
    CHECK_EQUAL(ftdi_chip(0x0800, 3, &chip), 0); /* 4232H */
    CHECK(chip.fast && chip.line == 4);
    CHECK_EQUAL(ftdi_chip(0x1000, 0, &chip), 0); /* 230X */
    CHECK(!chip.fast && chip.line == 1);
    CHECK_EQUAL(ftdi_chip(0x0701, 0, &chip), -E_NOT_SUPPORTED);
}

/* Two samples of Linux's: 0x20000 turns the fast clock on. */
TEST(ftdi_fast_chips_have_more_speeds)
{
    static const uint32_t speeds[] = {300,     1200,    9600,    115200,  921600,  1500000,
                                      2500000, 3500000, 4000000, 6000000, 8000000, 12000000};
    static const uint32_t none[] = {0, 50, 10000000, 13000000, UINT32_MAX};
    const struct ftdi_chip chip = {.fast = true, .line = 2};
    struct ftdi_setup setups[FTDI_REQUESTS];
    for (size_t i = 0; i < ARRAY_SIZE(speeds); i++) {
        CHECK_EQUAL(ftdi_settings(&chip, 0, settings_of(speeds[i], 8, 0), setups), FTDI_REQUESTS);
        uint32_t is = speed_read(setups[0].value, setups[0].index >> 8);
        CHECK(is >= speeds[i] - speeds[i] / 32 && is <= speeds[i] + speeds[i] / 32);
        CHECK_EQUAL(setups[0].index >> 9 & 1, speeds[i] >= 1200);
    }
    for (size_t i = 0; i < ARRAY_SIZE(none); i++)
        CHECK_EQUAL(ftdi_settings(&chip, 0, settings_of(none[i], 8, 0), setups), -E_NOT_SUPPORTED);
    CHECK_EQUAL(ftdi_settings(&chip, 0, settings_of(9600, 8, 0), setups), FTDI_REQUESTS);
    CHECK_EQUAL(setups[0].value, 0x04e2);
    CHECK_EQUAL(setups[0].index, 0x0202);
    CHECK_EQUAL(ftdi_settings(&chip, 0, settings_of(3000000, 8, 0), setups), FTDI_REQUESTS);
    CHECK_EQUAL(setups[0].value, 0x0004);
    CHECK_EQUAL(setups[0].index, 0x0202);
}

TEST(ftdi_requests_name_the_line)
{
    const struct ftdi_chip second = {.fast = false, .line = 2};
    struct ftdi_setup setups[FTDI_REQUESTS];
    uint64_t settings = settings_of(500000, 8, SERIAL_RTS_CTS | SERIAL_DTR);
    CHECK_EQUAL(ftdi_settings(&second, 0, settings, setups), FTDI_REQUESTS);
    for (size_t i = 0; i < FTDI_REQUESTS; i++)
        CHECK_EQUAL(setups[i].index & 0xff, 2);
    CHECK_EQUAL(setups[2].index, 0x0102);  /* RTS/CTS */
    settings = settings_of(1152000, 8, 0); /* 2 and 5/8: the last bit of its code is in the index */
    CHECK_EQUAL(ftdi_settings(&second, 0, settings, setups), FTDI_REQUESTS);
    CHECK_EQUAL(setups[0].value, 0x4002);
    CHECK_EQUAL(setups[0].index, 0x0102);
    CHECK_EQUAL(ftdi_settings(&single, 0, settings, setups), FTDI_REQUESTS);
    CHECK_EQUAL(setups[0].index, 0x0001);
}

TEST(ftdi_is_told_what_has_changed)
{
    struct ftdi_setup setups[FTDI_REQUESTS];
    uint64_t before = settings_of(9600, 8, SERIAL_DTR | SERIAL_RTS),
             odd = SERIAL_PARITY | SERIAL_ODD;
    CHECK_EQUAL(ftdi_settings(&single, before, before, setups), 0);
    CHECK_EQUAL(ftdi_settings(&single, before, before | SERIAL_BREAK, setups), 1);
    CHECK_EQUAL(setups[0].request, FTDI_SET_FORMAT);
    CHECK_EQUAL(setups[0].value, 0x4008);
    CHECK_EQUAL(ftdi_settings(&single, before, settings_of(9600, 7, odd | SERIAL_STOP_2), setups),
                2);
    CHECK_EQUAL(setups[0].value, 0x1107);
    CHECK_EQUAL(setups[1].request, FTDI_SET_MODEM);
    CHECK_EQUAL(setups[1].value, 0x0300);
    CHECK_EQUAL(ftdi_settings(&single, before, before | SERIAL_PARITY, setups), 1);
    CHECK_EQUAL(setups[0].value, 0x0208);
    CHECK_EQUAL(ftdi_settings(&single, before, before | SERIAL_RTS_CTS, setups), 1);
    CHECK_EQUAL(setups[0].request, FTDI_SET_FLOW);
    CHECK_EQUAL(setups[0].index, 0x0100);
    CHECK_EQUAL(ftdi_settings(&single, before | SERIAL_RTS_CTS, before, setups), 1);
    CHECK_EQUAL(setups[0].index, 0);
    CHECK_EQUAL(ftdi_settings(&single, before, before & ~SERIAL_RTS, setups), 1);
    CHECK_EQUAL(setups[0].value, 0x0301);
}

TEST(ftdi_packets_lose_their_status)
{
    uint32_t lines = UINT32_MAX;
    uint8_t bytes[2 * PACKET + 3];
    uint16_t units[sizeof(bytes)];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)i;
    for (size_t at = 0; at < sizeof(bytes); at += PACKET) {
        bytes[at] = 0xb1; /* CTS, DSR, carrier */
        bytes[at + 1] = 0x60;
    }
    size_t count = ftdi_received(&lines, bytes, sizeof(bytes), PACKET, units);
    CHECK_EQUAL(count, 1 + 2 * (PACKET - 2) + 1);
    CHECK_EQUAL(units[0], SERIAL_LINES | TTY_MODEM_CTS | TTY_MODEM_DSR | TTY_MODEM_CAR);
    CHECK_EQUAL(units[1], 2);
    CHECK_EQUAL(units[PACKET - 2], PACKET - 1);
    CHECK_EQUAL(units[PACKET - 1], PACKET + 2);
    CHECK_EQUAL(units[count - 1], 2 * PACKET + 2);
    CHECK_EQUAL(ftdi_received(&lines, bytes, 2, PACKET, units), 0); /* nothing new */
    CHECK_EQUAL(ftdi_received(&lines, bytes, 1, PACKET, units), 0); /* no packet of its */
    bytes[0] = 0x31;
    CHECK_EQUAL(ftdi_received(&lines, bytes, 2, PACKET, units), 1);
    CHECK_EQUAL(units[0], SERIAL_LINES | TTY_MODEM_CTS | TTY_MODEM_DSR);
}

TEST(ftdi_tells_of_breaks_and_damage)
{
    uint32_t lines = 0;
    uint16_t units[16];
    CHECK_EQUAL(ftdi_received(&lines, (const uint8_t[]){0x01, 0x10}, 2, PACKET, units), 1);
    CHECK_EQUAL(units[0], SERIAL_BROKEN);
    CHECK_EQUAL(ftdi_received(&lines, (const uint8_t[]){0x01, 0x18, 'a', 0, 0}, 5, PACKET, units),
                3);
    CHECK_EQUAL(units[0], SERIAL_BROKEN);
    CHECK_EQUAL(units[1], 'a');
    CHECK_EQUAL(units[2], 0); /* one NUL was the break */
    for (uint8_t error = 2; error <= 8; error *= 2) {
        uint8_t bytes[] = {0x01, error, 'x', 'y'};
        CHECK_EQUAL(ftdi_received(&lines, bytes, sizeof(bytes), PACKET, units), 2);
        CHECK_EQUAL(units[0], SERIAL_DAMAGED | 'x');
        CHECK_EQUAL(units[1], SERIAL_DAMAGED | 'y');
    }
}

/* --- CDC-ACM ------------------------------------------------------------------------------------------------------ */

static const uint8_t modem[] = {
    18, 1,    0,    2,    2,  0, 0,    64,   1,  2, 3, 4,    0, 1,  1, 2,    0, 1, /* the device */
    9,  2,    67,   0,    2,  1, 0,    0xc0, 50, /* its configuration */
    9,  4,    0,    0,    1,  2, 2,    1,    0,  /* communication */
    5,  0x24, 0,    0x10, 1,  5, 0x24, 1,    0,  1, 4, 0x24, 2, 6,  5, 0x24, 6, 0,
    1,  7,    5,    0x82, 3,  8, 0,    255,  9,  4, 1, 0,    2, 10, 0, 0,    0, /* data */
    7,  5,    0x81, 2,    64, 0, 0,    7,    5,  1, 2, 64,   0, 0,
};

TEST(acm_finds_its_other_interface)
{
    struct acm acm;
    CHECK_EQUAL(acm_parse(modem, sizeof(modem), 0, &acm), 0);
    CHECK_EQUAL(acm.data, 1);
    CHECK(acm.codes && acm.breaks);
    CHECK_EQUAL(acm_parse(modem, sizeof(modem), 1, &acm), -E_BAD_FORMAT);
    CHECK_EQUAL(acm_parse(modem, 40, 0, &acm), -E_BAD_FORMAT);
    CHECK_EQUAL(acm_parse(modem, 0, 0, &acm), -E_BAD_FORMAT);
}

TEST(acm_coding_and_lines)
{
    uint8_t coding[ACM_CODING];
    CHECK_EQUAL(acm_coding(settings_of(115200, 8, SERIAL_PARITY), coding), 0);
    CHECK(memcmp(coding, (const uint8_t[]){0x00, 0xc2, 0x01, 0, 0, 2, 8}, ACM_CODING) == 0);
    CHECK_EQUAL(acm_coding(settings_of(300, 5, SERIAL_STOP_2 | SERIAL_PARITY | SERIAL_ODD), coding),
                0);
    CHECK(memcmp(coding, (const uint8_t[]){0x2c, 0x01, 0, 0, 2, 1, 5}, ACM_CODING) == 0);
    CHECK_EQUAL(acm_coding(settings_of(300, 8, SERIAL_RTS_CTS), coding), -E_NOT_SUPPORTED);
    CHECK_EQUAL(acm_lines(SERIAL_DTR), 1);
    CHECK_EQUAL(acm_lines(SERIAL_RTS), 2);
    CHECK_EQUAL(acm_lines(SERIAL_BREAK), 0);
}

static size_t notified(struct acm_notified *state, const uint8_t *bytes, size_t length,
                       size_t packet, uint16_t units[3])
{
    size_t count = 0;
    for (size_t at = 0; at < length; at += packet)
        count += acm_notified(state, bytes + at, MIN(packet, length - at), units);
    return count;
}

TEST(acm_notifications)
{
    static const size_t packets[] = {8, 9, 10, 16, 64};
    uint8_t bytes[] = {0xa1, 0x20, 0, 0, 0, 0, 2, 0, 0x03, 0};
    uint16_t units[3];
    for (size_t i = 0; i < ARRAY_SIZE(packets); i++) {
        struct acm_notified state = {.lines = UINT32_MAX};
        bytes[8] = 0x03;
        CHECK_EQUAL(notified(&state, bytes, sizeof(bytes), packets[i], units), 1);
        CHECK_EQUAL(units[0], SERIAL_LINES | TTY_MODEM_CAR | TTY_MODEM_DSR);
        CHECK_EQUAL(notified(&state, bytes, sizeof(bytes), packets[i], units), 0);
        bytes[8] = 0x7e;
        CHECK_EQUAL(notified(&state, bytes, sizeof(bytes), packets[i], units), 3);
        CHECK_EQUAL(units[0], SERIAL_LINES | TTY_MODEM_DSR | TTY_MODEM_RNG);
        CHECK_EQUAL(units[1], SERIAL_BROKEN);
        CHECK_EQUAL(units[2], SERIAL_DAMAGED);
    }
}

TEST(acm_notifications_that_are_none)
{
    static const uint8_t broken[] = {0xa1, 0x20, 0, 0, 0, 0, 2, 0, 0x04, 0};
    static const uint8_t network[] = {0xa1, 0x00, 0, 0, 0, 0, 0, 0};
    static const uint8_t longer[] = {0xa1, 0x20, 0, 0, 0, 0, 0xff, 0xff, 0x04, 0};
    struct acm_notified state = {.lines = 0};
    uint16_t units[3];
    for (size_t length = 0; length < 8; length++)
        CHECK_EQUAL(acm_notified(&state, broken, length, units), 0);
    CHECK_EQUAL(acm_notified(&state, network, sizeof(network), units), 0);
    CHECK_EQUAL(acm_notified(&state, longer, sizeof(longer), units), 0);
    CHECK_EQUAL(acm_notified(&state, broken + 8, 2, units), 0); /* the end of nothing */
    for (size_t length = 8; length < 10; length++) { /* what is cut off, and then whole */
        CHECK_EQUAL(acm_notified(&state, broken, length, units), 0);
        CHECK_EQUAL(acm_notified(&state, broken, sizeof(broken), units), 1);
        CHECK_EQUAL(units[0], SERIAL_BROKEN);
        CHECK_EQUAL(acm_notified(&state, broken, length, units), 0);
        CHECK_EQUAL(acm_notified(&state, network, sizeof(network), units), 0);
        CHECK_EQUAL(acm_notified(&state, broken + length, 10 - length, units), 0);
    }
}
