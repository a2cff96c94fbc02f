/* virtiod: a virtio-blk device (Virtual I/O Device 1.2, 5.2) as a disk of disk://. Started with the function's URI.
 *
 * What is common to all drivers of disks is in lib/disk, what is to those of virtio in lib/virtio. Here: config.c what the device says of itself,
 * request.c requests, driver.c their way and interrupts.
 */
#include <stdio.h>

#include "lib/sys/error.h"
#include "sbin/virtiod/driver.h"

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: virtiod pci:///FUNCTION\n");
        return 2;
    }
    fprintf(stderr, "%s: %s\n", argv[1], error_text(virtiod_serve(argv[1])));
    return 1;
}
