/* Memory as Linux programs see it. Runs on Linux too. */
#define _GNU_SOURCE
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/host/test.h"

#define PAGE 4096

#define CHECK_ERRNO(call, number)   \
    do {                            \
        errno = 0;                  \
        CHECK((call) == -1);        \
        CHECK_EQUAL(errno, number); \
    } while (0)

static sigjmp_buf fault_jump;
static volatile sig_atomic_t fault_code;
static void *volatile fault_address;

static void fault_handler(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)context;
    fault_code = info->si_code;
    fault_address = info->si_addr;
    siglongjmp(fault_jump, 1);
}

/* The si_code of the fault that an access causes, 0 for none. */
static int touch(volatile char *address, bool write)
{
    struct sigaction action = {.sa_sigaction = fault_handler, .sa_flags = SA_SIGINFO}, before;

    sigaction(SIGSEGV, &action, &before);
    fault_code = 0;
    if (sigsetjmp(fault_jump, 1) == 0) {
        if (write)
            *address = 1;
        else
            (void)*address;
    }
    sigaction(SIGSEGV, &before, NULL);
    return fault_code;
}

static char *anonymous(size_t length, int protection)
{
    char *map = mmap(NULL, length, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    CHECK(map != MAP_FAILED);
    return map;
}

TEST(anonymous_memory_is_zero)
{
    char *map = anonymous(16 * PAGE, PROT_READ | PROT_WRITE);

    for (int i = 0; i < 16 * PAGE; i += 512)
        CHECK_EQUAL(map[i], 0);
    memset(map, 1, 16 * PAGE);
    CHECK_EQUAL(munmap(map, 16 * PAGE), 0);
    CHECK_EQUAL(touch(map, false), SEGV_MAPERR);
    CHECK_EQUAL((uintptr_t)fault_address, (uintptr_t)map);
}

TEST(protection)
{
    char *map = anonymous(3 * PAGE, PROT_READ | PROT_WRITE);

    map[PAGE] = 5;
    CHECK_EQUAL(mprotect(map + PAGE, PAGE, PROT_READ), 0);
    CHECK_EQUAL(touch(map + PAGE, true), SEGV_ACCERR);
    CHECK_EQUAL(map[PAGE], 5);
    CHECK_EQUAL(touch(map, true), 0);
    CHECK_EQUAL(touch(map + 2 * PAGE, true), 0);
    CHECK_EQUAL(mprotect(map + PAGE, PAGE, PROT_NONE), 0);
    CHECK_EQUAL(touch(map + PAGE, false), SEGV_ACCERR);
    CHECK_EQUAL(mprotect(map, 3 * PAGE, PROT_READ | PROT_WRITE), 0);
    CHECK_EQUAL(map[PAGE], 5);
    CHECK_EQUAL(munmap(map + PAGE, PAGE), 0);
    errno = 0;
    CHECK_EQUAL(mprotect(map, 3 * PAGE, PROT_READ), -1);
    CHECK_EQUAL(errno, ENOMEM);
    errno = 0;
    CHECK_EQUAL(syscall(SYS_mprotect, map + 1, PAGE, PROT_READ), -1); /* libc rounds down */
    CHECK_EQUAL(errno, EINVAL);
    CHECK_EQUAL(munmap(map, 3 * PAGE), 0);
}

TEST(fixed_over_what_is_there)
{
    char *map = anonymous(4 * PAGE, PROT_READ | PROT_WRITE);

    memset(map, 7, 4 * PAGE);
    CHECK(mmap(map + PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
               -1, 0) == map + PAGE);
    CHECK_EQUAL(map[PAGE], 0);
    CHECK_EQUAL(map[0], 7);
    CHECK_EQUAL(map[2 * PAGE], 7);
    CHECK(mmap(map, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) ==
          MAP_FAILED);
    CHECK_EQUAL(errno, EEXIST);
    CHECK_EQUAL(munmap(map, 4 * PAGE), 0);
}

TEST(hint_is_taken)
{
    char *map = anonymous(2 * PAGE, PROT_READ);

    CHECK_EQUAL(munmap(map, 2 * PAGE), 0);
    CHECK(mmap(map, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == map);
    char *other = mmap(map, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(other != MAP_FAILED && other != map);
    CHECK_EQUAL(munmap(map, PAGE), 0);
    CHECK_EQUAL(munmap(other, PAGE), 0);
}

TEST(errors_of_mmap)
{
    CHECK(mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
    CHECK_EQUAL(errno, EINVAL);
    CHECK(mmap(NULL, SIZE_MAX / 2, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
    CHECK_EQUAL(errno, ENOMEM);
    CHECK(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, -1, 0) == MAP_FAILED);
    CHECK_EQUAL(errno, EBADF);
    errno = 0;
    CHECK_EQUAL(munmap((void *)1, PAGE), -1);
    CHECK_EQUAL(errno, EINVAL);
}

TEST(reservations_cost_nothing)
{
    size_t huge = (size_t)64 << 30;
    char *map = mmap(NULL, huge, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    CHECK(map != MAP_FAILED);
    CHECK_EQUAL(mprotect(map + huge / 2, PAGE, PROT_READ | PROT_WRITE), 0);
    map[huge / 2] = 1;
    CHECK_EQUAL(munmap(map, huge), 0);
}

TEST(advice)
{
    char *map = anonymous(2 * PAGE, PROT_READ | PROT_WRITE);

    map[0] = map[PAGE] = 1;
    CHECK_EQUAL(madvise(map, PAGE, MADV_DONTNEED), 0);
    CHECK_EQUAL(map[0], 0);
    CHECK_EQUAL(map[PAGE], 1);
    CHECK_EQUAL(madvise(map, PAGE, MADV_WILLNEED), 0);
    errno = 0;
    CHECK_EQUAL(madvise(map, PAGE, 9999), -1);
    CHECK_EQUAL(errno, EINVAL);
    CHECK_EQUAL(munmap(map, 2 * PAGE), 0);
}

TEST(remap)
{
    char *map = anonymous(4 * PAGE, PROT_READ | PROT_WRITE), *moved;

    map[0] = 1, map[3 * PAGE] = 4;
    CHECK(mremap(map, 4 * PAGE, 2 * PAGE, 0) == map);
    CHECK_EQUAL(touch(map + 3 * PAGE, false), SEGV_MAPERR);
    char *wall =
        mmap(map + 2 * PAGE, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    CHECK(wall == map + 2 * PAGE);
    errno = 0;
    CHECK(mremap(map, 2 * PAGE, 8 * PAGE, 0) == MAP_FAILED);
    CHECK_EQUAL(errno, ENOMEM);
    moved = mremap(map, 2 * PAGE, 8 * PAGE, MREMAP_MAYMOVE);
    CHECK(moved != MAP_FAILED && moved != map);
    CHECK_EQUAL(moved[0], 1);
    CHECK_EQUAL(moved[7 * PAGE], 0);
    moved[7 * PAGE] = 1;
    CHECK_EQUAL(touch(map, false), SEGV_MAPERR);
    CHECK_EQUAL(munmap(moved, 8 * PAGE), 0);
    CHECK_EQUAL(munmap(wall, PAGE), 0);
}

TEST(heap_grows_and_shrinks)
{
    char *before = sbrk(0);

    CHECK(before != (char *)-1);
    for (int i = 0; i < 50; i++) {
        size_t length = (size_t)(i + 1) * 10000;
        char *block = malloc(length);
        CHECK(block);
        memset(block, i, length);
        free(block);
    }
}

/* Shared memory is shared with a child, private memory is not. */
TEST(shared_with_a_child)
{
    char *shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char *private = anonymous(PAGE, PROT_READ | PROT_WRITE);
    int status;

    CHECK(shared != MAP_FAILED);
    private[0] = 1;
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        shared[0] = 2;
        private[0] = 2;
        _exit(private[0] == 2 ? 0 : 1);
    }
    CHECK_EQUAL(waitpid(pid, &status, 0), pid);
    CHECK_EQUAL(status, 0);
    CHECK_EQUAL(shared[0], 2);
    CHECK_EQUAL(private[0], 1);
    CHECK_EQUAL(munmap(shared, PAGE), 0);
    CHECK_EQUAL(munmap(private, PAGE), 0);
}

TEST(synchronizing)
{
    char *shared = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    CHECK(shared != MAP_FAILED);
    CHECK_EQUAL(msync(shared, 2 * PAGE, MS_SYNC), 0);
    CHECK_EQUAL(msync(shared, 2 * PAGE, MS_ASYNC), 0);
    CHECK_EQUAL(msync(shared, 0, MS_SYNC), 0);
    CHECK_ERRNO(msync(shared + 1, PAGE, MS_SYNC), EINVAL);
    CHECK_ERRNO(msync(shared, PAGE, MS_SYNC | MS_ASYNC), EINVAL);
    CHECK_ERRNO(msync(shared, PAGE, 64), EINVAL);
    CHECK_EQUAL(munmap(shared + PAGE, PAGE), 0);
    CHECK_ERRNO(msync(shared, 2 * PAGE, MS_SYNC), ENOMEM);
    CHECK_EQUAL(munmap(shared, PAGE), 0);
}
