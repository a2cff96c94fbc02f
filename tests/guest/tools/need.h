/* What must be so, or the tool ends and says why. */
#pragma once

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NEED(condition)                                      \
    do {                                                     \
        if (!(condition)) {                                  \
            printf("%s: %s\n", #condition, strerror(errno)); \
            exit(1);                                         \
        }                                                    \
    } while (0)
