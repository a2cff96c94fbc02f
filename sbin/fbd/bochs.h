/* The display of QEMU and Bochs ("-vga std", bochs-display; docs/specs/standard-vga.txt of QEMU): PCI 1234:1111, BAR 0 the
 * pixels, BAR 2 registers. By way of pcid. */
#pragma once

#include "lib/sys/syscall.h"
#include "sbin/fbd/framebuffer.h"

/* Claims the display and sets the mode. The claim and the memory of the pixels are the caller's. */
MUST_CHECK int64_t bochs_start(const char *function, uint32_t width, uint32_t height,
                               struct framebuffer *framebuffer, handle_t *claim, handle_t *memory);
