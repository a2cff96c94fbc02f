/* A keyboard and a mouse that say anything. */
// sources: sbin/kbd/scancode.c sbin/moused/mouse.c
#include <stdlib.h>

#include "sbin/kbd/scancode.h"
#include "sbin/moused/mouse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct scancode scancode = {0};
    struct scancode_key key;
    struct mouse mouse;
    int64_t now = 0;
    mouse_reset(&mouse);
    for (size_t i = 0; i < size; i++) {
        if (scancode_decode(&scancode, data[i], &key) && key.code == 0)
            abort();
        int sent = mouse_send_next(&mouse, now);
        if (sent > 0xff)
            abort();
        now += data[i] == 0xee ? 2 * MOUSE_GAP : 1000;
        if (mouse_byte(&mouse, data[i], now) == MOUSE_MOVED && mouse.packet.buttons > 0x1f)
            abort();
        if (mouse_expire(&mouse, now) && mouse.state != MOUSE_SILENT)
            abort();
    }
    return 0;
}
