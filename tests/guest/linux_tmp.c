/* Files that are made, changed, moved and removed, in /tmp. Runs on Linux too. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/host/test.h"

#define FOLDER "/tmp/test"
#define PAGE   4096

#define CHECK_ERRNO(call, number)   \
    do {                            \
        errno = 0;                  \
        CHECK((call) == -1);        \
        CHECK_EQUAL(errno, number); \
    } while (0)

static void remove_all(void)
{
    CHECK_EQUAL(chdir("/"), 0);
    CHECK_EQUAL(system("rm -rf " FOLDER), 0);
}

/* Each test begins in an empty folder, and leaves nothing. */
static void begin(void)
{
    remove_all();
    CHECK_EQUAL(mkdir(FOLDER, 0755), 0);
    CHECK_EQUAL(chdir(FOLDER), 0);
}

static int make(const char *name, const char *text)
{
    int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);

    CHECK(fd >= 0);
    CHECK_EQUAL(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    return fd;
}

static void make_closed(const char *name, const char *text)
{
    CHECK_EQUAL(close(make(name, text)), 0);
}

static void check_text(const char *name, const char *text)
{
    char buffer[64] = "";
    int fd = open(name, O_RDONLY);

    CHECK(fd >= 0);
    CHECK_EQUAL(read(fd, buffer, sizeof(buffer) - 1), (ssize_t)strlen(text));
    CHECK(strcmp(buffer, text) == 0);
    CHECK_EQUAL(close(fd), 0);
}

TEST(flags_of_open)
{
    begin();
    CHECK_ERRNO(open("a", O_RDONLY), ENOENT);
    CHECK_ERRNO(open("a/", O_WRONLY | O_CREAT, 0644), EISDIR);
    make_closed("a", "first");
    CHECK_ERRNO(open("a", O_WRONLY | O_CREAT | O_EXCL, 0644), EEXIST);
    CHECK_ERRNO(open("a", O_RDONLY | O_DIRECTORY), ENOTDIR);
    CHECK_ERRNO(open("a/b", O_RDONLY), ENOTDIR);
    CHECK_ERRNO(open(".", O_WRONLY), EISDIR);
    CHECK_ERRNO(open(".", O_RDONLY | O_CREAT, 0644), EISDIR);

    int fd = open("a", O_WRONLY | O_APPEND);
    CHECK(fd >= 0);
    CHECK_EQUAL(lseek(fd, 0, SEEK_SET), 0);
    CHECK_EQUAL(write(fd, "+", 1), 1);
    CHECK_ERRNO(read(fd, &fd, 1), EBADF);
    CHECK_EQUAL(close(fd), 0);
    check_text("a", "first+");
    fd = open("a", O_WRONLY | O_TRUNC);
    CHECK(fd >= 0);
    CHECK_EQUAL(close(fd), 0);
    check_text("a", "");
    remove_all();
}

TEST(modes_and_times)
{
    struct stat stated;
    struct timespec times[2] = {{12, 34}, {56, 78}};

    begin();
    CHECK_EQUAL(umask(027), 022);
    make_closed("a", "1234");
    CHECK_EQUAL(umask(022), 027);
    CHECK_EQUAL(stat("a", &stated), 0);
    CHECK_EQUAL(stated.st_mode, S_IFREG | 0640);
    CHECK_EQUAL(stated.st_size, 4);
    CHECK_EQUAL(stated.st_nlink, 1);
    CHECK_EQUAL(stated.st_blocks, 8);
    CHECK_EQUAL(chmod("a", 0604), 0);
    CHECK_EQUAL(chown("a", 7, 9), 0);
    CHECK_EQUAL(chown("a", -1, 10), 0);
    CHECK_EQUAL(utimensat(AT_FDCWD, "a", times, 0), 0);
    CHECK_EQUAL(stat("a", &stated), 0);
    CHECK_EQUAL(stated.st_mode, S_IFREG | 0604);
    CHECK(stated.st_uid == 7 && stated.st_gid == 10);
    CHECK(stated.st_atim.tv_sec == 12 && stated.st_atim.tv_nsec == 34);
    CHECK(stated.st_mtim.tv_sec == 56 && stated.st_mtim.tv_nsec == 78);
    remove_all();
}

TEST(rename_over)
{
    begin();
    make_closed("a", "a");
    make_closed("b", "b");
    int old = open("b", O_RDONLY);
    CHECK_EQUAL(rename("a", "b"), 0);
    CHECK_ERRNO(access("a", F_OK), ENOENT);
    check_text("b", "a");
    char byte;
    CHECK_EQUAL(read(old, &byte, 1), 1);
    CHECK_EQUAL(byte, 'b');
    CHECK_EQUAL(close(old), 0);
    CHECK_EQUAL(rename("b", "b"), 0);
    CHECK_ERRNO(rename("c", "d"), ENOENT);
    CHECK_EQUAL(mkdir("d", 0755), 0);
    CHECK_ERRNO(rename("b", "d"), EISDIR);
    CHECK_ERRNO(rename("d", "b"), ENOTDIR);
    CHECK_ERRNO(rename("d", "d/e"), EINVAL);
    CHECK_EQUAL(rename("b", "d/b"), 0);
    CHECK_EQUAL(mkdir("e", 0755), 0);
    CHECK_ERRNO(rename("e", "d"), ENOTEMPTY);
    CHECK_EQUAL(rename("d", "e"), 0);
    check_text("e/b", "a");
    CHECK_ERRNO(rename("/tmp", "/tmp/test/x"), EINVAL);
    remove_all();
}

TEST(links)
{
    struct stat stated;

    begin();
    make_closed("a", "a");
    CHECK_EQUAL(link("a", "b"), 0);
    CHECK_ERRNO(link("a", "b"), EEXIST);
    CHECK_ERRNO(link("c", "d"), ENOENT);
    CHECK_ERRNO(link(".", "d"), EPERM);
    CHECK_EQUAL(stat("b", &stated), 0);
    CHECK_EQUAL(stated.st_nlink, 2);
    make_closed("b", "both");
    check_text("a", "both");
    CHECK_EQUAL(unlink("a"), 0);
    check_text("b", "both");
    CHECK_EQUAL(stat("b", &stated), 0);
    CHECK_EQUAL(stated.st_nlink, 1);
    remove_all();
}

TEST(symbolic_links)
{
    char target[64];
    struct stat stated;

    begin();
    make_closed("a", "a");
    CHECK_EQUAL(mkdir("d", 0755), 0);
    CHECK_EQUAL(symlink("../a", "d/up"), 0);
    check_text("d/up", "a");
    CHECK_EQUAL(readlink("d/up", target, sizeof(target)), 4);
    CHECK(memcmp(target, "../a", 4) == 0);
    CHECK_ERRNO(readlink("a", target, sizeof(target)), EINVAL);
    CHECK_EQUAL(lstat("d/up", &stated), 0);
    CHECK(S_ISLNK(stated.st_mode) && stated.st_size == 4);
    CHECK_EQUAL(stat("d/up", &stated), 0);
    CHECK(S_ISREG(stated.st_mode));
    CHECK_ERRNO(open("d/up", O_RDONLY | O_NOFOLLOW), ELOOP);
    CHECK_ERRNO(symlink("x", "d/up"), EEXIST);
    CHECK_EQUAL(symlink(FOLDER "/d", "e"), 0);
    check_text("e/up", "a");
    check_text("e/../a", "a"); /* above where the link leads, not above the link */
    CHECK_EQUAL(symlink("d/../..", "f"), 0);
    CHECK_EQUAL(stat("f/test/a", &stated), 0);
    CHECK_EQUAL(symlink("new", "dangling"), 0);
    CHECK_ERRNO(open("dangling", O_WRONLY | O_CREAT | O_EXCL, 0644), EEXIST);
    make_closed("dangling", "through");
    check_text("new", "through");
    CHECK_EQUAL(symlink("loop", "loop"), 0);
    CHECK_ERRNO(open("loop", O_RDONLY), ELOOP);
    CHECK_ERRNO(stat("loop/x", &stated), ELOOP);
    CHECK_ERRNO(stat("none/../a", &stated), ENOENT);
    CHECK_ERRNO(stat("a/../a", &stated), ENOTDIR);
    CHECK_EQUAL(unlink("e"), 0);
    CHECK_EQUAL(stat("d", &stated), 0);
    remove_all();
}

TEST(unlinked_while_open)
{
    struct stat stated;
    char byte = 0;

    begin();
    int fd = make("a", "still");
    CHECK_EQUAL(unlink("a"), 0);
    CHECK_ERRNO(unlink("a"), ENOENT);
    CHECK_EQUAL(fstat(fd, &stated), 0);
    CHECK_EQUAL(stated.st_nlink, 0);
    make_closed("a", "new");
    CHECK_EQUAL(pread(fd, &byte, 1, 4), 1);
    CHECK_EQUAL(byte, 'l');
    CHECK_EQUAL(pwrite(fd, "!", 1, 5), 1);
    CHECK_EQUAL(close(fd), 0);
    check_text("a", "new");
    remove_all();
}

TEST(directories)
{
    struct stat stated;

    begin();
    CHECK_EQUAL(mkdir("d", 0700), 0);
    CHECK_ERRNO(mkdir("d", 0700), EEXIST);
    CHECK_ERRNO(mkdir("x/y", 0700), ENOENT);
    CHECK_EQUAL(mkdir("d/e", 0700), 0);
    CHECK_EQUAL(stat("d", &stated), 0);
    CHECK_EQUAL(stated.st_nlink, 3);
    CHECK_ERRNO(rmdir("d"), ENOTEMPTY);
    CHECK_ERRNO(unlink("d"), EISDIR);
    make_closed("a", "");
    CHECK_ERRNO(rmdir("a"), ENOTDIR);
    CHECK_ERRNO(rmdir("none"), ENOENT);
    CHECK_EQUAL(rmdir("d/e"), 0);
    CHECK_EQUAL(rmdir("d"), 0);
    remove_all();
}

TEST(long_names)
{
    char name[300];

    begin();
    memset(name, 'n', sizeof(name));
    name[255] = '\0';
    make_closed(name, "longest");
    check_text(name, "longest");
    name[255] = 'n';
    name[256] = '\0';
    CHECK_ERRNO(open(name, O_WRONLY | O_CREAT, 0644), ENAMETOOLONG);
    CHECK_ERRNO(mkdir(name, 0755), ENAMETOOLONG);
    remove_all();
}

#define MANY 10000

static int count_names(DIR *directory, bool remove_each)
{
    const struct dirent *entry;
    int count = 0;

    while ((entry = readdir(directory))) {
        if (entry->d_name[0] == '.')
            continue;
        count++;
        if (remove_each)
            CHECK_EQUAL(unlink(entry->d_name), 0);
    }
    return count;
}

TEST(ten_thousand_names)
{
    char name[16];

    begin();
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0644);
        CHECK(fd >= 0);
        CHECK_EQUAL(close(fd), 0);
    }
    DIR *directory = opendir(".");
    CHECK(directory);
    CHECK_EQUAL(count_names(directory, false), MANY);
    rewinddir(directory);
    CHECK_EQUAL(count_names(directory, true), MANY); /* none is missed, though they go meanwhile */
    rewinddir(directory);
    CHECK_EQUAL(count_names(directory, false), 0);
    CHECK_EQUAL(closedir(directory), 0);
    remove_all();
}

TEST(sizes)
{
    struct stat stated;
    char bytes[16];

    begin();
    int fd = make("a", "0123456789");
    CHECK_EQUAL(ftruncate(fd, 4), 0);
    CHECK_EQUAL(ftruncate(fd, 12), 0);
    CHECK_EQUAL(pread(fd, bytes, sizeof(bytes), 0), 12);
    CHECK(memcmp(bytes, "0123\0\0\0\0\0\0\0", 12) == 0);
    CHECK_EQUAL(truncate("a", 0), 0);
    CHECK_EQUAL(pread(fd, bytes, sizeof(bytes), 0), 0);
    CHECK_ERRNO(truncate(".", 0), EISDIR);
    CHECK_ERRNO(truncate("none", 0), ENOENT);
    /* Nothing is stored of what nobody wrote. */
    CHECK_EQUAL(pwrite(fd, "end", 3, (off_t)1 << 40), 3);
    CHECK_EQUAL(fstat(fd, &stated), 0);
    CHECK_EQUAL(stated.st_size, ((off_t)1 << 40) + 3);
    CHECK_EQUAL(stated.st_blocks, PAGE / 512);
    CHECK_EQUAL(pread(fd, bytes, 8, (off_t)1 << 30), 8);
    CHECK(memcmp(bytes, "\0\0\0\0\0\0\0", 8) == 0);
    CHECK_ERRNO(ftruncate(fd, INT64_MAX), EFBIG);
    CHECK_EQUAL(close(fd), 0);
    remove_all();
}

TEST(mapped_and_read)
{
    char bytes[8];

    begin();
    int fd = make("a", "");
    CHECK_EQUAL(ftruncate(fd, 3 * PAGE), 0);
    char *map = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(map != MAP_FAILED);
    memcpy(map + PAGE, "mapped", 6);
    CHECK_EQUAL(pread(fd, bytes, 6, PAGE), 6);
    CHECK(memcmp(bytes, "mapped", 6) == 0);
    CHECK_EQUAL(pwrite(fd, "written", 7, 2 * PAGE), 7);
    CHECK(memcmp(map + 2 * PAGE, "written", 7) == 0);
    const char *private = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, PAGE);
    CHECK(private != MAP_FAILED);
    CHECK(memcmp(private, "mapped", 6) == 0);
    CHECK_EQUAL(unlink("a"), 0);
    CHECK_EQUAL(close(fd), 0);
    CHECK(memcmp(map + PAGE, "mapped", 6) == 0); /* pages outlive the file */
    CHECK_EQUAL(munmap(map, 3 * PAGE), 0);
    CHECK_EQUAL(munmap((void *)(uintptr_t) private, PAGE), 0);
    fd = open("/etc/passwd", O_RDONLY);
    CHECK_ERRNO((intptr_t)mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, fd, 0), EACCES);
    CHECK_EQUAL(close(fd), 0);
    remove_all();
}

TEST(space_comes_back)
{
    struct statfs before, after;
    static char piece[1 << 20];

    begin();
    CHECK_EQUAL(statfs(".", &before), 0);
    int fd = open("a", O_RDWR | O_CREAT, 0600);
    CHECK_EQUAL(write(fd, piece, sizeof(piece)), (ssize_t)sizeof(piece));
    CHECK_EQUAL(statfs(".", &after), 0);
    CHECK(after.f_bfree + sizeof(piece) / PAGE <= before.f_bfree);
    CHECK_EQUAL(unlink("a"), 0);
    CHECK_EQUAL(close(fd), 0);
    CHECK_EQUAL(statfs(".", &after), 0);
    CHECK(after.f_bfree >= before.f_bfree);
    remove_all();
}
