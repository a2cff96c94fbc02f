/* The polled serial port of the log: serial.c. */
#pragma once

#include "lib/base/base.h"

void serial_write(const char *text, size_t length); /* '\n' goes out as "\r\n" */
bool serial_present(void);                          /* known after the first write */
