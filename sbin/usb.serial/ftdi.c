#include "sbin/usb.serial/ftdi.h"

#include "abi/errors.h"
#include "abi/tty.h"

/* Eighths of bauds at divisor 1: 16 samples a bit of 48 MHz, 10 of 120 MHz. The fast clock is not for slow lines. */
#define CLOCK       24000000u
#define CLOCK_FAST  96000000u
#define FAST_LEAST  1200u /* bauds */
#define DIVISOR_MAX 0x3fffu
#define SPEED_FAST  (1u << 17)

#define FORMAT_ODD    (1u << 8)
#define FORMAT_EVEN   (2u << 8)
#define FORMAT_STOP_2 (2u << 11)
#define FORMAT_BREAK  (1u << 14)
#define FLOW_RTS_CTS  (1u << 8) /* in the index, beside the line */
#define MODEM_DTR     0x01u
#define MODEM_RTS     0x02u
#define MODEM_CHANGE  8 /* shifted so far, a bit says which are meant */

#define STATUS 2u /* bytes before a packet's */

/* The first: lines. */
#define STATUS_CTS     0x10u
#define STATUS_DSR     0x20u
#define STATUS_RING    0x40u
#define STATUS_CARRIER 0x80u
/* The second: what went wrong. */
#define STATUS_OVERRUN 0x02u
#define STATUS_PARITY  0x04u
#define STATUS_FRAMING 0x08u
#define STATUS_BREAK   0x10u

/* --- which it is --- */

int64_t ftdi_chip(uint16_t release, uint8_t interface, struct ftdi_chip *chip)
{
    static const struct {
        uint16_t release;
        bool fast, numbered;
    } chips[] = {
        {0x0200, false, false}, /* 8U232AM, and 232BM without a serial number */
        {0x0400, false, false}, /* 232BM */
        {0x0500, false, true},  /* 2232C, 2232D */
        {0x0600, false, false}, /* 232R */
        {0x0700, true, true},   /* 2232H */
        {0x0800, true, true},   /* 4232H */
        {0x0900, true, true},   /* 232H */
        {0x1000, false, true},  /* X: 230X, 231X, 234X */
    };
    for (size_t i = 0; i < ARRAY_SIZE(chips); i++) {
        if (chips[i].release != release)
            continue;
        chip->fast = chips[i].fast;
        chip->line = chips[i].numbered ? (uint8_t)(interface + 1) : 0;
        return 0;
    }
    return -E_NOT_SUPPORTED;
}

/* --- settings --- */

/* The divisor in eighths, rounded; 14 bits of it whole, the eighths by a code of their own, 0 and 1 for the two fastest. What does not fit into the
 * value goes into the index. False: there is none that comes near (3%). */
static bool speed_setup(const struct ftdi_chip *chip, uint32_t bauds, struct ftdi_setup *setup)
{
    static const uint8_t eighths[] = {0, 3, 2, 4, 1, 5, 6, 7};
    bool fast = chip->fast && bauds >= FAST_LEAST;
    uint32_t clock = fast ? CLOCK_FAST : CLOCK;
    uint32_t divisor = bauds ? (clock + bauds / 2) / bauds : 0;
    if (divisor < 8 || divisor >> 3 > DIVISOR_MAX || (divisor > 8 && divisor < 12))
        return false;
    if (divisor > 12 && divisor < 16)
        divisor = 16; /* between 1.5 and 2 there is nothing */
    uint32_t is = clock / divisor, off = is > bauds ? is - bauds : bauds - is;
    if (off > bauds / 32)
        return false;
    uint32_t code = divisor >> 3 | (uint32_t)eighths[divisor & 7] << 14;
    code = divisor == 8 ? 0 : divisor == 12 ? 1 : code;
    code |= fast ? SPEED_FAST : 0;
    *setup = (struct ftdi_setup){FTDI_SET_SPEED, (uint16_t)code,
                                 (uint16_t)(code >> 16 << (chip->line ? 8 : 0))};
    return true;
}

static bool format_setup(uint64_t settings, struct ftdi_setup *setup)
{
    uint32_t bits = (uint32_t)((settings & SERIAL_BITS) >> SERIAL_BITS_SHIFT);
    uint32_t value = bits | (settings & SERIAL_STOP_2 ? FORMAT_STOP_2 : 0) |
                     (settings & SERIAL_BREAK ? FORMAT_BREAK : 0);
    if (settings & SERIAL_PARITY)
        value |= settings & SERIAL_ODD ? FORMAT_ODD : FORMAT_EVEN;
    *setup = (struct ftdi_setup){FTDI_SET_FORMAT, (uint16_t)value, 0};
    return bits == 7 || bits == 8;
}

static struct ftdi_setup modem_setup(uint64_t settings)
{
    uint32_t lines =
        (settings & SERIAL_DTR ? MODEM_DTR : 0) | (settings & SERIAL_RTS ? MODEM_RTS : 0);
    uint32_t both = MODEM_DTR | MODEM_RTS;
    return (struct ftdi_setup){FTDI_SET_MODEM, (uint16_t)(lines | both << MODEM_CHANGE), 0};
}

int64_t ftdi_settings(const struct ftdi_chip *chip, uint64_t before, uint64_t settings,
                      struct ftdi_setup setups[FTDI_REQUESTS])
{
    uint64_t changed = before ? before ^ settings : UINT64_MAX;
    struct ftdi_setup speed, format;
    int64_t count = 0;
    bool possible = speed_setup(chip, (uint32_t)settings, &speed);
    possible &= format_setup(settings, &format);
    if (!possible)
        return -E_NOT_SUPPORTED;
    if ((uint32_t)changed)
        setups[count++] = speed;
    if (changed & (SERIAL_BITS | SERIAL_STOP_2 | SERIAL_PARITY | SERIAL_ODD | SERIAL_BREAK))
        setups[count++] = format;
    if (changed & SERIAL_RTS_CTS)
        setups[count++] =
            (struct ftdi_setup){FTDI_SET_FLOW, 0, settings & SERIAL_RTS_CTS ? FLOW_RTS_CTS : 0};
    if (changed & (SERIAL_DTR | SERIAL_RTS))
        setups[count++] = modem_setup(settings);
    for (int64_t i = 0; i < count; i++)
        setups[i].index |= chip->line;
    return count;
}

/* --- what it receives --- */

static uint32_t lines_of(uint8_t status)
{
    return (status & STATUS_CTS ? TTY_MODEM_CTS : 0) | (status & STATUS_DSR ? TTY_MODEM_DSR : 0) |
           (status & STATUS_RING ? TTY_MODEM_RNG : 0) |
           (status & STATUS_CARRIER ? TTY_MODEM_CAR : 0);
}

/* Which of its bytes are damaged a packet does not say: all may be. A break comes as a NUL, where it comes as a byte. */
static size_t packet_received(uint32_t *lines, const uint8_t *bytes, size_t length, uint16_t *units)
{
    size_t count = 0;
    uint32_t now = lines_of(bytes[0]);
    bool broken = bytes[1] & STATUS_BREAK;
    bool damaged = bytes[1] & (STATUS_PARITY | STATUS_FRAMING | STATUS_OVERRUN) && !broken;
    if (now != *lines)
        units[count++] = (uint16_t)(SERIAL_LINES | now);
    *lines = now;
    if (broken)
        units[count++] = SERIAL_BROKEN;
    for (size_t i = STATUS; i < length; i++) {
        if (broken && bytes[i] == 0)
            broken = false;
        else
            units[count++] = (uint16_t)((damaged ? SERIAL_DAMAGED : SERIAL_RECEIVED) | bytes[i]);
    }
    return count;
}

size_t ftdi_received(uint32_t *lines, const uint8_t *bytes, size_t length, size_t packet,
                     uint16_t *units)
{
    size_t count = 0;
    for (size_t at = 0; at < length; at += packet) {
        size_t size = MIN(packet, length - at);
        if (size >= STATUS) /* what is shorter says nothing */
            count += packet_received(lines, bytes + at, size, units + count);
    }
    return count;
}
