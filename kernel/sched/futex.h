/* Futexes: sleep while a word of memory has a value. See futex.c. */
#pragma once

#include "lib/base/address.h"

void futex_init(void);
/* Wakes everybody on the word, whether they wait by memory or by address (thread exit). */
void futex_wake_all(uaddr_t address);
