/* Files as Linux programs see them. Runs on Linux too, against the folder in which it is started (PROTOS_FILES). */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/host/test.h"

#define FILE_NAME "/etc/passwd" /* on both systems, longer than a few bytes */

#define CHECK_ERRNO(call, number)   \
    do {                            \
        errno = 0;                  \
        CHECK((call) == -1);        \
        CHECK_EQUAL(errno, number); \
    } while (0)

static int file_open(void)
{
    int fd = open(FILE_NAME, O_RDONLY);

    CHECK(fd >= 0);
    return fd;
}

TEST(read_at_the_position)
{
    int fd = file_open();
    char first[8], again[8];

    CHECK_EQUAL(read(fd, first, 8), 8);
    CHECK_EQUAL(lseek(fd, 0, SEEK_CUR), 8);
    CHECK_EQUAL(lseek(fd, 0, SEEK_SET), 0);
    CHECK_EQUAL(pread(fd, again, 4, 4), 4);
    CHECK(memcmp(again, first + 4, 4) == 0);
    CHECK_EQUAL(lseek(fd, 0, SEEK_CUR), 0);
    CHECK_EQUAL(read(fd, again, 8), 8);
    CHECK(memcmp(first, again, 8) == 0);
    CHECK_EQUAL(close(fd), 0);
}

TEST(read_to_the_end)
{
    int fd = file_open();
    struct stat stat;
    char byte;

    CHECK_EQUAL(fstat(fd, &stat), 0);
    CHECK(S_ISREG(stat.st_mode));
    CHECK_EQUAL(lseek(fd, 0, SEEK_END), stat.st_size);
    CHECK_EQUAL(read(fd, &byte, 1), 0);
    CHECK_EQUAL(lseek(fd, -1, SEEK_END), stat.st_size - 1);
    CHECK_EQUAL(read(fd, &byte, 1), 1);
    CHECK_EQUAL(close(fd), 0);
}

TEST(vectors)
{
    int fd = file_open();
    char plain[10], a[3], b[7];
    struct iovec vector[3] = {{a, sizeof(a)}, {NULL, 0}, {b, sizeof(b)}};

    CHECK_EQUAL(pread(fd, plain, sizeof(plain), 0), 10);
    CHECK_EQUAL(readv(fd, vector, 3), 10);
    CHECK(memcmp(plain, a, 3) == 0 && memcmp(plain + 3, b, 7) == 0);
    CHECK_ERRNO(readv(fd, vector, -1), EINVAL);
    vector[0].iov_len = SIZE_MAX;
    CHECK_ERRNO(readv(fd, vector, 1), EINVAL);
    CHECK_EQUAL(close(fd), 0);
}

TEST(errors_of_open)
{
    CHECK_ERRNO(open("/no/such/file", O_RDONLY), ENOENT);
    CHECK_ERRNO(open("", O_RDONLY), ENOENT);
    CHECK_ERRNO(open(FILE_NAME "/x", O_RDONLY), ENOTDIR);
    CHECK_ERRNO(open(FILE_NAME, O_RDONLY | O_DIRECTORY), ENOTDIR);
    CHECK_ERRNO(open((const char *)8, O_RDONLY), EFAULT);
    CHECK_ERRNO(open((const char *)UINT64_C(0xffff800000000000), O_RDONLY), EFAULT);
    char name[5000];
    memset(name, 'a', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    CHECK_ERRNO(open(name, O_RDONLY), ENAMETOOLONG);
}

TEST(errors_of_descriptors)
{
    int fd = file_open();
    char byte;

    CHECK_ERRNO(read(-1, &byte, 1), EBADF);
    CHECK_ERRNO(read(999, &byte, 1), EBADF);
    CHECK_ERRNO(write(fd, "x", 1), EBADF);
    CHECK_ERRNO(lseek(fd, -1, SEEK_SET), EINVAL);
    CHECK_ERRNO(lseek(fd, 0, 99), EINVAL);
    CHECK_ERRNO(read(fd, (void *)8, 16), EFAULT);
    CHECK_ERRNO(ioctl(fd, TIOCGWINSZ, &byte), ENOTTY);
    CHECK_EQUAL(close(fd), 0);
    CHECK_ERRNO(close(fd), EBADF);
    CHECK_ERRNO(dup(fd), EBADF);
    CHECK_ERRNO(dup2(fd, 20), EBADF);
    CHECK_ERRNO(fcntl(fd, F_GETFD), EBADF);
}

TEST(duplicates_share_the_position)
{
    int fd = file_open();
    int copy = dup(fd);

    CHECK(copy > fd);
    CHECK_EQUAL(lseek(fd, 5, SEEK_SET), 5);
    CHECK_EQUAL(lseek(copy, 0, SEEK_CUR), 5);
    CHECK_EQUAL(close(fd), 0);
    CHECK_EQUAL(lseek(copy, 0, SEEK_CUR), 5);
    CHECK_EQUAL(dup2(copy, 50), 50);
    CHECK_EQUAL(dup2(50, 50), 50);
    CHECK_EQUAL(lseek(50, 0, SEEK_CUR), 5);
    CHECK_EQUAL(close(copy), 0);
    CHECK_EQUAL(close(50), 0);
}

TEST(lowest_descriptor_is_taken)
{
    int a = file_open(), b = file_open(), c;

    CHECK_EQUAL(close(a), 0);
    c = file_open();
    CHECK_EQUAL(c, a);
    CHECK_EQUAL(fcntl(b, F_DUPFD, 40), 40);
    CHECK_EQUAL(fcntl(b, F_DUPFD_CLOEXEC, 40), 41);
    CHECK_EQUAL(fcntl(40, F_GETFD), 0);
    CHECK_EQUAL(fcntl(41, F_GETFD), FD_CLOEXEC);
    CHECK_EQUAL(fcntl(41, F_SETFD, 0), 0);
    CHECK_EQUAL(fcntl(41, F_GETFD), 0);
    CHECK_EQUAL(fcntl(41, F_GETFL) & O_ACCMODE, O_RDONLY);
    close(b), close(c), close(40), close(41);
}

/* More than any first table has. */
TEST(many_descriptors)
{
    int fd = file_open(), last = fd;

    for (int i = 0; i < 500; i++) {
        last = dup(fd);
        CHECK(last > fd);
    }
    for (int i = fd; i <= last; i++)
        CHECK_EQUAL(close(i), 0);
}

TEST(directories)
{
    DIR *directory = opendir("/etc");
    struct dirent *entry;
    int dots = 0, found = 0, count = 0;

    CHECK(directory);
    while ((entry = readdir(directory))) {
        dots += strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
        found += strcmp(entry->d_name, "passwd") == 0;
        count++;
    }
    CHECK_EQUAL(dots, 2);
    CHECK_EQUAL(found, 1);
    rewinddir(directory);
    while (readdir(directory))
        count--;
    CHECK_EQUAL(count, 0);
    CHECK_EQUAL(closedir(directory), 0);
    int fd = file_open();
    char buffer[64];
    CHECK_EQUAL(getdents(fd, (struct dirent *)buffer, sizeof(buffer)), -1);
    CHECK_EQUAL(errno, ENOTDIR);
    CHECK_EQUAL(close(fd), 0);
}

TEST(working_directory)
{
    char before[4096], name[4096];
    int etc = open("/etc", O_RDONLY | O_DIRECTORY), fd;

    CHECK(etc >= 0);
    CHECK(getcwd(before, sizeof(before)));
    CHECK_EQUAL(chdir("/etc"), 0);
    CHECK_STRING(getcwd(name, sizeof(name)), "/etc");
    fd = open("passwd", O_RDONLY);
    CHECK(fd >= 0);
    CHECK_EQUAL(close(fd), 0);
    CHECK_EQUAL(chdir("../etc/."), 0);
    CHECK_STRING(getcwd(name, sizeof(name)), "/etc");
    CHECK_EQUAL(chdir("/"), 0);
    CHECK_STRING(getcwd(name, sizeof(name)), "/");
    CHECK_EQUAL(fchdir(etc), 0);
    CHECK_STRING(getcwd(name, sizeof(name)), "/etc");
    errno = 0;
    CHECK(!getcwd(name, 2));
    CHECK_EQUAL(errno, ERANGE);
    CHECK_ERRNO(chdir("passwd"), ENOTDIR);
    CHECK_ERRNO(chdir("nosuch"), ENOENT);
    CHECK_EQUAL(chdir(before), 0);
    fd = openat(etc, "passwd", O_RDONLY);
    CHECK(fd >= 0);
    CHECK_EQUAL(close(fd), 0);
    CHECK_EQUAL(faccessat(etc, "passwd", R_OK, 0), 0);
    CHECK_EQUAL(close(etc), 0);
}

TEST(stat_family)
{
    struct stat a, b;
    int fd = file_open();

    CHECK_EQUAL(stat(FILE_NAME, &a), 0);
    CHECK_EQUAL(fstat(fd, &b), 0);
    CHECK(a.st_ino == b.st_ino && a.st_dev == b.st_dev && a.st_size == b.st_size);
    CHECK_EQUAL(lstat("/etc/", &a), 0);
    CHECK(S_ISDIR(a.st_mode));
    CHECK_ERRNO(stat(FILE_NAME "/", &a), ENOTDIR);
    CHECK_ERRNO(access("/no/such", F_OK), ENOENT);
    CHECK_EQUAL(access(FILE_NAME, R_OK), 0);
    CHECK_ERRNO(access(FILE_NAME, X_OK), EACCES);
    CHECK_EQUAL(close(fd), 0);
}

TEST(own_executable)
{
    char name[4096];
    ssize_t length = readlink("/proc/self/exe", name, sizeof(name) - 1);

    CHECK(length > 0);
    name[length] = '\0';
    CHECK(strstr(name, "linux_files"));
    CHECK_EQUAL(readlink("/proc/self/exe", name, 3), 3);
    CHECK_ERRNO(readlink(FILE_NAME, name, sizeof(name)), EINVAL);
    int fd = file_open();
    char own[64];
    snprintf(own, sizeof(own), "/proc/self/fd/%d", fd);
    length = readlink(own, name, sizeof(name) - 1);
    CHECK(length > 0);
    name[length] = 0;
    CHECK_STRING(name, FILE_NAME);
    CHECK_EQUAL(close(fd), 0);
    CHECK_ERRNO(readlink(own, name, sizeof(name)), ENOENT);
}

TEST(pipe_carries_bytes)
{
    int ends[2];
    char buffer[16];

    CHECK_EQUAL(pipe(ends), 0);
    CHECK_EQUAL(write(ends[1], "hello", 5), 5);
    CHECK_EQUAL(read(ends[0], buffer, 2), 2);
    CHECK_EQUAL(read(ends[0], buffer, sizeof(buffer)), 3);
    CHECK(memcmp(buffer, "llo", 3) == 0);
    CHECK_ERRNO(write(ends[0], "x", 1), EBADF);
    CHECK_ERRNO(read(ends[1], buffer, 1), EBADF);
    CHECK_ERRNO(lseek(ends[0], 0, SEEK_CUR), ESPIPE);
    CHECK_EQUAL(close(ends[1]), 0);
    CHECK_EQUAL(read(ends[0], buffer, 1), 0);
    CHECK_EQUAL(close(ends[0]), 0);
}

TEST(pipe_without_reader)
{
    int ends[2];

    CHECK_EQUAL(pipe2(ends, O_CLOEXEC), 0);
    CHECK_EQUAL(fcntl(ends[0], F_GETFD), FD_CLOEXEC);
    CHECK_EQUAL(close(ends[0]), 0);
    signal(SIGPIPE, SIG_IGN);
    CHECK_ERRNO(write(ends[1], "x", 1), EPIPE);
    signal(SIGPIPE, SIG_DFL);
    CHECK_EQUAL(close(ends[1]), 0);
}

TEST(pipe_that_does_not_wait)
{
    static char page[4096];
    int ends[2], pending;
    ssize_t total = 0, got;

    CHECK_EQUAL(pipe2(ends, O_NONBLOCK), 0);
    CHECK(fcntl(ends[0], F_GETFL) & O_NONBLOCK);
    CHECK_ERRNO(read(ends[0], page, 1), EAGAIN);
    while ((got = write(ends[1], page, sizeof(page))) > 0)
        total += got;
    CHECK_EQUAL(errno, EAGAIN);
    CHECK(total >= 4096);
    CHECK_EQUAL(ioctl(ends[0], FIONREAD, &pending), 0);
    CHECK(pending > 0);
    while ((got = read(ends[0], page, sizeof(page))) > 0)
        total -= got;
    CHECK_EQUAL(total, 0);
    CHECK_EQUAL(fcntl(ends[0], F_SETFL, 0), 0);
    CHECK_EQUAL(fcntl(ends[0], F_GETFL) & O_NONBLOCK, 0);
    close(ends[0]), close(ends[1]);
}

TEST(poll_and_select)
{
    int ends[2];
    struct pollfd polled[3];
    struct timeval none = {0, 0};
    fd_set set;

    CHECK_EQUAL(pipe(ends), 0);
    polled[0] = (struct pollfd){ends[0], POLLIN, 0};
    polled[1] = (struct pollfd){ends[1], POLLOUT, 0};
    polled[2] = (struct pollfd){-1, POLLIN, 7};
    CHECK_EQUAL(poll(polled, 1, 0), 0);
    CHECK_EQUAL(poll(polled, 1, 20), 0);
    CHECK_EQUAL(poll(polled, 3, 1000), 1);
    CHECK_EQUAL(polled[1].revents, POLLOUT);
    CHECK_EQUAL(polled[2].revents, 0);
    CHECK_EQUAL(write(ends[1], "x", 1), 1);
    CHECK_EQUAL(poll(polled, 2, -1), 2);
    CHECK_EQUAL(polled[0].revents, POLLIN);
    FD_ZERO(&set);
    FD_SET(ends[0], &set);
    CHECK_EQUAL(select(ends[0] + 1, &set, NULL, NULL, NULL), 1);
    CHECK(FD_ISSET(ends[0], &set));
    CHECK_EQUAL(read(ends[0], &none, 1), 1);
    none.tv_sec = 0;
    CHECK_EQUAL(select(ends[0] + 1, &set, NULL, NULL, &none), 0);
    CHECK(!FD_ISSET(ends[0], &set));
    CHECK_EQUAL(close(ends[1]), 0);
    CHECK_EQUAL(poll(polled, 1, 0), 1);
    CHECK(polled[0].revents & POLLHUP);
    polled[0].fd = ends[1];
    CHECK_EQUAL(poll(polled, 1, 0), 1);
    CHECK_EQUAL(polled[0].revents, POLLNVAL);
    CHECK_EQUAL(close(ends[0]), 0);
}

TEST(mapped_files)
{
    int fd = file_open();
    char start[16];

    CHECK_EQUAL(pread(fd, start, sizeof(start), 0), sizeof(start));
    char *map = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
    CHECK(map != MAP_FAILED && memcmp(map, start, sizeof(start)) == 0);
    CHECK_EQUAL(munmap(map, 4096), 0);
    map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    CHECK(map != MAP_FAILED && memcmp(map, start, sizeof(start)) == 0);
    map[0] ^= 1;
    CHECK_EQUAL(pread(fd, start, 1, 0), 1);
    CHECK(map[0] != start[0]);
    CHECK_EQUAL(munmap(map, 4096), 0);
    CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
    CHECK_EQUAL(errno, EACCES);
    CHECK(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 5) == MAP_FAILED);
    CHECK_EQUAL(errno, EINVAL);
    CHECK_EQUAL(close(fd), 0);
}

TEST(advice)
{
    int fd = open("/etc/passwd", O_RDONLY), pipes[2];

    CHECK(fd >= 0);
    CHECK_EQUAL(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL), 0);
    CHECK_EQUAL(posix_fadvise(fd, 0, 0, 77), EINVAL);
    CHECK_EQUAL(posix_fadvise(fd, 0, -1, POSIX_FADV_NORMAL), EINVAL);
    CHECK_EQUAL(posix_fadvise(99, 0, 0, POSIX_FADV_NORMAL), EBADF);
    CHECK_EQUAL(pipe(pipes), 0);
    CHECK_EQUAL(posix_fadvise(pipes[0], 0, 0, POSIX_FADV_NORMAL), ESPIPE);
    close(pipes[0]);
    close(pipes[1]);
    close(fd);
}
