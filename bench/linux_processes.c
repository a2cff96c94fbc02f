/* Processes and threads from birth to burial. */
#include <fcntl.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/common/bench.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define HELLO        "/bench/tools/hello"
#define HELLO_TEXT   "hello, world\n"

static void reap(pid_t child)
{
    int status;

    if (child < 0 || waitpid(child, &status, 0) != child)
        bench_refuse("waitpid");
    if (status)
        bench_refuse_because("the child failed");
}

static void fork_exit_wait(void)
{
    pid_t child = fork();

    if (child == 0)
        _exit(0);
    reap(child);
}

static int ends[2] = {-1, -1};

static void exec_prepare(void)
{
    if (pipe(ends) || fcntl(ends[0], F_SETFL, O_NONBLOCK))
        bench_refuse("pipe");
}

/* The pipe holds what a round prints; it is emptied, and counted, behind each. */
static uint64_t fork_exec_wait(uint64_t count)
{
    char text[sizeof(HELLO_TEXT) * 8];
    uint64_t printed = 0, start = bench_start();
    ssize_t got;

    for (uint64_t i = 0; i < count; i++) {
        pid_t child = fork();

        if (child == 0) {
            dup2(ends[1], 1);
            execl(HELLO, HELLO, (char *)NULL);
            _exit(127);
        }
        reap(child);
    }

    uint64_t spent = bench_stop(start);

    while ((got = read(ends[0], text, sizeof(text))) > 0)
        printed += (uint64_t)got;
    if (printed != count * (sizeof(HELLO_TEXT) - 1))
        bench_refuse_because("hello did not print");
    return spent;
}

static void exec_finish(void)
{
    close(ends[0]);
    close(ends[1]);
}

static void *body(void *argument)
{
    return argument;
}

static void thread_create_join(void)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, body, NULL) || pthread_join(thread, NULL))
        bench_refuse_because("no thread");
}

static const struct figure figures[] = {
    {.name = "fork-exit-wait", .call = fork_exit_wait},
    {.name = "fork-exec-wait",
     .prepare = exec_prepare,
     .round = fork_exec_wait,
     .finish = exec_finish,
     .most = 32},
    {.name = "thread-create-join", .call = thread_create_join},
};

int main(int argc, char **argv)
{
    return bench_main(figures, COUNT(figures), argc, argv);
}
