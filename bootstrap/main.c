/* The first process: unpacks the boot archive, starts init from it, then serves it as initfs://.
 *
 *     gunzip -> tree_build -> proto_create("initfs") -> spawn(init) -> "initfsd" -> initfs_serve
 *
 * The kernel gives it struct boot_arguments (abi/boot.h); init is given everything in it that services need:
 * "resource" (all devices), "image" (lib/linux.elf), "archive", "port:initfs", "framebuffer", "acpi" (the tables), "self" (its own process),
 * what it needs to bring back this process ("process:initfsd", "program:initfsd": the ELF file), and as environment
 * the command line's key=value words, PROTOS_FRAMEBUFFER and PROTOS_ARCHIVE (its length). The command
 * line's init= names the program (default initfs:///sbin/initd); words behind "--" are its arguments. init itself is
 * kept by the kernel (SYSTEM_KEEP): it comes back with these handles, and finds with "port:log", which is made here for
 * that, what it kept there.
 *
 * Whatever stops it is one line on the log, "initfs: <cause>", and the machine is turned off.
 *
 * The same program, as /sbin/initfsd, is what initd starts in its place when it ends: then "archive", "port:initfs" and
 * PROTOS_ARCHIVE are all it has and all it needs.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/boot.h"
#include "bootstrap/gunzip.h"
#include "bootstrap/serve.h"
#include "bootstrap/tree.h"
#include "lib/sys/error.h"
#include "lib/sys/map.h"
#include "lib/sys/spawn.h"
#include "lib/sys/startup.h"

#define DEFAULT_INIT "initfs:///sbin/initd"
#define PERSONALITY  "/lib/linux.elf"
#define OWN_PROGRAM  "/sbin/initfsd"
#define BOOT_NAME    "bootstrap" /* argv[0] of the first process */
#define THREADS      2u
#define WORDS_MAX    128u

static const struct boot_arguments *const arguments = (const struct boot_arguments *)BOOT_ARGUMENTS;

NORETURN static void machine_stop(void)
{
    sys_ignore(sys_system_control(arguments->resource, SYSTEM_POWER_OFF, 0));
    fprintf(stderr, "initfs: cannot boot; halted\n");
    for (;;)
        sys_ignore(sys_wait_many(NULL, 0, DEADLINE_NEVER));
}

NORETURN static void boot_fail(const char *cause, int64_t error)
{
    if (error)
        fprintf(stderr, "initfs: %s: %s\n", cause, error_text(error));
    else
        fprintf(stderr, "initfs: %s\n", cause);
    machine_stop();
}

/* NULL, or why it failed. */
static const char *archive_unpack(struct tree *tree, handle_t archive, uint64_t archive_length)
{
    uint8_t *tar;
    size_t length;
    if (archive == HANDLE_NONE || archive_length == 0)
        return "the loader brought no archive (initfs.tar.gz)";
    int64_t address = memory_map(archive, 0, archive_length, PROT_READ_);
    if (address < 0)
        return "cannot map the archive";
    const char *problem = gunzip((const uint8_t *)address, archive_length, &tar, &length);
    sys_ignore(
        sys_space_unmap(HANDLE_SELF, (uint64_t)address, ALIGN_UP(archive_length, PAGE_SIZE)));
    if (!problem) {
        problem = tree_build(tree, tar, length);
        gunzip_free(tar, length);
    }
    return problem;
}

/* The command line as words, each terminated. */
struct words {
    char text[BOOT_COMMAND_LINE_MAX + 1];
    char *word[WORDS_MAX + 1];
    size_t count;
};

static void command_line_split(struct words *words)
{
    size_t length = MIN(arguments->command_line_length, BOOT_COMMAND_LINE_MAX);
    char *rest = words->text, *word;
    memcpy(words->text, arguments->command_line, length);
    words->text[length] = '\0';
    words->count = 0;
    while (words->count < WORDS_MAX && (word = strsep(&rest, " \t\n")))
        if (*word)
            words->word[words->count++] = word;
}

struct init {
    const char *uri;
    char *argv[WORDS_MAX + 2];
    char *environment[WORDS_MAX + 3];
    char framebuffer[128], archive[48];
};

/* Splits the command line into init's program, arguments and environment. */
static void init_describe(struct init *init, const struct words *words)
{
    size_t argument_count = 1, environment_count = 0;
    bool rest = false;
    init->uri = DEFAULT_INIT;
    for (size_t i = 0; i < words->count; i++) {
        char *word = words->word[i];
        if (rest)
            init->argv[argument_count++] = word;
        else if (strcmp(word, "--") == 0)
            rest = true;
        else if (strncmp(word, "init=", 5) == 0 && word[5])
            init->uri = word + 5;
        else if (strchr(word, '='))
            init->environment[environment_count++] = word;
    }
    init->argv[0] = (char *)(uintptr_t)init->uri;
    if (arguments->framebuffer != HANDLE_NONE) {
        snprintf(init->framebuffer, sizeof(init->framebuffer),
                 "PROTOS_FRAMEBUFFER=%" PRIu64 "x%" PRIu64 ",%" PRIu64 ",%u,%u:%u,%u:%u,%u:%u",
                 arguments->framebuffer_width, arguments->framebuffer_height,
                 arguments->framebuffer_pitch, arguments->framebuffer_bits, arguments->red_shift,
                 arguments->red_bits, arguments->green_shift, arguments->green_bits,
                 arguments->blue_shift, arguments->blue_bits);
        init->environment[environment_count++] = init->framebuffer;
    }
    snprintf(init->archive, sizeof(init->archive), "PROTOS_ARCHIVE=%" PRIu64,
             arguments->archive_length);
    init->environment[environment_count++] = init->archive;
}

/* init and the personality come from the tree: nobody serves it yet. */
static void program_find(const struct tree *tree, const char *uri, struct spawn_program *program)
{
    static const char scheme[] = "initfs://";
    const char *path = uri;
    struct walk walk;
    if (strncmp(uri, scheme, sizeof(scheme) - 1) == 0)
        path += sizeof(scheme) - 1;
    int64_t result = tree_walk(tree, path, strlen(path), WALK_FOLLOW, &walk);
    if (result == 0 && (walk.node->type != FILE_REGULAR || walk.node->memory == HANDLE_NONE))
        result = -E_BAD_FORMAT;
    if (result < 0)
        boot_fail(uri, result);
    *program = (struct spawn_program){walk.node->memory, 0, walk.node->size, uri};
}

static handle_t duplicate(handle_t handle, uint32_t rights)
{
    int64_t result = handle_copy(handle, rights);
    if (result < 0)
        boot_fail("cannot duplicate a handle for init", result);
    return (handle_t)result;
}

/* The name of init's process: what follows the last slash. */
static const char *name_of(const char *uri)
{
    const char *slash = strrchr(uri, '/');
    return slash && slash[1] ? slash + 1 : uri;
}

/* init's own, a copy of ours with fs:// and log://. *log: all rights. */
static handle_t namespace_make(handle_t initfs, handle_t *log)
{
    int64_t names = sys_namespace_create(HANDLE_SELF, 0);
    if (names < 0)
        boot_fail("cannot make init's namespace", names);
    int64_t result = sys_namespace_bind((handle_t)names, "fs", 2, initfs);
    if (result < 0)
        boot_fail("cannot bind fs://", result);
    result = sys_proto_create((handle_t)names, "log", 3);
    if (result < 0)
        boot_fail("cannot create log://", result);
    *log = (handle_t)result;
    return (handle_t)names;
}

static void handle_give(struct spawn *spawn, struct spawn_handle *handles, const char *name,
                        handle_t handle, uint32_t rights)
{
    handles[spawn->handle_count++] = (struct spawn_handle){name, duplicate(handle, rights)};
}

/* It is there before its first instruction, and comes back after its last. */
static void init_keep_and_run(const char *uri, handle_t process)
{
    int64_t result = sys_system_control(arguments->resource, SYSTEM_KEEP, (uint64_t)process);
    if (result >= 0)
        result = sys_process_control(process, PROCESS_RESUME, 0);
    if (result < 0)
        boot_fail(uri, result);
    handle_drop(process);
}

static void init_start(const struct tree *tree, handle_t initfs)
{
    static struct words words;
    static struct init init;
    struct spawn_program image, own;
    struct spawn_handle handles[9];
    struct spawn spawn = {.argv = init.argv,
                          .environment = init.environment,
                          .handles = handles,
                          .flags = SPAWN_SELF | EXEC_SUSPENDED};
    const uint32_t memory_rights = RIGHT_READ | RIGHT_EXECUTE | RIGHT_DUPLICATE | RIGHT_TRANSFER;
    handle_t process, log;

    command_line_split(&words);
    init_describe(&init, &words);
    program_find(tree, init.uri, &spawn.program);
    program_find(tree, PERSONALITY, &image);
    program_find(tree, OWN_PROGRAM, &own);
    spawn.name = name_of(init.uri);
    spawn.image = image.memory;
    spawn.namespace = namespace_make(initfs, &log);
    handle_give(&spawn, handles, "resource", arguments->resource, RIGHT_ALL);
    handle_give(&spawn, handles, "image", image.memory, memory_rights);
    handle_give(&spawn, handles, "archive", arguments->archive, memory_rights);
    handle_give(&spawn, handles, "port:initfs", initfs, RIGHT_ALL);
    handle_give(&spawn, handles, "port:log", log, RIGHT_ALL);
    handle_give(&spawn, handles, "process:initfsd", arguments->process, RIGHT_ALL);
    handle_give(&spawn, handles, "program:initfsd", own.memory, memory_rights);
    if (arguments->framebuffer != HANDLE_NONE)
        handle_give(&spawn, handles, "framebuffer", arguments->framebuffer, RIGHT_ALL);
    if (arguments->acpi != HANDLE_NONE)
        handle_give(&spawn, handles, "acpi", arguments->acpi, RIGHT_ALL);
    int64_t result = spawn_start(&spawn, &process);
    if (result < 0)
        boot_fail(init.uri, result);
    init_keep_and_run(init.uri, process);
    handle_drop(spawn.namespace);
    handle_drop(log);
}

NORETURN static void boot(struct tree *tree)
{
    const char *problem = archive_unpack(tree, arguments->archive, arguments->archive_length);
    if (problem)
        boot_fail(problem, 0);
    int64_t port = sys_proto_create(HANDLE_SELF, "initfs", 6);
    if (port < 0)
        boot_fail("cannot create initfs://", port);
    init_start(tree, (handle_t)port);
    fprintf(stderr, "initfs: %zu names, %" PRIu64 " KiB\n", tree->count, tree->bytes / 1024);
    sys_ignore(sys_process_rename(HANDLE_SELF, "initfsd", 7));
    boot_fail("cannot serve", initfs_serve(tree, (handle_t)port, THREADS));
}

static void come_back(struct tree *tree)
{
    const char *length = getenv("PROTOS_ARCHIVE");
    handle_t port = startup_require("port:initfs");
    const char *problem =
        archive_unpack(tree, startup_require("archive"), length ? strtoull(length, NULL, 10) : 0);
    if (problem)
        fprintf(stderr, "%s\n", problem);
    else
        fprintf(stderr, "cannot serve: %s\n", error_text(initfs_serve(tree, port, THREADS)));
}

int main(int argc, char **argv)
{
    static struct tree tree;
    if (argc > 0 && strcmp(argv[0], BOOT_NAME) == 0)
        boot(&tree);
    come_back(&tree);
    return 1;
}
