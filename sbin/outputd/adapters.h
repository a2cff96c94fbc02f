/* Which adapters there are, and their names.
 *
 *     a driver opens serial:///<place>/<life> --> attached <--a driver opens it-- left
 *          attached --its last file closes--> left --LEFT_NS--> gone: the terminal is hung up
 *          attached --SERIAL_GONE--> gone
 *
 * A place keeps its number: what is pulled out and plugged in again has the name it had, on a new terminal. Numbers are the lowest that
 * are free; of those whose device is gone only when there are more than PLACES_FIRST. Numbers, and terminals that are not gone, outlive
 * outputd. One thread at a time.
 */
#pragma once

#include "sbin/outputd/adapter.h"

/* Of what is kept with tty://: places, then a key an adapter. */
#define ADAPTER_KEY (UINT64_C(1) << 36)

/* What a predecessor left; port: of tty://. */
void adapters_start(handle_t port);

/* Commands of drivers, on serial://. */
MUST_CHECK int64_t adapters_open(struct command *command);
MUST_CHECK int64_t adapters_write(struct command *command);
MUST_CHECK int64_t adapters_next(struct command *command);
MUST_CHECK int64_t adapters_gone(struct command *command);
void adapters_closed(uint64_t cookie);

/* "usb0"; NULL: there is none. */
struct adapter *adapter_named(const struct command *command);
/* E_IO: the file is one of a terminal that had the name before. */
MUST_CHECK int64_t adapter_open(struct adapter *adapter, struct command *command);

/* As terminal_cancel, terminal_deadline, terminal_expire and terminal_leader_ended, of all of them. */
bool adapters_cancel(uint64_t token);
int64_t adapters_deadline(void);
void adapters_expire(void);
void adapters_leader_ended(int32_t session);

/* The one of this session; NULL: none. */
struct terminal *adapter_of_session(int32_t session);
