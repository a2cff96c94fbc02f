/* Holds a device as Linux's programs do while another program runs: exclusive rw|r FILE COMMAND...; what open(2) says otherwise. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: exclusive rw|r FILE COMMAND...\n");
        return 2;
    }
    int mode = strcmp(argv[1], "rw") == 0 ? O_RDWR : O_RDONLY;
    if (open(argv[2], mode | O_EXCL) < 0) {
        printf("%s\n", strerror(errno));
        return 1;
    }
    execvp(argv[3], argv + 3);
    printf("%s: %s\n", argv[3], strerror(errno));
    return 1;
}
