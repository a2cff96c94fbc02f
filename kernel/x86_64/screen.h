/* Text on the boot loader's framebuffer: the log while the system starts, and a panic. screen.c */
#pragma once

#include "kernel/boot.h"

#define SCREEN_FONT_FIRST  0x20u
#define SCREEN_FONT_COUNT  95u
#define SCREEN_FONT_HEIGHT 16u

extern const uint8_t screen_font[SCREEN_FONT_COUNT]
                                [SCREEN_FONT_HEIGHT]; /* tools/font.py; bit 7 is leftmost */

/* Needs device mappings and the heap. Shows what the log holds already. Without a framebuffer: nothing. */
void screen_start(const struct boot_framebuffer *framebuffer);
void screen_write(const char *text, size_t length);
void screen_show_text(void); /* in place of the picture, if that is shown */
void screen_taken(void);     /* nothing is drawn any more but a panic */
void screen_panic(void);     /* from now on in the colours of a panic, on a cleared screen */
