/* The states, by what came before:
 *
 *     ---> plain --e0--> extended --code--> a key, plain again
 *           |  \--f0--> release (of plain or extended) --code--> a key, plain again
 *           +--e1--> Pause: 14 77 is a press; e1 f0 14 f0 77 follows at once, and is the release
 */
#include "sbin/kbd/scancode.h"

#define EXTENDED 0xe0
#define PAUSE    0xe1
#define RELEASE  0xf0

#define KEY_PAUSE 119

/* evdev codes by scan code; 0: no key. */
static const uint8_t plain[0x85] = {
    [0x01] = 67, [0x03] = 63, [0x04] = 61,  [0x05] = 59, [0x06] = 60, [0x07] = 88, [0x09] = 68,
    [0x0a] = 66, [0x0b] = 64, [0x0c] = 62,  [0x0d] = 15, [0x0e] = 41, [0x11] = 56, [0x12] = 42,
    [0x13] = 93, [0x14] = 29, [0x15] = 16,  [0x16] = 2,  [0x1a] = 44, [0x1b] = 31, [0x1c] = 30,
    [0x1d] = 17, [0x1e] = 3,  [0x21] = 46,  [0x22] = 45, [0x23] = 32, [0x24] = 18, [0x25] = 5,
    [0x26] = 4,  [0x29] = 57, [0x2a] = 47,  [0x2b] = 33, [0x2c] = 20, [0x2d] = 19, [0x2e] = 6,
    [0x31] = 49, [0x32] = 48, [0x33] = 35,  [0x34] = 34, [0x35] = 21, [0x36] = 7,  [0x3a] = 50,
    [0x3b] = 36, [0x3c] = 22, [0x3d] = 8,   [0x3e] = 9,  [0x41] = 51, [0x42] = 37, [0x43] = 23,
    [0x44] = 24, [0x45] = 11, [0x46] = 10,  [0x49] = 52, [0x4a] = 53, [0x4b] = 38, [0x4c] = 39,
    [0x4d] = 25, [0x4e] = 12, [0x51] = 89,  [0x52] = 40, [0x54] = 26, [0x55] = 13, [0x58] = 58,
    [0x59] = 54, [0x5a] = 28, [0x5b] = 27,  [0x5d] = 43, [0x61] = 86, [0x64] = 92, [0x66] = 14,
    [0x67] = 94, [0x69] = 79, [0x6a] = 124, [0x6b] = 75, [0x6c] = 71, [0x70] = 82, [0x71] = 83,
    [0x72] = 80, [0x73] = 76, [0x74] = 77,  [0x75] = 72, [0x76] = 1,  [0x77] = 69, [0x78] = 87,
    [0x79] = 78, [0x7a] = 81, [0x7b] = 74,  [0x7c] = 55, [0x7d] = 73, [0x7e] = 70, [0x83] = 65,
    [0x84] = 99,
};

/* Behind 0xe0. 12 and 59 are missing on purpose: shifts that no finger pressed. */
static const uint8_t extended[0x80] = {
    [0x11] = 100, [0x14] = 97,  [0x15] = 165, [0x1f] = 125, [0x21] = 114, [0x23] = 113,
    [0x27] = 126, [0x2b] = 140, [0x2f] = 127, [0x32] = 115, [0x34] = 164, [0x37] = 116,
    [0x3a] = 172, [0x3b] = 166, [0x3f] = 142, [0x4a] = 98,  [0x4d] = 163, [0x5a] = 96,
    [0x5e] = 143, [0x69] = 107, [0x6b] = 105, [0x6c] = 102, [0x70] = 110, [0x71] = 111,
    [0x72] = 108, [0x74] = 106, [0x75] = 103, [0x7a] = 109, [0x7c] = 99,  [0x7d] = 104,
    [0x7e] = 119,
};

/* Behind 0xe1, with its code (14) and the one that decides nothing (77). */
static bool decode_pause(struct scancode *scancode, struct scancode_key *key)
{
    if (--scancode->skip)
        return false;
    *key = (struct scancode_key){KEY_PAUSE, !scancode->release};
    *scancode = (struct scancode){0};
    return true;
}

bool scancode_decode(struct scancode *scancode, uint8_t byte, struct scancode_key *key)
{
    if (byte == RELEASE) {
        scancode->release = true;
        return false;
    }
    if (byte == EXTENDED || byte == PAUSE) {
        *scancode = (struct scancode){.prefix = byte, .skip = byte == PAUSE ? 2 : 0};
        return false;
    }
    if (scancode->prefix == PAUSE)
        return decode_pause(scancode, key);

    const uint8_t *table = scancode->prefix == EXTENDED ? extended : plain;
    size_t length = scancode->prefix == EXTENDED ? ARRAY_SIZE(extended) : ARRAY_SIZE(plain);

    uint8_t code = byte < length ? table[byte] : 0;

    if (code)
        *key = (struct scancode_key){code, !scancode->release};
    *scancode = (struct scancode){0};
    return code != 0;
}
