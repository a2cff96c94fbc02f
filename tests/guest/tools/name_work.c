/* Names made, moved and removed, and a file appended to, until a file is there; none of it may fail or be done twice, whoever is killed meanwhile.
 *
 *     name_work DIRECTORY STOP [links]       DIRECTORY: empty. links: hard and symbolic ones, too. Prints "N rounds"
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

/* --- A log: what is in it follows from the round it was begun in. --- */

#define PIECE 3000000u /* bytes, at most: more than a file system takes at once */

static struct {
    int file;
    size_t size;
    unsigned char expected[2 * PIECE], found[2 * PIECE];
} text;

static void text_check(void)
{
    NEED(pread(text.file, text.found, sizeof(text.found), 0) == (ssize_t)text.size);
    NEED(memcmp(text.found, text.expected, text.size) == 0);
}

/* Many short appends and a few long ones, some of which end in the middle of a page. */
static void text_round(unsigned round)
{
    size_t length = round % 64 ? 1 + round % 300 : PIECE - round % 5000;
    if (text.size + length > sizeof(text.expected)) {
        text_check();
        NEED(ftruncate(text.file, 0) == 0);
        text.size = 0;
    }
    for (size_t i = 0; i < length; i++)
        text.expected[text.size + i] = (unsigned char)(round + i * 7);
    NEED(write(text.file, text.expected + text.size, length) == (ssize_t)length);
    text.size += length;
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
    text.file = open("text", O_RDWR | O_CREAT | O_APPEND, 0644);
    NEED(text.file >= 0);
    while (access(argv[2], F_OK) < 0) {
        work_round(argc > 3);
        text_round(rounds++);
    }
    text_check();
    NEED(close(text.file) == 0 && unlink("text") == 0);
    printf("%u rounds\n", rounds);
    return 0;
}
