/* Pseudo terminals, and through them the line discipline, as Linux programs see them. Runs on Linux too. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "tests/host/test.h"

#define CHECK_ERRNO(call, number)   \
    do {                            \
        errno = 0;                  \
        CHECK((call) == -1);        \
        CHECK_EQUAL(errno, number); \
    } while (0)

#define PATIENCE_MS 20000

struct pair {
    int master, slave;
    char name[64];
};

static int slave_open(const struct pair *pair)
{
    int fd = open(pair->name, O_RDWR | O_NOCTTY);

    CHECK(fd >= 0);
    return fd;
}

static struct pair pair_open(void)
{
    struct pair pair = {.slave = -1};

    pair.master = posix_openpt(O_RDWR | O_NOCTTY);
    CHECK(pair.master >= 0);
    CHECK_EQUAL(grantpt(pair.master), 0);
    CHECK_EQUAL(unlockpt(pair.master), 0);
    CHECK_EQUAL(ptsname_r(pair.master, pair.name, sizeof(pair.name)), 0);
    pair.slave = slave_open(&pair);
    return pair;
}

static void pair_close(struct pair *pair)
{
    if (pair->slave >= 0)
        CHECK_EQUAL(close(pair->slave), 0);
    if (pair->master >= 0)
        CHECK_EQUAL(close(pair->master), 0);
}

/* Modes off and on of the local and input flags. */
static void modes(int fd, tcflag_t local_off, tcflag_t input_off, tcflag_t input_on)
{
    struct termios termios;

    CHECK_EQUAL(tcgetattr(fd, &termios), 0);
    termios.c_lflag &= ~local_off;
    termios.c_iflag = (termios.c_iflag & ~input_off) | input_on;
    CHECK_EQUAL(tcsetattr(fd, TCSANOW, &termios), 0);
}

static void raw(int fd)
{
    struct termios termios;

    CHECK_EQUAL(tcgetattr(fd, &termios), 0);
    cfmakeraw(&termios);
    CHECK_EQUAL(tcsetattr(fd, TCSANOW, &termios), 0);
}

static short ready(int fd, short events, int timeout)
{
    struct pollfd poll_fd = {.fd = fd, .events = events};

    CHECK(poll(&poll_fd, 1, timeout) >= 0);
    return poll_fd.revents;
}

static void write_text(int fd, const char *text)
{
    CHECK_EQUAL(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

/* That text is what comes next, in however many pieces. */
static void check_next(int fd, const char *text)
{
    char got[256] = "";
    size_t length = strlen(text), have = 0;

    while (have < length) {
        CHECK(ready(fd, POLLIN, PATIENCE_MS) & POLLIN);
        ssize_t count = read(fd, got + have, length - have);
        CHECK(count > 0);
        have += (size_t)count;
    }
    CHECK_STRING(got, text);
}

static void check_nothing(int fd)
{
    CHECK(!(ready(fd, POLLIN, 50) & POLLIN));
}

TEST(locked_until_it_is_unlocked)
{
    struct pair pair = {.slave = -1};
    int lock = -1;

    pair.master = posix_openpt(O_RDWR | O_NOCTTY);
    CHECK(pair.master >= 0);
    CHECK_EQUAL(ioctl(pair.master, TIOCGPTLCK, &lock), 0);
    CHECK_EQUAL(lock, 1);
    CHECK_EQUAL(ptsname_r(pair.master, pair.name, sizeof(pair.name)), 0);
    CHECK_ERRNO(open(pair.name, O_RDWR | O_NOCTTY), EIO);
    CHECK_EQUAL(unlockpt(pair.master), 0);
    pair.slave = slave_open(&pair);
    CHECK_EQUAL(isatty(pair.slave), 1);
    pair_close(&pair);
    CHECK_ERRNO(open(pair.name, O_RDWR | O_NOCTTY), ENOENT);
}

TEST(listed_and_numbered)
{
    struct pair pair = pair_open();
    struct stat by_path, by_file;
    bool found = false;
    DIR *directory = opendir("/dev/pts");
    struct dirent *entry;

    CHECK(directory);
    while ((entry = readdir(directory)))
        found |= strcmp(entry->d_name, strrchr(pair.name, '/') + 1) == 0;
    CHECK(found);
    CHECK_EQUAL(closedir(directory), 0);
    CHECK_EQUAL(stat(pair.name, &by_path), 0);
    CHECK_EQUAL(fstat(pair.slave, &by_file), 0);
    CHECK(S_ISCHR(by_path.st_mode));
    CHECK_EQUAL(by_path.st_rdev, by_file.st_rdev);
    CHECK_EQUAL(by_path.st_rdev >> 8, 136);
    pair_close(&pair);
}

TEST(lines_and_their_echo)
{
    struct pair pair = pair_open();

    write_text(pair.master, "ab\x7f"
                            "c\n");
    check_next(pair.slave, "ac\n");
    check_next(pair.master, "ab\b \bc\r\n");
    write_text(pair.slave, "one\ntwo");
    check_next(pair.master, "one\r\ntwo");
    pair_close(&pair);
}

TEST(raw_bytes_pass_as_they_are)
{
    struct pair pair = pair_open();

    raw(pair.slave);
    write_text(pair.master, "\x03\x1a\r\n\x11");
    check_next(pair.slave, "\x03\x1a\r\n\x11");
    check_nothing(pair.master);
    write_text(pair.slave, "\n");
    check_next(pair.master, "\n");
    pair_close(&pair);
}

TEST(the_size_is_one_for_both_sides)
{
    struct pair pair = pair_open();
    struct winsize size = {.ws_row = 1}, set = {.ws_row = 33, .ws_col = 77};

    CHECK_EQUAL(ioctl(pair.slave, TIOCGWINSZ, &size), 0);
    CHECK_EQUAL(size.ws_row, 0);
    CHECK_EQUAL(ioctl(pair.master, TIOCSWINSZ, &set), 0);
    CHECK_EQUAL(ioctl(pair.slave, TIOCGWINSZ, &size), 0);
    CHECK_EQUAL(size.ws_row, 33);
    CHECK_EQUAL(size.ws_col, 77);
    pair_close(&pair);
}

TEST(nonblocking)
{
    struct pair pair = pair_open();
    char byte;

    CHECK_EQUAL(fcntl(pair.master, F_SETFL, O_RDWR | O_NONBLOCK), 0);
    CHECK_ERRNO(read(pair.master, &byte, 1), EAGAIN);
    CHECK_EQUAL(fcntl(pair.slave, F_SETFL, O_RDWR | O_NONBLOCK), 0);
    CHECK_ERRNO(read(pair.slave, &byte, 1), EAGAIN);
    CHECK_EQUAL(ready(pair.master, POLLIN | POLLOUT, 0), POLLOUT);
    pair_close(&pair);
}

/* --- Closing ------------------------------------------------------------------------------------------------------ */

TEST(a_master_whose_terminal_is_closed)
{
    struct pair pair = pair_open();
    char byte;

    write_text(pair.slave, "last words");
    CHECK_EQUAL(close(pair.slave), 0);
    check_next(pair.master, "last words");
    CHECK_ERRNO(read(pair.master, &byte, 1), EIO);
    CHECK(ready(pair.master, POLLIN, 0) & POLLHUP);
    pair.slave = slave_open(&pair);
    CHECK(!(ready(pair.master, POLLIN, 0) & POLLHUP));
    write_text(pair.slave, "again");
    check_next(pair.master, "again");
    pair_close(&pair);
}

TEST(a_terminal_whose_master_is_closed)
{
    struct pair pair = pair_open();
    struct termios termios;
    char byte;

    CHECK_EQUAL(close(pair.master), 0);
    pair.master = -1;
    CHECK_EQUAL(read(pair.slave, &byte, 1), 0);
    CHECK_ERRNO(write(pair.slave, "x", 1), EIO);
    CHECK_ERRNO(tcgetattr(pair.slave, &termios), EIO);
    CHECK(ready(pair.slave, POLLIN | POLLOUT, 0) & POLLHUP);
    pair_close(&pair);
}

/* Waits for bytes in a child while the other side closes. */
static int read_in_child(int fd, int close_there)
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        char byte;
        close(close_there);
        ssize_t count = read(fd, &byte, 1);
        _exit(count == 0 ? 1 : errno == EIO ? 2 : 3);
    }
    CHECK_EQUAL(close(fd), 0);
    usleep(50000);
    CHECK_EQUAL(close(close_there), 0);
    CHECK_EQUAL(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status));
    return WEXITSTATUS(status);
}

TEST(who_waits_is_told_of_the_close)
{
    struct pair pair = pair_open();

    CHECK_EQUAL(read_in_child(pair.slave, pair.master), 2);
    pair = pair_open();
    CHECK_EQUAL(read_in_child(pair.master, pair.slave), 2);
}

TEST(as_many_as_wanted)
{
    enum { COUNT = 40 };
    struct pair pairs[COUNT];

    for (int i = 0; i < COUNT; i++)
        pairs[i] = pair_open();
    for (int i = 0; i < COUNT; i++)
        for (int j = 0; j < i; j++)
            CHECK(strcmp(pairs[i].name, pairs[j].name) != 0);
    write_text(pairs[COUNT - 1].slave, "last");
    check_next(pairs[COUNT - 1].master, "last");
    for (int i = 0; i < COUNT; i++)
        pair_close(&pairs[i]);
}

/* --- More than fits ----------------------------------------------------------------------------------------------- */

static void pour(int fd, size_t total)
{
    char piece[3000];

    for (size_t i = 0; i < sizeof(piece); i++)
        piece[i] = (char)('a' + i % 26);
    for (size_t done = 0; done < total;) {
        ssize_t count =
            write(fd, piece, total - done < sizeof(piece) ? total - done : sizeof(piece));
        if (count <= 0)
            _exit(1);
        done += (size_t)count;
    }
}

static void check_poured(int from, int to, size_t total)
{
    char bytes[4096];
    int status;
    pid_t child = fork();

    if (child == 0) {
        pour(to, total);
        _exit(0);
    }
    for (size_t have = 0; have < total;) {
        CHECK(ready(from, POLLIN, PATIENCE_MS) & POLLIN);
        ssize_t count = read(from, bytes, sizeof(bytes));
        CHECK(count > 0);
        have += (size_t)count;
        CHECK(have <= total);
    }
    CHECK_EQUAL(waitpid(child, &status, 0), child);
    CHECK_EQUAL(status, 0);
}

TEST(nothing_is_lost_either_way)
{
    struct pair pair = pair_open();

    raw(pair.slave);
    check_poured(pair.slave, pair.master, 100000);
    check_poured(pair.master, pair.slave, 100000);
    pair_close(&pair);
}

/* --- Sessions ----------------------------------------------------------------------------------------------------- */

/* A child that leads a session on the terminal, and says so. */
static pid_t session_start(struct pair *pair, void (*program)(void))
{
    pid_t child = fork();

    CHECK(child >= 0);
    if (child == 0) {
        close(pair->master);
        if (setsid() < 0 || ioctl(pair->slave, TIOCSCTTY, 0) < 0)
            _exit(100);
        for (int fd = 0; fd < 3; fd++)
            dup2(pair->slave, fd);
        if (pair->slave > 2)
            close(pair->slave);
        program();
        _exit(0);
    }
    CHECK_EQUAL(close(pair->slave), 0);
    pair->slave = -1;
    check_next(pair->master, "ready");
    return child;
}

static void say(const char *text)
{
    if (write(1, text, strlen(text)) < 0)
        _exit(101);
}

static void wait_for_ever(void)
{
    say("ready");
    for (;;)
        pause();
}

static int status_of(pid_t child)
{
    int status;

    CHECK_EQUAL(waitpid(child, &status, 0), child);
    return status;
}

TEST(keys_that_signal)
{
    static const struct {
        char key;
        int signal;
    } keys[] = {{0x03, SIGINT}, {0x1c, SIGQUIT}};

    for (size_t i = 0; i < 2; i++) {
        struct pair pair = pair_open();
        pid_t child = session_start(&pair, wait_for_ever);
        CHECK_EQUAL(write(pair.master, &keys[i].key, 1), 1);
        CHECK_EQUAL(status_of(child) & 0x7f, keys[i].signal);
        pair_close(&pair);
    }
}

TEST(hung_up_with_the_master)
{
    struct pair pair = pair_open();
    pid_t child = session_start(&pair, wait_for_ever);

    CHECK_EQUAL(close(pair.master), 0);
    pair.master = -1;
    CHECK_EQUAL(status_of(child), SIGHUP);
}

static volatile sig_atomic_t resized;

static void on_resize(int signal)
{
    (void)signal;
    resized = 1;
}

static void wait_for_resize(void)
{
    struct winsize size;

    signal(SIGWINCH, on_resize);
    say("ready");
    while (!resized)
        usleep(1000);
    if (ioctl(0, TIOCGWINSZ, &size) == 0 && size.ws_row == 50)
        say("resized");
}

TEST(told_of_another_size)
{
    struct pair pair = pair_open();
    struct winsize size = {.ws_row = 50, .ws_col = 132};
    pid_t child = session_start(&pair, wait_for_resize);

    CHECK_EQUAL(ioctl(pair.master, TIOCSWINSZ, &size), 0);
    check_next(pair.master, "resized");
    CHECK_EQUAL(status_of(child), 0);
    pair_close(&pair);
}

/* A leader that ends while another of its session is in the foreground. */
static void leave_a_foreground(void)
{
    int ends[2];
    char byte;

    signal(SIGTTOU, SIG_IGN);
    if (pipe(ends) < 0)
        _exit(102);
    pid_t child = fork();
    if (child == 0) {
        setpgid(0, 0);
        tcsetpgrp(0, getpgrp());
        if (write(ends[1], "x", 1) != 1)
            _exit(103);
        wait_for_ever();
    }
    if (read(ends[0], &byte, 1) != 1)
        _exit(104);
    usleep(100000);
}

TEST(the_foreground_is_hung_up_with_the_leader)
{
    struct pair pair = pair_open();
    pid_t child = session_start(&pair, leave_a_foreground);
    char byte;

    CHECK_EQUAL(status_of(child), 0);
    /* The one in the foreground had the last open file of the terminal: its end is ours to see. */
    CHECK(ready(pair.master, POLLIN, PATIENCE_MS) & POLLHUP);
    CHECK_ERRNO(read(pair.master, &byte, 1), EIO);
    pair_close(&pair);
}

static void look_at_the_session(void)
{
    int other = open("/dev/tty", O_RDWR);

    if (other < 0 || tcgetsid(other) != getpid() || tcgetpgrp(0) != getpgrp())
        _exit(105);
    if (ioctl(0, TIOCNOTTY) < 0 || open("/dev/tty", O_RDWR) >= 0)
        _exit(106);
    say("ready");
}

static void ignore_and_look(void)
{
    signal(SIGHUP, SIG_IGN);
    look_at_the_session();
}

TEST(a_session_has_its_terminal_until_it_gives_it_up)
{
    struct pair pair = pair_open();
    pid_t child = session_start(&pair, ignore_and_look);

    CHECK_EQUAL(status_of(child), 0);
    pair_close(&pair);
}

/* Linux hands over what is typed by a worker of its kernel. */
static void settle(void)
{
    usleep(50000);
}

/* --- Flow control, modes ------------------------------------------------------------------------------------------- */

TEST(output_stops_and_goes_on)
{
    struct pair pair = pair_open();

    modes(pair.slave, ECHO, 0, IXON);
    write_text(pair.master, "\x13");
    settle();
    write_text(pair.slave, "held");
    check_nothing(pair.master);
    write_text(pair.master, "\x11");
    check_next(pair.master, "held");
    CHECK_EQUAL(tcflow(pair.slave, TCOOFF), 0);
    CHECK_EQUAL(fcntl(pair.slave, F_SETFL, O_RDWR | O_NONBLOCK), 0);
    CHECK_EQUAL(tcflow(pair.slave, TCOON), 0);
    write_text(pair.slave, "on");
    check_next(pair.master, "on");
    pair_close(&pair);
}

TEST(any_key_goes_on_with_ixany)
{
    struct pair pair = pair_open();

    modes(pair.slave, ECHO | ICANON, 0, IXON | IXANY);
    write_text(pair.master, "\x13");
    settle();
    write_text(pair.slave, "held");
    check_nothing(pair.master);
    write_text(pair.master, "k");
    check_next(pair.master, "held");
    check_next(pair.slave, "k");
    pair_close(&pair);
}

TEST(flushing)
{
    struct pair pair = pair_open();

    modes(pair.slave, ECHO | ICANON, 0, 0);
    write_text(pair.master, "typed ahead");
    CHECK(ready(pair.slave, POLLIN, PATIENCE_MS) & POLLIN);
    CHECK_EQUAL(tcflush(pair.slave, TCIFLUSH), 0);
    check_nothing(pair.slave);
    write_text(pair.master, "new");
    check_next(pair.slave, "new");
    CHECK_ERRNO(tcflush(pair.slave, 17), EINVAL);
    pair_close(&pair);
}

TEST(breaks_drains_and_modem_lines)
{
    struct pair pair = pair_open();
    int lines;

    CHECK_EQUAL(tcdrain(pair.slave), 0);
    CHECK_EQUAL(tcsendbreak(pair.slave, 0), 0);
    CHECK_ERRNO(ioctl(pair.slave, TIOCMGET, &lines), ENOTTY);
    pair_close(&pair);
}

TEST(marks_are_unmistakable)
{
    struct pair pair = pair_open();

    modes(pair.slave, ECHO | ICANON, ISTRIP, PARMRK);
    write_text(pair.master, "a\xff"
                            "b");
    check_next(pair.slave, "a\xff\xff"
                           "b");
    pair_close(&pair);
}

TEST(letters_of_one_case)
{
    struct pair pair = pair_open();

    modes(pair.slave, ECHO, 0, IUCLC);
    write_text(pair.master, "MiXed\n");
    check_next(pair.slave, "mixed\n");
    pair_close(&pair);
}

TEST(the_minimum_and_the_time)
{
    struct pair pair = pair_open();
    struct termios termios;
    char bytes[8];

    CHECK_EQUAL(tcgetattr(pair.slave, &termios), 0);
    cfmakeraw(&termios);
    termios.c_cc[VMIN] = 0;
    termios.c_cc[VTIME] = 1;
    CHECK_EQUAL(tcsetattr(pair.slave, TCSANOW, &termios), 0);
    CHECK_EQUAL(read(pair.slave, bytes, sizeof(bytes)), 0);
    termios.c_cc[VMIN] = 3;
    termios.c_cc[VTIME] = 0;
    CHECK_EQUAL(tcsetattr(pair.slave, TCSANOW, &termios), 0);
    write_text(pair.master, "ab");
    check_nothing(pair.slave);
    write_text(pair.master, "c");
    CHECK_EQUAL(read(pair.slave, bytes, sizeof(bytes)), 3);
    pair_close(&pair);
}

TEST(an_exclusive_terminal_is_shared_with_root)
{
    struct pair pair = pair_open();

    CHECK_EQUAL(ioctl(pair.slave, TIOCEXCL), 0);
    CHECK_EQUAL(close(slave_open(&pair)), 0); /* we are root */
    CHECK_EQUAL(ioctl(pair.slave, TIOCNXCL), 0);
    pair_close(&pair);
}

/* --- Packet mode --------------------------------------------------------------------------------------------------- */

static void check_packet(int master, int want)
{
    char bytes[64];

    CHECK(ready(master, POLLIN, PATIENCE_MS) & POLLIN);
    CHECK_EQUAL(read(master, bytes, sizeof(bytes)), 1);
    CHECK_EQUAL(bytes[0], want);
}

TEST(packets)
{
    struct pair pair = pair_open();
    int on = 1;
    char bytes[64];

    modes(pair.slave, ECHO, 0, IXON);
    CHECK_EQUAL(ioctl(pair.master, TIOCPKT, &on), 0);
    write_text(pair.slave, "data");
    CHECK_EQUAL(read(pair.master, bytes, sizeof(bytes)), 5);
    CHECK(memcmp(bytes, "\0data", 5) == 0);
    modes(pair.slave, 0, IXON, 0);
    check_packet(pair.master, TIOCPKT_NOSTOP);
    modes(pair.slave, 0, 0, IXON);
    check_packet(pair.master, TIOCPKT_DOSTOP);
    CHECK_EQUAL(tcflush(pair.slave, TCIFLUSH), 0);
    check_packet(pair.master, TIOCPKT_FLUSHREAD);
    CHECK_EQUAL(tcflow(pair.slave, TCOOFF), 0);
    check_packet(pair.master, TIOCPKT_STOP);
    CHECK_EQUAL(tcflow(pair.slave, TCOON), 0);
    check_packet(pair.master, TIOCPKT_START);
    pair_close(&pair);
}
