/* The display of QEMU and Bochs ("-vga std", bochs-display; docs/specs/standard-vga.txt of QEMU): PCI 1234:1111, BAR 0 the
 * pixels, BAR 2 registers. By way of pcid. */
#pragma once

#include "abi/fb.h"
#include "lib/sys/syscall.h"

/* Claims the display at this URI and sets the mode. The file that is the claim, the memory of the pixels, and where they
 * begin in it: the caller's. */
MUST_CHECK int64_t bochs_start(const char *uri, uint32_t width, uint32_t height,
                               struct fb_mode *mode, handle_t *claim, handle_t *memory,
                               uint64_t *offset);
