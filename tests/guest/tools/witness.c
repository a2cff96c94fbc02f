/* Who lives beside those that misbehave: `witness N` makes N rounds of ordinary calls of every kind and looks at each answer.
 * It ends with `N rounds`, or with what went wrong.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/sys/syscall.h"

#define MIB (1u << 20)

#define NEED(condition)                                                     \
    do {                                                                    \
        if (!(condition)) {                                                 \
            printf("round %d: %s: %s\n", now, #condition, strerror(errno)); \
            exit(1);                                                        \
        }                                                                   \
    } while (0)

static int now; /* which round it is */

static void use_files(void)
{
    unsigned char bytes[2][16];
    int file = open("/etc/passwd", O_RDONLY), random = open("rng:///", O_RDONLY);
    struct stat stat_;

    NEED(file >= 0 && random >= 0);
    NEED(fstat(file, &stat_) == 0 && stat_.st_size > 0);
    NEED(read(file, bytes[0], 1) == 1);
    for (int i = 0; i < 2; i++)
        NEED(read(random, bytes[i], sizeof(bytes[i])) == sizeof(bytes[i]));
    NEED(memcmp(bytes[0], bytes[1], sizeof(bytes[0])) != 0);
    NEED(close(file) == 0 && close(random) == 0);
}

static void use_memory(void)
{
    unsigned char *map =
        mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    NEED(map != MAP_FAILED);
    for (size_t at = 0; at < MIB; at += 4096) {
        NEED(map[at] == 0);
        map[at] = 1;
    }
    NEED(munmap(map, MIB) == 0);
}

static void use_processes(void)
{
    int ends[2], status;
    char byte = 0;
    pid_t pid;

    NEED(pipe(ends) == 0);
    NEED((pid = fork()) >= 0);
    if (pid == 0)
        _exit(write(ends[1], "x", 1) == 1 ? 7 : 1);
    NEED(read(ends[0], &byte, 1) == 1 && byte == 'x');
    NEED(waitpid(pid, &status, 0) == pid && status == 7 << 8);
    NEED(close(ends[0]) == 0 && close(ends[1]) == 0);
}

static void *thread_main(void *argument)
{
    return argument;
}

static void use_threads(void)
{
    pthread_t thread;
    void *result = NULL;

    NEED(pthread_create(&thread, NULL, thread_main, &now) == 0);
    NEED(pthread_join(thread, &result) == 0 && result == &now);
}

/* A port, a binding, a notification, a kept handle. */
static void use_ports(void)
{
    int64_t port = sys_proto_create(HANDLE_SELF, NULL, 0), timer = sys_timer_create();
    struct abi_message message;

    NEED(port > 0 && timer > 0);
    NEED(sys_port_bind((handle_t)port, (handle_t)timer, SIGNAL_READABLE, 5, 0) >= 0);
    NEED(sys_port_keep((handle_t)port, 1, (handle_t)timer) >= 0);
    NEED(sys_timer_set((handle_t)timer, 1, 0) >= 0);
    NEED(sys_proto_accept((handle_t)port, &message, NULL, 0, DEADLINE_NEVER) >= 0);
    NEED(message.kind == MESSAGE_NOTIFY && message.cookie == 5);
    NEED(sys_handle_close((handle_t)port) >= 0 && sys_handle_close((handle_t)timer) >= 0);
}

int main(int argc, char **argv)
{
    int rounds = argc == 2 ? atoi(argv[1]) : 0;

    for (now = 1; now <= rounds; now++) {
        use_files();
        use_memory();
        use_processes();
        use_threads();
        use_ports();
    }
    printf("%d rounds\n", rounds);
    return rounds ? 0 : 2;
}
