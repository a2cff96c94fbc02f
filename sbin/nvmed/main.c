/* nvmed: the disks of an NVMe controller (NVM Express 1.4), for disk://. Started with the function's URI.
 *
 * What is common to all drivers of disks is in lib/disk. Here, from below: nvme.h the numbers of the specification; queue.c a pair of
 * queues; identify.c, command.c, status.c what is said in them; controller.c the controller; disks.c its namespaces; driver.c requests
 * and interrupts.
 */
#include <stdio.h>

#include "lib/sys/error.h"
#include "sbin/nvmed/driver.h"

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: nvmed pci:///FUNCTION\n");
        return 2;
    }
    fprintf(stderr, "%s: %s\n", argv[1], error_text(nvmed_serve(argv[1])));
    return 1;
}
