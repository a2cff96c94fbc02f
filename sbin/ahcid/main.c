/* ahcid: the disks at an AHCI adapter (Serial ATA AHCI 1.3.1), for disk://. Started with the function's URI.
 *
 * What is common to all drivers of disks is in lib/disk. Here, from below: ahci.h the numbers of the specification; ata.c what is said to
 * disks; command.c, slots.c what an adapter is given to do; port.c a port, with everything that can happen to it; adapter.c all of them;
 * driver.c requests and interrupts.
 */
#include <stdio.h>

#include "lib/sys/error.h"
#include "sbin/ahcid/driver.h"

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: ahcid pci:///FUNCTION\n");
        return 2;
    }
    fprintf(stderr, "%s: %s\n", argv[1], error_text(ahcid_serve(argv[1])));
    return 1;
}
