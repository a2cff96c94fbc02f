/* What PS/2 devices say: scan codes, and a mouse's packets and answers. */
// sources: sbin/kbd/scancode.c sbin/moused/mouse.c
#include "sbin/kbd/scancode.h"
#include "sbin/moused/mouse.h"
#include "tests/host/test.h"

static struct scancode scancode;
static struct scancode_key last;

/* How many keys the bytes complete; `last` is the last of them. */
static unsigned feed(const uint8_t *bytes, size_t count)
{
    unsigned keys = 0;
    for (size_t i = 0; i < count; i++)
        keys += scancode_decode(&scancode, bytes[i], &last);
    return keys;
}

#define FEED(...) feed((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void check_last(uint16_t code, bool down)
{
    CHECK_EQUAL(last.code, code);
    CHECK_EQUAL(last.down, down);
}

TEST(keys)
{
    CHECK_EQUAL(FEED(0x1c), 1);
    check_last(30, true);
    CHECK_EQUAL(FEED(0xf0, 0x1c), 1);
    check_last(30, false);
    CHECK_EQUAL(FEED(0xe0, 0x75), 1);
    check_last(103, true);
    CHECK_EQUAL(FEED(0xe0, 0xf0, 0x75), 1);
    check_last(103, false);
    CHECK_EQUAL(FEED(0x83), 1);
    check_last(65, true);
}

TEST(shifts_nobody_pressed)
{
    CHECK_EQUAL(FEED(0xe0, 0x12, 0xe0, 0x7c), 1); /* Print Screen */
    check_last(99, true);
    CHECK_EQUAL(FEED(0xe0, 0xf0, 0x7c, 0xe0, 0xf0, 0x12), 1);
    check_last(99, false);
}

TEST(pause)
{
    CHECK_EQUAL(FEED(0xe1, 0x14, 0x77), 1);
    check_last(119, true);
    CHECK_EQUAL(FEED(0xe1, 0xf0, 0x14, 0xf0, 0x77), 1);
    check_last(119, false);
    CHECK_EQUAL(FEED(0x1c), 1);
    check_last(30, true);
}

TEST(unknown_codes)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        scancode = (struct scancode){0};
        FEED((uint8_t)byte);
        FEED(0xe0, (uint8_t)byte);
        FEED(0xe1, (uint8_t)byte, (uint8_t)byte, (uint8_t)byte);
    }
    scancode = (struct scancode){0};
    CHECK_EQUAL(FEED(0x1c), 1);
}

/* --- the mouse --- */

static struct mouse mouse;
static int64_t now;

static enum mouse_said says(uint8_t byte)
{
    return mouse_byte(&mouse, byte, now += 1000);
}

/* Answers all that is sent, as a mouse that knows these many of the knocks; how many bytes that were. */
static unsigned set_up(uint8_t id)
{
    unsigned sent = 0, asked = 0;
    int byte;
    mouse_reset(&mouse);
    while ((byte = mouse_send_next(&mouse, now)) >= 0) {
        sent++;
        CHECK(sent < 100);
        enum mouse_said said = says(0xfa);
        if (byte == 0xff) {
            CHECK_EQUAL(said, MOUSE_NOTHING);
            says(0xaa);
            says(0x00);
        } else if (byte == 0xf2) {
            asked++;
            says(id == 4 && asked == 1 ? 3 : id);
        }
    }
    CHECK_EQUAL(mouse.state, MOUSE_STREAMING);
    CHECK_EQUAL(mouse.id, id);
    return sent;
}

TEST(plain_mouse)
{
    set_up(0);
    says(0x09);
    says(5);
    CHECK_EQUAL(says(0), MOUSE_MOVED);
    CHECK_EQUAL(mouse.packet.x, 5);
    CHECK_EQUAL(mouse.packet.buttons, 1);
    says(0x38); /* both negative */
    says(0xff);
    CHECK_EQUAL(says(0xfe), MOUSE_MOVED);
    CHECK_EQUAL(mouse.packet.x, -1);
    CHECK_EQUAL(mouse.packet.y, 2);
    says(0xc8); /* overflow: nobody knows how far */
    says(1);
    CHECK_EQUAL(says(1), MOUSE_MOVED);
    CHECK_EQUAL(mouse.packet.x, 0);
}

TEST(wheels)
{
    set_up(3);
    says(0x08);
    says(0);
    CHECK_EQUAL(says(0), MOUSE_NOTHING);
    CHECK_EQUAL(says(0xff), MOUSE_MOVED);
    CHECK_EQUAL(mouse.packet.wheel, 1);
    set_up(4);
    says(0x08);
    says(0);
    says(0);
    CHECK_EQUAL(says(0x31), MOUSE_MOVED);
    CHECK_EQUAL(mouse.packet.wheel, -1);
    CHECK_EQUAL(mouse.packet.buttons, 0x18);
    says(0x08);
    says(0);
    says(0);
    CHECK_EQUAL(says(0x0f), MOUSE_MOVED);
    CHECK_EQUAL(mouse.packet.wheel, 1);
}

TEST(out_of_step)
{
    set_up(0);
    CHECK_EQUAL(says(0x00), MOUSE_NOTHING); /* cannot be the first */
    says(0x08);
    now += 2 * MOUSE_GAP; /* a byte was lost */
    says(0x08);
    says(1);
    CHECK_EQUAL(says(1), MOUSE_MOVED);
    CHECK_EQUAL(mouse.packet.x, 1);
}

TEST(plugged_in)
{
    set_up(3);
    says(0xaa);
    CHECK_EQUAL(says(0x00), MOUSE_NOTHING);
    CHECK_EQUAL(mouse.state, MOUSE_ASKING);
    CHECK_EQUAL(mouse_send_next(&mouse, now), 0xff);
}

TEST(nobody_answers)
{
    mouse_reset(&mouse);
    CHECK_EQUAL(mouse_send_next(&mouse, now), 0xff);
    CHECK_EQUAL(mouse_send_next(&mouse, now), -1);
    CHECK_EQUAL(mouse_deadline(&mouse), now + MOUSE_PATIENCE);
    CHECK(!mouse_expire(&mouse, now + MOUSE_PATIENCE - 1));
    CHECK_EQUAL(mouse_send_next(&mouse, now), -1);
    for (unsigned i = 1; i < MOUSE_TRIES; i++) {
        CHECK(!mouse_expire(&mouse, now += MOUSE_PATIENCE));
        CHECK_EQUAL(mouse_send_next(&mouse, now), 0xff);
    }
    CHECK(mouse_expire(&mouse, now += MOUSE_PATIENCE));
    CHECK_EQUAL(mouse.state, MOUSE_SILENT);
    CHECK_EQUAL(mouse_send_next(&mouse, now), -1);
    CHECK(!mouse_expire(&mouse, now += MOUSE_PAUSE));
    CHECK_EQUAL(mouse_send_next(&mouse, now), 0xff);
    says(0xfe); /* nonsense */
    CHECK_EQUAL(mouse_send_next(&mouse, now), 0xff);
}

TEST(one_that_was_silent_is_plugged_in)
{
    mouse_reset(&mouse);
    for (unsigned i = 0; i < MOUSE_TRIES; i++) {
        CHECK_EQUAL(mouse_send_next(&mouse, now), 0xff);
        CHECK_EQUAL(mouse_expire(&mouse, now += MOUSE_PATIENCE), i + 1 == MOUSE_TRIES);
    }
    says(0xaa);
    CHECK_EQUAL(mouse_send_next(&mouse, now), 0xff);
}
