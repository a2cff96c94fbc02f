/* Registers of a device, where pci_map has put them: each access that is written is made, once, in that order, and what the
 * driver wrote to memory before it writes to a register is there for the device.
 *
 * On the host a test is the device, and says itself what a read finds and what a write does (register_raw_*).
 */
#pragma once

#include "lib/base/base.h"

#ifdef PROTOS_HOST
uint32_t register_raw_read(const volatile void *base, uint32_t at);
void register_raw_write(volatile void *base, uint32_t at, uint32_t value);
#else
static inline uint32_t register_raw_read(const volatile void *base, uint32_t at)
{
    return *(const volatile uint32_t *)((const volatile uint8_t *)base + at);
}

static inline void register_raw_write(volatile void *base, uint32_t at, uint32_t value)
{
    *(volatile uint32_t *)((volatile uint8_t *)base + at) = value;
}
#endif

/* Registers are not cached, so x86 keeps them in order with memory; the compiler is told to. */
static inline uint32_t register_read(const volatile void *base, uint32_t at)
{
    uint32_t value = register_raw_read(base, at);
    __atomic_signal_fence(__ATOMIC_ACQUIRE);
    return value;
}

static inline void register_write(volatile void *base, uint32_t at, uint32_t value)
{
    __atomic_signal_fence(__ATOMIC_RELEASE);
    register_raw_write(base, at, value);
}

/* 64 bits in two halves, the low one first: all devices take them so, not all take them in one. */
static inline uint64_t register_read64(const volatile void *base, uint32_t at)
{
    uint64_t low = register_read(base, at);
    return low | (uint64_t)register_read(base, at + 4) << 32;
}

static inline void register_write64(volatile void *base, uint32_t at, uint64_t value)
{
    register_write(base, at, (uint32_t)value);
    register_write(base, at + 4, (uint32_t)(value >> 32));
}
