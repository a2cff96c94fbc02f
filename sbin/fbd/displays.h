/* The framebuffers of this machine, and the displays that show them.
 *
 *     displays_start(port)              from before, from the loader, or found by way of pcid; how many framebuffers
 *     displays_at(index), displays_memory(index)
 *     displays_damage(index, &rectangle)
 *     displays_notified(key)            the port was notified with it
 *
 * The loader's framebuffer is handed over as "framebuffer" with its layout in PROTOS_FRAMEBUFFER; the device behind it is left
 * alone: of what the firmware can draw on, only a virtio-gpu that is no VGA has no framebuffer of the loader's, and is used beside it.
 *
 * A display of our own stays claimed, with its memory, as long as the port keeps both. A fbd that comes back finds what it
 * shows unchanged: Bochs' shows its memory by itself, a virtio-gpu is reset and given the same memory again.
 */
#pragma once

#include "lib/sys/syscall.h"
#include "sbin/fbd/framebuffer.h"
#include "sbin/fbd/gpu.h"

MUST_CHECK uint32_t displays_start(handle_t port);
const struct framebuffer *displays_at(uint32_t index);
handle_t displays_memory(uint32_t index);
void displays_damage(uint32_t index, const struct gpu_rectangle *rectangle);
void displays_notified(uint64_t key);
