/* log://: what the kernel and the services say.
 *
 *     log:///              all of it, as it was when the file was opened
 *     log:///status, log:///quotas
 *     log:///console       what goes to a console (log= on the command line; else warnings and errors of the kernel), as it comes
 *
 * log:///console is read by sequence numbers: OP_READ's offset is one, and answers lines behind it, whole as far as they fit; values:
 * bytes, the number behind them. It waits while there are none; then SIGNAL_READABLE says that more have come.
 */
#pragma once

#include "abi/ops.h"

enum log_op {
    LOG_END = OP_PROTOCOL, /* log:///console. value: the number behind the newest line */
};
