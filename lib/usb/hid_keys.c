/* Tables of codes: see hid_keys.h. */
#include "lib/usb/hid_keys.h"

#include "abi/input.h"

#define BUTTON_MISC 0x100u /* evdev's BTN_0: a button that has no name */

/* Page 7, by usage. */
static const uint8_t keyboard[256] = {
    0,   0,   0,   0,   30,  48,  46,  32,
    18,  33,  34,  35,  23,  36,  37,  38, /* 00: A to L */
    50,  49,  24,  25,  16,  19,  31,  20,
    22,  47,  17,  45,  21,  44,  2,   3, /* 10: M to 2 */
    4,   5,   6,   7,   8,   9,   10,  11,
    28,  1,   14,  15,  57,  12,  13,  26, /* 20: 3 to [ */
    27,  43,  43,  39,  40,  41,  51,  52,
    53,  58,  59,  60,  61,  62,  63,  64, /* 30: ] to F6 */
    65,  66,  67,  68,  87,  88,  99,  70,
    119, 110, 102, 104, 111, 107, 109, 106, /* 40: to Right */
    105, 108, 103, 69,  98,  55,  74,  78,
    96,  79,  80,  81,  75,  76,  77,  71, /* 50: keypad */
    72,  73,  82,  83,  86,  127, 116, 117,
    183, 184, 185, 186, 187, 188, 189, 190, /* 60: to F20 */
    191, 192, 193, 194, 134, 138, 130, 132,
    128, 129, 131, 137, 133, 135, 136, 113, /* 70: to Mute */
    115, 114, 0,   0,   0,   121, 0,   89,
    93,  124, 92,  94,  95,  0,   0,   0, /* 80: Asia's */
    122, 123, 90,  91,  85,  0,   0,   0,
    0,   0,   0,   0,   111, 0,   0,   0, /* 90 */
    0,   0,   0,   0,   0,   0,   0,   0,
    0,   0,   0,   0,   0,   0,   0,   0, /* a0 */
    0,   0,   0,   0,   0,   0,   179, 180,
    0,   0,   0,   0,   0,   0,   0,   0, /* b0 */
    0,   0,   0,   0,   0,   0,   0,   0,
    0,   0,   0,   0,   0,   0,   0,   0, /* c0 */
    0,   0,   0,   0,   0,   0,   0,   0,
    111, 0,   0,   0,   0,   0,   0,   0, /* d0 */
    29,  42,  56,  125, 97,  54,  100, 126,
    164, 166, 165, 163, 161, 115, 114, 113, /* e0: modifiers */
    150, 158, 159, 128, 136, 177, 178, 176,
    142, 152, 173, 140, 0,   0,   0,   0, /* f0 */
};

static const struct {
    uint32_t usage;
    uint16_t code;
} others[] = {
    {HID_USAGE(HID_PAGE_DESKTOP, 0x81), 116},                  /* power */
    {HID_USAGE(HID_PAGE_DESKTOP, 0x82), 142},                  /* sleep */
    {HID_USAGE(HID_PAGE_DESKTOP, 0x83), 143},                  /* wake up */
    {HID_USAGE(HID_PAGE_CONSUMER, 0x30), 116},                 /* power */
    {HID_USAGE(HID_PAGE_CONSUMER, 0x32), 142},                 /* sleep */
    {HID_USAGE(HID_PAGE_CONSUMER, 0x40), 139},                 /* menu */
    {HID_USAGE(HID_PAGE_CONSUMER, 0x6f), 225},                 /* brighter */
    {HID_USAGE(HID_PAGE_CONSUMER, 0x70), 224},                 /* darker */
    {HID_USAGE(HID_PAGE_CONSUMER, 0xb0), 207},                 /* play */
    {HID_USAGE(HID_PAGE_CONSUMER, 0xb1), 119},                 /* pause */
    {HID_USAGE(HID_PAGE_CONSUMER, 0xb2), 167},                 /* record */
    {HID_USAGE(HID_PAGE_CONSUMER, 0xb3), 208},                 /* fast forward */
    {HID_USAGE(HID_PAGE_CONSUMER, 0xb4), 168},                 /* rewind */
    {HID_USAGE(HID_PAGE_CONSUMER, 0xb5), 163},                 /* next */
    {HID_USAGE(HID_PAGE_CONSUMER, 0xb6), 165},                 /* previous */
    {HID_USAGE(HID_PAGE_CONSUMER, 0xb7), 166},                 /* stop */
    {HID_USAGE(HID_PAGE_CONSUMER, 0xb8), 161},                 /* eject */
    {HID_USAGE(HID_PAGE_CONSUMER, 0xcd), 164},                 /* play or pause */
    {HID_USAGE(HID_PAGE_CONSUMER, 0xe2), 113},                 /* mute */
    {HID_USAGE(HID_PAGE_CONSUMER, 0xe9), 115},                 /* louder */
    {HID_USAGE(HID_PAGE_CONSUMER, 0xea), 114},                 /* quieter */
    {HID_USAGE(HID_PAGE_CONSUMER, 0x183), 171},                /* configuration */
    {HID_USAGE(HID_PAGE_CONSUMER, 0x18a), 155},                /* mail */
    {HID_USAGE(HID_PAGE_CONSUMER, 0x192), 140},                /* calculator */
    {HID_USAGE(HID_PAGE_CONSUMER, 0x194), 144},                /* files */
    {HID_USAGE(HID_PAGE_CONSUMER, 0x196), 150},                /* browser */
    {HID_USAGE(HID_PAGE_CONSUMER, 0x221), 217},                /* search */
    {HID_USAGE(HID_PAGE_CONSUMER, 0x223), 172},                /* home page */
    {HID_USAGE(HID_PAGE_CONSUMER, 0x224), 158},                /* back */
    {HID_USAGE(HID_PAGE_CONSUMER, 0x225), 159},                /* forward */
    {HID_USAGE(HID_PAGE_CONSUMER, 0x226), 128},                /* stop loading */
    {HID_USAGE(HID_PAGE_CONSUMER, 0x227), 173},                /* load anew */
    {HID_USAGE(HID_PAGE_CONSUMER, 0x22a), 156},                /* bookmarks */
    {HID_USAGE(HID_PAGE_DIGITIZER, 0x42), INPUT_BUTTON_LEFT},  /* the tip touches */
    {HID_USAGE(HID_PAGE_DIGITIZER, 0x44), INPUT_BUTTON_RIGHT}, /* the barrel's switch */
};

/* The first is the left one; what follows those that have a name are numbered. */
static uint16_t button(uint32_t number)
{
    if (number == 0 || number > 16)
        return 0;
    return (uint16_t)(number <= 8 ? INPUT_BUTTON_LEFT + number - 1 : BUTTON_MISC + number - 1);
}

uint16_t hid_key(uint32_t usage)
{
    uint32_t page = usage >> 16, id = usage & 0xffff;
    if (page == HID_PAGE_KEYBOARD)
        return id < ARRAY_SIZE(keyboard) ? keyboard[id] : 0;
    if (page == HID_PAGE_BUTTONS)
        return button(id);
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        if (others[i].usage == usage)
            return others[i].code;
    return 0;
}
