/* Why a process ended, in words; the lines of log:///status. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/sys/syscall.h"
#include "sbin/initd/life.h"

/* status: of abi_process_info. */
void status_describe(uint32_t status, char *text, size_t size);

void status_head(FILE *stream);
void status_line(FILE *stream, const char *name, const char *state, const struct life *life,
                 bool up, int64_t now);

/* The lines of log:///quotas: what the process's account uses. Nothing if that has no limits. */
void status_quotas_head(FILE *stream);
void status_quotas(FILE *stream, const char *name, handle_t process);
