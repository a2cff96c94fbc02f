/* Print the system's counters, one `name value` a line: scenarios compare them before and after. */
#include <inttypes.h>
#include <stdio.h>

#include "lib/sys/syscall.h"

int main(void)
{
    struct abi_system_info info;
    int64_t result = sys_system_info(&info, sizeof(info));
    if (result < 0) {
        printf("system_info: error %" PRId64 "\n", -result);
        return 1;
    }
    printf("frames_total %" PRIu64 "\nframes_free %" PRIu64 "\nframes_kept %" PRIu64
           "\nhandles %" PRIu64 "\ncommands %" PRIu64 "\nbindings %" PRIu64
           "\nkernel_bytes %" PRIu64 "\npage_faults %" PRIu64 "\n",
           info.frames_total, info.frames_free, info.frames_kept, info.handles, info.commands,
           info.bindings, info.kernel_bytes, info.page_faults);
    for (unsigned type = 0; type < sizeof(info.objects) / sizeof(info.objects[0]); type++)
        printf("objects_%u %" PRIu64 "\n", type, info.objects[type]);
    return 0;
}
