/* fbd: fb://, the framebuffers of this machine (displays.h), fb:///0 and on. One thread: a display is never waited for once its
 * framebuffers are served. A file's cookie is its framebuffer's number + 1; the folder's is ROOT. */
#include <stdio.h>
#include <string.h>

#include "lib/sys/conf.h"
#include "lib/sys/error.h"
#include "lib/sys/listing.h"
#include "lib/sys/startup.h"
#include "sbin/fbd/displays.h"

#define ROOT UINT64_MAX

static uint32_t count;

/* The cookie of the open file, or of what the path names. */
static int64_t find(const struct command *command, uint64_t *cookie)
{
    const char *name;
    char text[12] = "";
    uint64_t number;
    *cookie = command->message.cookie;
    if (command->message.file && command->message.op != OP_OPEN)
        return 0;
    size_t length = command_name(command, &name);
    *cookie = ROOT;
    if (!length)
        return 0;
    if (length >= sizeof(text))
        return -E_NOT_FOUND;
    memcpy(text, name, length);
    if (count == 0 || !conf_number(text, count - 1, &number))
        return -E_NOT_FOUND;
    *cookie = number + 1;
    return 0;
}

static int64_t find_framebuffer(const struct command *command, uint32_t *index)
{
    uint64_t cookie;
    int64_t result = find(command, &cookie);
    if (result >= 0 && cookie == ROOT)
        result = -E_IS_DIRECTORY;
    *index = (uint32_t)(cookie - 1);
    return result;
}

static int64_t fb_open(void *context, struct command *command)
{
    uint64_t flags = command->message.args[0];
    int64_t result = find(command, &command->reply.values[0]);
    (void)context;
    if (result < 0)
        return result;
    if (command->reply.values[0] == ROOT)
        return flags & OPEN_WRITE ? -E_IS_DIRECTORY : 0;
    return flags & OPEN_DIRECTORY ? -E_NOT_DIRECTORY : 0;
}

static int64_t fb_mode(void *context, struct command *command)
{
    uint32_t index;
    int64_t result = find_framebuffer(command, &index);
    (void)context;
    if (result < 0)
        return result;
    return command_answer(command, &displays_at(index)->mode, sizeof(struct fb_mode));
}

static uint64_t size_of(const struct fb_mode *mode)
{
    return (uint64_t)mode->pitch * mode->height;
}

static int64_t fb_map(void *context, struct command *command)
{
    uint64_t from = command->message.args[0], length = command->message.args[1];
    uint32_t index;
    int64_t result = find_framebuffer(command, &index);
    (void)context;
    if (result < 0)
        return result;
    uint64_t size = size_of(&displays_at(index)->mode);
    if (command->message.args[2] & PROT_EXECUTE_)
        return -E_ACCESS;
    if (from % PAGE_SIZE || from > size || length > size - from)
        return -E_RANGE;
    command->reply.values[0] = displays_at(index)->offset + from;
    command->reply.values[1] = length;
    return command_answer_handle(
        command, handle_copy(displays_memory(index),
                             RIGHT_READ | RIGHT_WRITE | RIGHT_DUPLICATE | RIGHT_TRANSFER));
}

static int64_t fb_damage(void *context, struct command *command)
{
    const uint64_t *args = command->message.args;
    uint32_t index;
    int64_t result = find_framebuffer(command, &index);
    (void)context;
    if (result < 0)
        return result;
    const struct fb_mode *mode = &displays_at(index)->mode;
    if (args[0] > mode->width || args[2] > mode->width - args[0] || args[1] > mode->height ||
        args[3] > mode->height - args[1])
        return -E_RANGE;
    displays_damage(index, &(struct gpu_rectangle){(uint32_t)args[0], (uint32_t)args[1],
                                                   (uint32_t)(args[0] + args[2]),
                                                   (uint32_t)(args[1] + args[3])});
    return 0;
}

static int64_t fb_stat(void *context, struct command *command)
{
    static struct abi_stat stat;
    uint64_t cookie;
    int64_t result = find(command, &cookie);
    (void)context;
    if (result < 0)
        return result;
    bool root = cookie == ROOT;
    stat = (struct abi_stat){
        .size = root ? 0 : size_of(&displays_at((uint32_t)cookie - 1)->mode),
        .inode = root ? UINT32_MAX : cookie,
        .device = 1,
        .type = root ? FILE_DIRECTORY : FILE_CHARACTER,
        .mode = root ? 0700 : 0600,
        .links = 1,
        .block_size = PAGE_SIZE,
        .rdev = root ? 0 : 29 << 8 | (cookie - 1), /* Linux's fb0 and on */
    };
    return command_answer(command, &stat, sizeof(stat));
}

static int64_t fb_list(void *context, struct command *command)
{
    static uint64_t entries[512];
    char name[12];
    uint64_t cookie;
    int64_t result = find(command, &cookie);
    (void)context;
    if (result >= 0 && cookie != ROOT)
        result = -E_NOT_DIRECTORY;
    if (result < 0)
        return result;
    struct listing listing = listing_begin(command, entries, sizeof(entries));
    for (bool room = true; room && listing.position < count;) {
        snprintf(name, sizeof(name), "%u", (unsigned)listing.position);
        room = listing_add(&listing, name, listing.position + 1, FILE_CHARACTER);
    }
    return listing_end(&listing);
}

static void fb_notified(void *context, uint64_t key, uint64_t signals)
{
    (void)context;
    (void)signals;
    displays_notified(key);
}

static command_handler *const operations[SERVICE_OPERATIONS] = {
    [OP_OPEN] = fb_open,
    [OP_STAT] = fb_stat,
    [OP_LIST] = fb_list,
    [OP_MAP] = fb_map,
    [SERVICE_INDEX(FB_MODE)] = fb_mode,
    [SERVICE_INDEX(FB_DAMAGE)] = fb_damage,
};

int main(void)
{
    struct service service = {
        .port = startup_require("port:fb"),
        .operations = operations,
        .notified = fb_notified,
    };
    count = displays_start(service.port);
    if (!count)
        fprintf(stderr, "this machine has no display that is known here\n");
    fprintf(stderr, "cannot serve: %s\n", error_text(service_run(&service, 1)));
    return 1;
}
