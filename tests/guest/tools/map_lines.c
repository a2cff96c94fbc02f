/* A file is mapped to be written to, and closed; then "mapped" is said, and each line of standard input goes to its start, until there are no more:
 *
 *     (echo one; sleep 10; echo two) | map_lines FILE
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/guest/tools/need.h"

#define LENGTH 4096u

int main(int argc, char **argv)
{
    char line[LENGTH];
    if (argc != 2)
        return 2;
    int file = open(argv[1], O_RDWR);
    NEED(file >= 0);
    char *bytes = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    NEED(bytes != MAP_FAILED);
    NEED(close(file) == 0);
    NEED(puts("mapped") >= 0 && fflush(stdout) == 0);
    while (fgets(line, sizeof(line), stdin))
        memcpy(bytes, line, strlen(line));
    return 0;
}
