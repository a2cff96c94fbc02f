/* Addresses that must not be mixed up: physical ones, and those a program named. */
#pragma once

#include "lib/base/base.h"

typedef struct {
    uint64_t value;
} paddr_t;

typedef struct {
    uint64_t value;
} uaddr_t;

#define PADDR(v) ((paddr_t){(v)})
#define UADDR(v) ((uaddr_t){(v)})
