#include "sbin/usb.serial/ftdi.h"

#include "abi/errors.h"
#include "abi/tty.h"

#define CLOCK       24000000u /* eighths of bauds at divisor 1 */
#define DIVISOR_MAX 0x3fffu

#define FORMAT_ODD    (1u << 8)
#define FORMAT_EVEN   (2u << 8)
#define FORMAT_STOP_2 (2u << 11)
#define FORMAT_BREAK  (1u << 14)
#define FLOW_RTS_CTS  (1u << 8) /* in the index */
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

/* --- settings --- */

/* The divisor in eighths, rounded; 14 bits of it whole, the eighths by a code of their own, 0 and 1 for the two fastest. False: there
 * is none that comes near (3%). */
static bool speed_setup(uint32_t bauds, struct ftdi_setup *setup)
{
    static const uint8_t eighths[] = {0, 3, 2, 4, 1, 5, 6, 7};
    uint32_t divisor = bauds ? (CLOCK + bauds / 2) / bauds : 0;
    if (divisor < 8 || divisor >> 3 > DIVISOR_MAX || (divisor > 8 && divisor < 12))
        return false;
    if (divisor > 12 && divisor < 16)
        divisor = 16; /* between 1.5 and 2 there is nothing */
    uint32_t is = CLOCK / divisor, off = is > bauds ? is - bauds : bauds - is;
    if (off > bauds / 32)
        return false;
    uint32_t code = divisor >> 3 | (uint32_t)eighths[divisor & 7] << 14;
    code = divisor == 8 ? 0 : divisor == 12 ? 1 : code;
    *setup = (struct ftdi_setup){FTDI_SET_SPEED, (uint16_t)code, (uint16_t)(code >> 16)};
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

int64_t ftdi_settings(uint64_t before, uint64_t settings, struct ftdi_setup setups[FTDI_REQUESTS])
{
    uint64_t changed = before ? before ^ settings : UINT64_MAX;
    struct ftdi_setup speed, format;
    int64_t count = 0;
    bool possible = speed_setup((uint32_t)settings, &speed);
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
