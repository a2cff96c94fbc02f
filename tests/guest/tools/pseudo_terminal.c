/* A pseudo terminal whose service is killed: `pseudo_terminal ROUNDS` has cat on one, kills outputd between two lines in each round, and
 * checks that lines, modes and size are what they were. A second one, whose other side is closed while nobody serves it, must be
 * found gone. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static int master_open(char *name, size_t size)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || unlockpt(master) < 0 || ptsname_r(master, name, size))
        fail("posix_openpt");
    return master;
}

static int slave_open(const char *name)
{
    int slave = open(name, O_RDWR | O_NOCTTY);
    if (slave < 0)
        fail(name);
    return slave;
}

static pid_t cat_start(int master, int slave)
{
    pid_t child = fork();
    if (child < 0)
        fail("fork");
    if (child == 0) {
        close(master);
        dup2(slave, 0);
        dup2(slave, 1);
        execlp("cat", "cat", (char *)NULL);
        _exit(1);
    }
    return child;
}

static void expect(int master, const char *want)
{
    char got[128] = "";
    size_t have = 0;
    while (have < strlen(want)) {
        ssize_t count = read(master, got + have, strlen(want) - have);
        if (count <= 0)
            fail("read");
        have += (size_t)count;
    }
    if (strcmp(got, want) != 0) {
        printf("got \"%s\", want \"%s\"\n", got, want);
        exit(1);
    }
}

static void outputd_kill(void)
{
    if (system("kill -9 $(pidof outputd)") != 0)
        fail("kill");
}

/* Its last file closes before the next outputd looks for it, or after: the master hears of it either way. */
static void round_without_a_slave(void)
{
    char name[64];
    int master = master_open(name, sizeof(name)), slave = slave_open(name);
    struct pollfd poll_fd = {.fd = master, .events = POLLIN};
    outputd_kill();
    close(slave);
    do
        if (poll(&poll_fd, 1, 60000) <= 0)
            fail("poll");
    while (!(poll_fd.revents & POLLHUP) && read(master, name, 1) < 0);
    close(master);
}

int main(int argc, char **argv)
{
    char name[64], line[64];
    int rounds = argc > 1 ? atoi(argv[1]) : 1, master = master_open(name, sizeof(name)),
        slave = slave_open(name);
    struct winsize size = {.ws_row = 7, .ws_col = 77};
    struct termios termios;
    if (tcgetattr(slave, &termios) < 0)
        fail("tcgetattr");
    termios.c_lflag &= ~(tcflag_t)ECHO;
    if (tcsetattr(slave, TCSANOW, &termios) < 0 || ioctl(master, TIOCSWINSZ, &size) < 0)
        fail("tcsetattr");
    pid_t child = cat_start(master, slave);
    close(slave);
    for (int i = 0; i < rounds; i++) {
        if (write(master, "before ", 7) != 7)
            fail("write");
        outputd_kill();
        snprintf(line, sizeof(line), "and after %d\n", i);
        if (write(master, line, strlen(line)) != (ssize_t)strlen(line))
            fail("write");
        snprintf(line, sizeof(line), "before and after %d\r\n", i);
        expect(master, line);
        memset(&size, 0, sizeof(size));
        if (ioctl(master, TIOCGWINSZ, &size) < 0 || size.ws_row != 7 || size.ws_col != 77)
            fail("TIOCGWINSZ");
    }
    round_without_a_slave();
    close(master);
    if (waitpid(child, NULL, 0) != child)
        fail("waitpid");
    printf("%s is as it was\n", name);
    return 0;
}
