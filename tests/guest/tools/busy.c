/* Has the CPU whenever nobody else wants it, until it is killed.
 *
 * For machines whose time is counted instructions (QEMU's icount): one that waits for its disk, and for nothing else, is idle,
 * and the time of an idle machine jumps to its next timer, or passes as the host's does. Beside this program it does
 * neither.
 */
#include "lib/sys/syscall.h"
#include "tests/guest/tools/need.h"

int main(void)
{
    NEED(sys_thread_control(HANDLE_SELF, THREAD_WEIGHT, 1, NULL) == 0);
    for (;;)
        __asm__ volatile("");
}
