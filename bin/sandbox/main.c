/* sandbox: run a program that can name what is listed, and nothing else.
 *
 *     sandbox [-n] [-l limit=number]... scheme[=target]... -- program [argument]...
 *
 * The program's namespace lists each scheme; with =target it is another protocol of ours under that name
 * (fs=initfs). Nothing is inherited but the three standard descriptors, the environment and the name of the working
 * directory: a new process is made, whose handles are those given to it. It is this process's child: signals of the
 * terminal reach it, and this one ends as it does. With -n it has no procd: it can make no processes and is sent no
 * signals but those that end it.
 *
 * With -l memory=64M, -l threads=10, ... (abi/quotas.def) the program and what it starts have an account of their own, a
 * part of ours. This process has the only handle to one that holds it, so whatever is left in it ends with us.
 *
 * What a program cannot name or was not given it cannot reach, whatever it does: there is no other authority.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "abi/proc.h"
#include "lib/sys/descriptor.h"
#include "lib/sys/error.h"
#include "lib/sys/file.h"
#include "lib/sys/quota.h"
#include "lib/sys/spawn.h"
#include "lib/sys/startup.h"

#define EXIT_USAGE     125 /* as env, nice and their like */
#define EXIT_CANNOT    126
#define EXIT_NOT_FOUND 127

extern char **environ;

_Noreturn static void fail(int status, const char *what, int64_t error)
{
    fprintf(stderr, "sandbox: %s: %s\n", what, error_text(error));
    exit(status);
}

_Noreturn static void usage(void)
{
    fprintf(stderr, "usage: sandbox [-n] [-l limit=number]... scheme[=target]... -- program "
                    "[argument]...\n");
    exit(EXIT_USAGE);
}

/* --- The names ---------------------------------------------------------------------------------------------------- */

static void name_add(handle_t names, char *entry)
{
    char *target = strchr(entry, '=');

    if (target)
        *target++ = '\0';
    else
        target = entry;

    int64_t port = sys_namespace_lookup(HANDLE_SELF, target, strlen(target));

    if (port < 0)
        fail(EXIT_USAGE, target, port);

    int64_t result = sys_namespace_bind(names, entry, strlen(entry), (handle_t)port);

    if (result < 0)
        fail(EXIT_USAGE, entry, result);
    handle_drop((handle_t)port);
}

/* --- The program -------------------------------------------------------------------------------------------------- */

/* Where the shell would find it: a path or URI as it is, a bare name along PATH. */
static const char *program_find(const char *name)
{
    static char path[PATH_MAX];
    const char *folder = getenv("PATH");

    if (strchr(name, '/'))
        return name;
    while (folder && *folder) {
        size_t length = strcspn(folder, ":");

        snprintf(path, sizeof(path), "%.*s/%s", (int)length, folder, name);
        if (access(path, X_OK) == 0)
            return path;
        folder += length + (folder[length] == ':');
    }
    fprintf(stderr, "sandbox: %s: not found\n", name);
    exit(EXIT_NOT_FOUND);
}

/* A path as a URI: /x is fs's, /scheme:/x is how getcwd spells another protocol's. */
static void to_uri(const char *path, char *uri, size_t size)
{
    const char *colon = strchr(path, ':'), *slash = strchr(path + 1, '/');

    if (strstr(path, "://"))
        snprintf(uri, size, "%s", path);
    else if (path[0] == '/' && colon && (!slash || colon < slash))
        snprintf(uri, size, "%.*s://%s", (int)(colon - path - 1), path + 1,
                 colon[1] ? colon + 1 : "/");
    else if (path[0] == '/')
        snprintf(uri, size, "fs://%s", path);
    else
        uri[0] = '\0';
}

static void working_directory(char *uri, size_t size)
{
    char path[PATH_MAX];

    to_uri(getcwd(path, sizeof(path)) ? path : "/", uri, size);
}

/* Relative names are the working directory's. */
static void program_uri(const char *name, const char *folder, char *uri, size_t size)
{
    to_uri(name, uri, size);
    if (!uri[0])
        snprintf(uri, size, "%s/%s", folder, name);
}

/* --- The process -------------------------------------------------------------------------------------------------- */

struct given {
    struct spawn_handle handles[8];
    uint32_t count;
};

static void give(struct given *given, const char *name, handle_t handle)
{
    int64_t copy = handle == HANDLE_NONE ? HANDLE_NONE : handle_copy(handle, RIGHT_ALL);

    if (copy > 0)
        given->handles[given->count++] = (struct spawn_handle){name, (handle_t)copy};
}

/* Our child from now on; its pid. */
static pid_t adopt(handle_t process, handle_t proc)
{
    struct abi_command command = {.op = PROC_ADOPT, .send_count = 1};
    int64_t copy = handle_copy(process, RIGHT_CONTROL | RIGHT_MAP | RIGHT_WAIT | RIGHT_DUPLICATE |
                                            RIGHT_TRANSFER);

    command.send[0] = (handle_t)copy;

    int64_t result = copy < 0 ? copy : file_command(proc, &command);

    if (result < 0) {
        sys_ignore(sys_process_kill(process, 0));
        fail(EXIT_CANNOT, "procd", result);
    }
    return (pid_t)command.values[0];
}

/* What the command line says of the program. */
struct sandbox {
    handle_t names;
    bool no_processes;
    bool limited;
    uint64_t limits[QUOTA_COUNT];
};

static void limit_add(struct sandbox *sandbox, char *entry)
{
    char *value = entry ? strchr(entry, '=') : NULL;

    if (!value)
        usage();
    *value++ = '\0';

    const char *wrong = quota_parse(sandbox->limits, entry, value);

    if (wrong) {
        fprintf(stderr, "sandbox: %s: %s\n", entry, wrong);
        exit(EXIT_USAGE);
    }
    sandbox->limited = true;
}

/* What holds the account of the limits: a process that never runs. HANDLE_SELF: there are none. */
static handle_t account_make(const struct sandbox *sandbox)
{
    static const char name[] = "sandbox";
    struct abi_process_create create = {
        .name = (uintptr_t)name,
        .name_length = sizeof(name) - 1,
        .space_of = HANDLE_NONE,
        .flags = PROCESS_HOLDS_ACCOUNT,
        .limits = (uintptr_t)sandbox->limits,
        .limit_count = QUOTA_COUNT,
    };

    if (!sandbox->limited)
        return HANDLE_SELF;

    int64_t holder = sys_process_create(sandbox->names, &create);

    if (holder < 0)
        fail(EXIT_CANNOT, "account", holder);
    return (handle_t)holder;
}

static pid_t start(const char *name, char **argv, const struct sandbox *sandbox)
{
    char folder[PATH_MAX + 16], uri[2 * PATH_MAX + 32];
    handle_t proc = startup_handle("proc"), image = startup_handle("image"), process;
    const char *last = strrchr(name, '/');
    struct given given = {.count = 0};

    working_directory(folder, sizeof(folder));
    program_uri(name, folder, uri, sizeof(uri));
    give(&given, "fd:0", descriptor_handle(0));
    give(&given, "fd:1", descriptor_handle(1));
    give(&given, "fd:2", descriptor_handle(2));
    give(&given, "image", image);
    if (!sandbox->no_processes)
        give(&given, "proc", proc);

    struct spawn spawn = {
        .name = last ? last + 1 : name,
        .image = image,
        .namespace = sandbox->names,
        .account_of = account_make(sandbox),
        .cwd = folder,
        .argv = argv,
        .environment = environ,
        .handles = given.handles,
        .handle_count = given.count,
        .flags = EXEC_SUSPENDED,
    };
    int64_t result = spawn_program_open(HANDLE_SELF, uri, &spawn.program);

    if (result < 0)
        fail(result == -E_NOT_FOUND ? EXIT_NOT_FOUND : EXIT_CANNOT, uri, result);
    result = spawn_start(&spawn, &process);
    if (result < 0)
        fail(EXIT_CANNOT, uri, result);
    spawn_program_close(&spawn.program);

    pid_t pid = adopt(process, proc);

    result = sys_process_control(process, PROCESS_RESUME, 0);
    if (result < 0)
        fail(EXIT_CANNOT, uri, result);
    handle_drop(process);
    return pid;
}

/* End as it does. The terminal's signals are its own affair. */
static int end_like(pid_t pid)
{
    int status;

    signal(SIGINT, SIG_IGN);
    signal(SIGQUIT, SIG_IGN);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return EXIT_CANNOT;
    if (WIFEXITED(status))
        return WEXITSTATUS(status);
    signal(WTERMSIG(status), SIG_DFL);
    raise(WTERMSIG(status));
    return 128 + WTERMSIG(status);
}

/* Up to the "--"; where that is. */
static int options_read(struct sandbox *sandbox, int argc, char **argv)
{
    int at = 1;

    for (; at < argc && argv[at][0] == '-' && strcmp(argv[at], "--") != 0; at++) {
        if (strcmp(argv[at], "-n") == 0)
            sandbox->no_processes = true;
        else if (strcmp(argv[at], "-l") == 0)
            limit_add(sandbox, argv[++at]);
        else
            usage();
    }
    for (; at < argc && strcmp(argv[at], "--") != 0; at++) {
        if (argv[at][0] == '-')
            usage();
        name_add(sandbox->names, argv[at]);
    }
    return at;
}

int main(int argc, char **argv)
{
    int64_t names = sys_namespace_create(HANDLE_SELF, NAMESPACE_EMPTY);

    if (names < 0)
        fail(EXIT_CANNOT, "namespace", names);

    struct sandbox sandbox = {.names = (handle_t)names};

    quota_none(sandbox.limits);

    int at = options_read(&sandbox, argc, argv);

    if (at + 1 >= argc)
        usage();
    return end_like(start(program_find(argv[at + 1]), argv + at + 1, &sandbox));
}
