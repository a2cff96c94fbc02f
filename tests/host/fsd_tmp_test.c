// sources: sbin/fsd.tmp/arena.c sbin/fsd.tmp/directory.c sbin/fsd.tmp/inode.c sbin/fsd.tmp/opens.c sbin/fsd.tmp/walk.c
// sources: sbin/fsd.tmp/found.c sbin/fsd.tmp/names.c sbin/fsd.tmp/bytes.c sbin/fsd.tmp/attributes.c lib/sys/listing.c lib/fsd/path.c lib/fsd/numbers.c
/* fsd.tmp's commands against a model of plain arrays, with a process that dies in the middle of many of them. */
#include <setjmp.h>
#include <sys/mman.h>

#include "lib/fsd/numbers.h"
#include "lib/sys/keep.h"
#include "sbin/fsd.tmp/commands.h"
#include "sbin/fsd.tmp/data.h"
#include "sbin/fsd.tmp/found.h"
#include "sbin/fsd.tmp/store.h"
#include "tests/host/test.h"

#define ARENA_ROOM (UINT64_C(64) << 20)
#define DATA_ROOM  8192u

handle_t store_port;
static int64_t clock_now = 1000;

/* --- What the process has around the commands --- */

int64_t time_now(void)
{
    return clock_now++;
}

bool arena_grow(uint64_t size)
{
    return size <= ARENA_ROOM;
}

int64_t syscall_raw(uint32_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
                    uint64_t f)
{
    (void)number, (void)a, (void)b, (void)c, (void)d, (void)e, (void)f;
    return -E_NOT_FOUND; /* no file is open any more */
}

void *keep_memory(handle_t port, uint64_t key, size_t length)
{
    static uint64_t kept[1024];
    (void)port, (void)key;
    CHECK(length <= sizeof(kept));
    return kept;
}

int64_t transaction(void *context, struct command *command)
{
    return bytes_read(context, command);
}

static const uint8_t *in;

int64_t command_read(const struct command *command, uint64_t offset, void *buffer, size_t length)
{
    (void)command;
    memcpy(buffer, in + offset, length);
    return (int64_t)length;
}

int64_t command_read_exactly(const struct command *command, void *buffer, size_t length)
{
    return command->in_length == length ? command_read(command, 0, buffer, length) : -E_INVALID;
}

int64_t command_answer_handle(struct command *command, int64_t handle)
{
    (void)command;
    return handle;
}

/* --- Bytes: in the process's memory, by the inode; they survive it here as they do there --- */

static struct bytes {
    ref_t inode;
    uint8_t bytes[DATA_ROOM];
} stored[4096];
static struct inode *dropped[16];
static size_t dropped_count;

static jmp_buf death;
static uint32_t pieces_left; /* until the process dies; 0: it lives */

static struct bytes *bytes_of(const struct inode *inode)
{
    struct bytes *free = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(stored); i++) {
        if (stored[i].inode == arena_ref(inode))
            return &stored[i];
        if (!stored[i].inode && !free)
            free = &stored[i];
    }
    memset(free, 0, sizeof(*free));
    free->inode = arena_ref(inode);
    return free;
}

int64_t data_reach(struct inode *inode, uint64_t offset, uint64_t *length)
{
    if (offset + *length > DATA_ROOM)
        return -E_FILE_TOO_BIG;
    struct bytes *bytes = bytes_of(inode);
    memset(bytes->bytes + inode->size, 0, DATA_ROOM - inode->size);
    *length = MIN(*length, UINT64_C(150)); /* a piece */
    return 0;
}

int64_t data_write(struct inode *inode, uint64_t offset, const void *from, uint64_t length)
{
    memcpy(bytes_of(inode)->bytes + offset, from, length);
    return 0;
}

int64_t data_window(struct inode *inode, uint64_t offset, uint64_t length, void **bytes)
{
    (void)length;
    *bytes = bytes_of(inode)->bytes + offset;
    return 0;
}

int64_t data_written(struct inode *inode, uint64_t offset, uint64_t length)
{
    (void)inode, (void)offset, (void)length;
    if (pieces_left && !--pieces_left)
        longjmp(death, 1);
    return 0;
}

int64_t data_view(struct inode *inode, uint64_t offset, const void **bytes)
{
    *bytes = bytes_of(inode)->bytes + offset;
    return 0;
}

int64_t data_resize(struct inode *inode, uint64_t size)
{
    if (size > DATA_ROOM)
        return -E_FILE_TOO_BIG;
    struct bytes *bytes = bytes_of(inode);
    memset(bytes->bytes + MIN(size, inode->size), 0, DATA_ROOM - MIN(size, inode->size));
    arena_set(&inode->size, size);
    return 0;
}

int64_t data_share(struct inode *inode, bool write)
{
    (void)inode, (void)write;
    return -E_NO_MEMORY;
}

void data_drop(struct inode *inode)
{
    dropped[dropped_count++] = inode;
}

void data_finish(bool committed)
{
    for (size_t i = 0; committed && i < dropped_count; i++)
        bytes_of(dropped[i])->inode = 0;
    dropped_count = 0;
}

/* --- A command, and the deaths in the middle of it --- */

static uint64_t seed;

static uint32_t random_below(uint32_t limit)
{
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (uint32_t)(seed >> 33) % limit;
}

static void *memory;

static void process_begins(void)
{
    found_forget_all();
    CHECK(arena_open(memory, ARENA_ROOM));
    CHECK_EQUAL(opens_recover(), 0);
    struct numbered last = {arena->roots[ROOT_NUMBER], arena->roots[ROOT_DONE],
                            arena->roots[ROOT_OFFSET]};
    CHECK_EQUAL(numbers_recover(0, STORE_KEY_NUMBERS, &last), 0);
}

static struct command command;
static char path_buffer[PATH_LENGTH_MAX + 8];

static void command_make(uint32_t op, const char *path, uint64_t first, uint64_t second,
                         const void *text, size_t length)
{
    memset(&command, 0, sizeof(command));
    command.message.op = op;
    command.message.args[0] = first;
    command.message.args[1] = second;
    command.message.out_length = PATH_LENGTH_MAX;
    command.message.file = 0;
    strcpy(path_buffer, path);
    command.path = path_buffer;
    command.path_length = strlen(path);
    in = text;
    command.data = text;
    command.data_length = command.in_length = length;
}

/* A third of them begins, dies at the end of all it does but the last, or of a piece of what it writes, and is done by the next process. */
static int64_t run(command_handler *handler)
{
    for (volatile int deaths = 0; deaths < 2; deaths++) {
        struct command copy = command;
        if (random_below(6))
            break;
        pieces_left = random_below(4);
        if (!setjmp(death))
            (void)handler(NULL, &copy);
        pieces_left = 0;
        dropped_count = 0;
        process_begins();
    }
    int64_t result = handler(NULL, &command);
    if (result < 0)
        arena_abort();
    else
        arena_commit();
    data_finish(result >= 0);
    return result;
}

/* --- The model: every name there is, by its path --- */

#define NAMES  6u
#define DEPTH  3u
#define PLACES (NAMES + NAMES * NAMES + NAMES * NAMES * NAMES)

static struct thing {
    uint32_t type;
    uint32_t size;
    uint8_t bytes[DATA_ROOM];
} things[512];

static int model[PLACES]; /* of the thing there; -1: none */

/* Places: 0..5 in the root; 6 + 6 p + n below place p. */
static int parent_of(int place)
{
    return place < (int)NAMES ? -1 : (place - (int)NAMES) / (int)NAMES;
}

static bool is_folder(int place)
{
    return place < 0 || (model[place] >= 0 && things[model[place]].type == FILE_DIRECTORY);
}

static void place_path(int place, char *path)
{
    char name[8];
    if (place < 0) {
        strcpy(path, "/1");
        return;
    }
    place_path(parent_of(place), path);
    snprintf(name, sizeof(name), "/%c", 'a' + place % (int)NAMES);
    strcat(path, name);
}

static int child_of(int place, unsigned name)
{
    int64_t child = place < 0 ? name : (int64_t)NAMES + NAMES * (int64_t)place + name;
    return child < (int64_t)PLACES ? (int)child : -2;
}

static bool has_children(int place)
{
    for (unsigned name = 0; name < NAMES; name++) {
        int child = child_of(place, name);
        if (child >= 0 && model[child] >= 0)
            return true;
    }
    return false;
}

/* What is said of a path before its last name is looked at; 0: its directory is there. */
static int64_t above_error(int place)
{
    int parent = parent_of(place);
    if (parent < 0)
        return 0;
    int64_t error = above_error(parent);
    if (error)
        return error;
    if (model[parent] < 0)
        return -E_NOT_FOUND;
    return is_folder(parent) ? 0 : -E_NOT_DIRECTORY;
}

static int thing_new(uint32_t type)
{
    bool used[ARRAY_SIZE(things)] = {false};
    for (size_t i = 0; i < PLACES; i++)
        if (model[i] >= 0)
            used[model[i]] = true;
    for (int i = 0; i < (int)ARRAY_SIZE(things); i++)
        if (!used[i]) {
            memset(&things[i], 0, sizeof(things[i]));
            things[i].type = type;
            return i;
        }
    CHECK(false);
    return -1;
}

static void make_one(int place, const char *path)
{
    int64_t want = above_error(place);
    if (!want && model[place] >= 0)
        want = -E_EXISTS;
    command_make(OP_MKDIR, path, 0755, 0, NULL, 0);
    CHECK_EQUAL(run(names_make), want);
    if (!want)
        model[place] = thing_new(FILE_DIRECTORY);
}

/* Opens, writes or appends, closes. */
static void write_one(int place, const char *path)
{
    static uint8_t bytes[512];
    int64_t want = above_error(place);
    static uint64_t id = 1, number = 1;
    if (!want && model[place] >= 0 && is_folder(place))
        want = -E_IS_DIRECTORY;
    command_make(OP_OPEN, path, OPEN_WRITE | OPEN_CREATE, 0644, NULL, 0);
    command.message.file = ++id;
    CHECK_EQUAL(run(names_open), want);
    if (want)
        return;
    if (model[place] < 0)
        model[place] = thing_new(FILE_REGULAR);
    struct thing *thing = &things[model[place]];
    uint64_t cookie = command.reply.values[0], offset = random_below(3000);
    size_t length = 1 + random_below(sizeof(bytes));
    bool append = thing->size + length <= DATA_ROOM && random_below(2);
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)random_below(255);
    number += 2;
    command_make(OP_WRITE, "", offset, number, bytes, length);
    if (append) {
        command.message.flags = COMMAND_APPEND;
        offset = thing->size;
    }
    command.message.file = id;
    command.message.cookie = cookie;
    CHECK_EQUAL(run(bytes_write), 0);
    CHECK_EQUAL(command.reply.values[0], length);
    CHECK_EQUAL(command.reply.values[1], offset + length);
    memcpy(thing->bytes + offset, bytes, length);
    thing->size = MAX(thing->size, (uint32_t)(offset + length));
    opens_sweep(true);
}

static void unlink_one(int place, const char *path)
{
    bool folder = random_below(2);
    int64_t want = above_error(place);
    if (!want && model[place] < 0)
        want = -E_NOT_FOUND;
    if (!want && folder != is_folder(place))
        want = folder ? -E_NOT_DIRECTORY : -E_IS_DIRECTORY;
    if (!want && folder && has_children(place))
        want = -E_NOT_EMPTY;
    command_make(OP_UNLINK, path, folder, 0, NULL, 0);
    CHECK_EQUAL(run(names_unlink), want);
    if (!want)
        model[place] = -1;
}

static void move_all(int from, int to)
{
    model[to] = model[from];
    model[from] = -1;
    for (unsigned name = 0; name < NAMES; name++) {
        int a = child_of(from, name), b = child_of(to, name);
        if (a >= 0 && b >= 0 && model[a] >= 0)
            move_all(a, b);
    }
}

static bool lies_in(int place, int folder)
{
    while (place >= 0 && place != folder)
        place = parent_of(place);
    return place == folder;
}

static int depth_below(int place)
{
    int deepest = 0;
    for (unsigned name = 0; name < NAMES; name++) {
        int child = child_of(place, name);
        if (child >= 0 && model[child] >= 0)
            deepest = MAX(deepest, 1 + depth_below(child));
    }
    return deepest;
}

static int depth_of(int place)
{
    return place < 0 ? 0 : 1 + depth_of(parent_of(place));
}

static void rename_one(int from, const char *path)
{
    char other[64];
    int to = (int)random_below(PLACES);
    place_path(to, other);
    int64_t want = above_error(from);
    if (!want)
        want = above_error(to);
    if (!want && model[from] < 0)
        want = -E_NOT_FOUND;
    bool folder = !want && is_folder(from);
    if (!want && folder && (from == to ? false : lies_in(parent_of(to), from)))
        want = -E_INVALID;
    if (!want && folder && from == to)
        want = 0;
    if (!want && folder && depth_of(to) + depth_below(from) > (int)DEPTH)
        return; /* the model has no room */
    if (!want && model[to] >= 0 && from != to) {
        if (folder != is_folder(to))
            want = folder ? -E_NOT_DIRECTORY : -E_IS_DIRECTORY;
        else if (folder && has_children(to))
            want = -E_NOT_EMPTY;
    }
    if (!want && model[to] >= 0 && from != to && folder == is_folder(to) && lies_in(from, to))
        want = -E_NOT_EMPTY;
    command_make(OP_RENAME, path, 0, 0, other, strlen(other));
    CHECK_EQUAL(run(names_rename), want);
    if (!want && from != to && model[from] != model[to])
        move_all(from, to);
}

static void check_one(int place, const char *path)
{
    int64_t want = above_error(place);
    if (!want && model[place] < 0)
        want = -E_NOT_FOUND;
    command_make(OP_STAT, path, 0, 0, NULL, 0);
    CHECK_EQUAL(attributes_stat(NULL, &command), want);
    if (want)
        return;
    const struct abi_stat *stat = (const struct abi_stat *)(uintptr_t)command.reply.data;
    const struct thing *thing = &things[model[place]];
    CHECK_EQUAL(stat->type, thing->type);
    if (thing->type != FILE_REGULAR)
        return;
    CHECK_EQUAL(stat->size, thing->size);
    if (thing->size)
        CHECK(memcmp(bytes_of(arena_at((ref_t)stat->inode))->bytes, thing->bytes, thing->size) ==
              0);
}

static void check_all(void)
{
    char path[64];
    for (int place = 0; place < (int)PLACES; place++) {
        place_path(place, path);
        check_one(place, path);
    }
}

static void step(void)
{
    char path[64];
    int place = (int)random_below(PLACES);
    if (random_below(2))
        place = (int)random_below(NAMES + NAMES * NAMES);
    place_path(place, path);
    switch (random_below(6)) {
    case 0:
    case 1:
        make_one(place, path);
        break;
    case 2:
        write_one(place, path);
        break;
    case 3:
        unlink_one(place, path);
        break;
    case 4:
        rename_one(place, path);
        break;
    default:
        check_one(place, path);
    }
}

TEST(commands_and_deaths)
{
    struct volume *volume;
    memory = mmap(NULL, ARENA_ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    seed = 5;
    memset(model, -1, sizeof(model));
    process_begins();
    CHECK_EQUAL(volume_create(10000, 0755, time_now(), &volume), 0);
    arena_commit();
    for (int i = 0; i < 100000; i++) {
        step();
        if (i % 5000 == 0)
            check_all();
    }
    check_all();
    /* All of it goes, and what is made then takes no more room than before. */
    opens_sweep(true);
    volume_destroy(volume_find(1));
    uint64_t end = arena->end;
    CHECK_EQUAL(volume_create(10000, 0755, time_now(), &volume), 0);
    arena_commit();
    CHECK_EQUAL(arena->end, end);
    CHECK(volume->inodes == 1 && volume->used == 0);
    munmap(memory, ARENA_ROOM);
}
