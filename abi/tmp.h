/* tmp://, files in memory: volumes for vfsd to mount. A volume's root is tmp:///<id>.
 *
 * Only vfsd may make and end them: it shows a handle to fs://'s port with RIGHT_ACCEPT, which nobody else has.
 */
#pragma once

#include "abi/ops.h"

enum tmp_op {
    TMP_CREATE =
        OP_PROTOCOL, /* args: bytes its files may take (0: half of the memory), mode of its root. send: the port.
                                 value: its id */
    TMP_DESTROY, /* args: id, TMP_LAZY. send: the port. E_BUSY: something in it is open; with LAZY it goes when that is closed */
    TMP_KNOWN,   /* args: id: whether there is such a volume, else E_NOT_FOUND */
};

#define TMP_LAZY 0x1u
