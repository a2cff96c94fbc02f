/* Names made, moved and removed until a file is there; none of it may fail, whoever is killed meanwhile.
 *
 *     name_work DIRECTORY STOP [links]       DIRECTORY: empty. links: hard and symbolic ones, too. Prints "N rounds"
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/guest/tools/need.h"

static void make(const char *name)
{
    int file = open(name, O_WRONLY | O_CREAT | O_EXCL, 0644);
    NEED(file >= 0);
    NEED(close(file) == 0);
}

static void gone(const char *name)
{
    NEED(access(name, F_OK) < 0 && errno == ENOENT);
}

static void link_round(void)
{
    NEED(link("d/c", "d/other") == 0);
    NEED(symlink("c", "d/link") == 0);
    NEED(unlink("d/other") == 0 && unlink("d/link") == 0);
}

static void work_round(bool links)
{
    NEED(mkdir("d", 0755) == 0);
    make("a");
    make("d/b");
    NEED(rename("a", "d/a, by another name that is long") == 0);
    gone("a");
    NEED(rename("d/b", "d/a, by another name that is long") == 0); /* over what is there */
    NEED(rename("d/a, by another name that is long", "d/c") == 0);
    if (links)
        link_round();
    NEED(unlink("d/c") == 0);
    gone("d/c");
    NEED(rmdir("d") == 0);
}

int main(int argc, char **argv)
{
    unsigned rounds = 0;
    if (argc < 3)
        return 2;
    NEED(chdir(argv[1]) == 0);
    while (access(argv[2], F_OK) < 0) {
        work_round(argc > 3);
        rounds++;
    }
    printf("%u rounds\n", rounds);
    return 0;
}
