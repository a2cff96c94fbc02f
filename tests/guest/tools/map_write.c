/* A file is mapped to be written to and closed, its file system killed, and the next one finds it written to:
 *
 *     map_write FILE PID TEXT
 *
 * Nobody tells the file system of a write to a mapping: that there is one must outlive it.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/guest/tools/need.h"

#define LENGTH 4096u

int main(int argc, char **argv)
{
    if (argc != 4 || strlen(argv[3]) > LENGTH)
        return 2;
    int file = open(argv[1], O_RDWR);
    NEED(file >= 0);
    char *bytes = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    NEED(bytes != MAP_FAILED);
    NEED(close(file) == 0);
    pid_t pid = atoi(argv[2]);
    NEED(kill(pid, SIGKILL) == 0);
    while (kill(pid, 0) == 0)
        usleep(1000);
    NEED(access(argv[1], F_OK) == 0); /* by the next one */
    memcpy(bytes, argv[3], strlen(argv[3]));
    return 0;
}
