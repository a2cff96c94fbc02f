/* mount(2) and umount2(2) as they are, without busybox's loop devices: mounting SOURCE POINT TYPE [OPTIONS], mounting -u [-l | -f] POINT. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

static int ended(int result)
{
    if (result < 0)
        printf("%s\n", strerror(errno));
    return result < 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "-u") == 0)
        return ended(umount(argv[2]));
    if (argc == 4 && strcmp(argv[1], "-u") == 0 && strcmp(argv[2], "-l") == 0)
        return ended(umount2(argv[3], MNT_DETACH));
    if (argc == 4 && strcmp(argv[1], "-u") == 0 && strcmp(argv[2], "-f") == 0)
        return ended(umount2(argv[3], MNT_FORCE));
    if (argc == 4 || argc == 5)
        return ended(mount(argv[1], argv[2], argv[3], 0, argc == 5 ? argv[4] : ""));
    fprintf(stderr, "usage: mounting SOURCE POINT TYPE [OPTIONS] | mounting -u [-l | -f] POINT\n");
    return 2;
}
