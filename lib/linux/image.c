/* See image.h. */
#include "lib/linux/image.h"

#include "abi/ops.h"
#include "lib/base/string.h"
#include "lib/linux/answer.h"
#include "lib/linux/file.h"
#include "lib/linux/heap.h"
#include "lib/linux/memory.h"
#include "lib/linux/stat.h"

#define PIECE 65536u

/* A file whose service cannot map it, copied into memory of our own. */
static int64_t memory_copy(struct file *file, struct image *image)
{
    int64_t memory = sys_memory_create(image->size, 0);
    char *piece = pages_alloc(PIECE);
    uint64_t done = 0;
    int64_t result = memory < 0 || !piece ? -LINUX_ENOMEM : 0;

    while (!result && done < image->size) {
        struct abi_command command;

        memset(&command, 0, sizeof(command));
        command.op = OP_READ;
        command.args[0] = done;
        command.out = (uint64_t)piece;
        command.out_length = PIECE;
        result = answer(sys_file_call(file->handle, &command));
        if (result < 0)
            break;
        uint64_t got = MIN(command.values[0], image->size - done);
        if (!got)
            break; /* it shrank: the rest is zero */
        result = answer(sys_memory_op((handle_t)memory, MEMORY_OP_WRITE, done, got, piece));
        result = MIN(result, INT64_C(0));
        done += got;
    }
    pages_free(piece, PIECE);
    if (result < 0) {
        handle_drop(memory < 0 ? HANDLE_NONE : (handle_t)memory);
        return result;
    }
    image->memory = (handle_t)memory;
    image->offset = 0;
    return 0;
}

static int64_t memory_get(struct file *file, struct image *image)
{
    struct abi_command command;

    memset(&command, 0, sizeof(command));
    command.op = OP_MAP;
    command.args[1] = image->size;
    command.args[2] = PROT_READ_ | PROT_EXECUTE_;
    int64_t result = sys_file_call(file->handle, &command);
    if (result == -E_NOT_SUPPORTED || result == -E_NO_CALL || result == -E_INVALID)
        return memory_copy(file, image);
    if (result < 0)
        return answer(result);
    if (command.receive_count != 1)
        return -LINUX_EIO;
    image->memory = command.receive[0];
    image->offset = command.values[0];
    image->size = MIN(image->size, command.values[1]);
    return 0;
}

static int64_t head_read(struct image *image, size_t length)
{
    heap_free(image->head);
    image->head_length = MIN(length, image->size);
    image->head = heap_alloc(image->head_length + 1);
    if (!image->head)
        return -LINUX_ENOMEM;
    int64_t result = answer(sys_memory_op(image->memory, MEMORY_OP_READ, image->offset,
                                          image->head_length, image->head));
    return MIN(result, INT64_C(0));
}

int64_t image_open(struct path *path, struct image *image)
{
    struct abi_stat stat;

    *image = (struct image){.memory = HANDLE_NONE};
    int64_t result = path_open(path, OPEN_READ, 0);
    if (result < 0)
        return result;
    struct file file = {.references = 1, .handle = (handle_t)result, .kind = KIND_FILE};
    result = stat_file(&file, &stat);
    image->size = stat.size;
    if (result >= 0 && (stat.type != FILE_REGULAR || !(stat.mode & 0111)))
        result = -LINUX_EACCES;
    if (result >= 0)
        result = stat.size ? memory_get(&file, image) : -LINUX_ENOEXEC;
    if (result >= 0)
        result = head_read(image, IMAGE_HEAD);
    handle_drop(file.handle);
    if (result < 0)
        image_close(image);
    return result;
}

int64_t image_elf(struct image *image)
{
    int error = elf_read(image->head, image->head_length, image->size, USER_LIMIT, &image->elf);

    if (error == -E_TOO_LONG) {
        int64_t result = head_read(image, image->elf.headers_end);
        if (result < 0)
            return result;
        error = elf_read(image->head, image->head_length, image->size, USER_LIMIT, &image->elf);
    }
    return error == -E_ACCESS ? -LINUX_EACCES : error ? -LINUX_ENOEXEC : 0;
}

static int64_t map_at(uint64_t start, uint64_t end, handle_t memory, uint64_t offset,
                      uint32_t protection)
{
    struct abi_map map = {
        .address = start,
        .length = end - start,
        .offset = offset,
        .memory = memory,
        .protection = protection,
        .flags = MAP_FIXED_,
    };

    return start < end ? answer(sys_space_map(HANDLE_SELF, &map)) : 0;
}

/* The page where the file part ends is zeroed behind it: it is private, and made writable for that moment. */
static int64_t tail_clear(uint64_t from, uint64_t end, uint32_t protection)
{
    uint64_t page = ALIGN_DOWN(from, (uint64_t)PAGE_SIZE);
    int64_t result = 0;

    if (from == end)
        return 0;
    if (!(protection & PROT_WRITE_))
        result = answer(sys_space_protect(HANDLE_SELF, page, PAGE_SIZE, PROT_READ_ | PROT_WRITE_));
    if (result < 0)
        return result;
    memset((void *)from, 0, end - from);
    if (!(protection & PROT_WRITE_))
        result = answer(sys_space_protect(HANDLE_SELF, page, PAGE_SIZE, protection));
    return result;
}

int64_t image_map(const struct image *image, uint64_t bias)
{
    struct elf_segment segment;
    uint32_t index = 0;

    while (elf_segment(&image->elf, &index, &segment)) {
        uint64_t start = segment.address + bias, file_end = start + segment.file_length;
        uint64_t page = ALIGN_DOWN(start, (uint64_t)PAGE_SIZE);
        uint64_t end = ALIGN_UP(start + segment.memory_length, (uint64_t)PAGE_SIZE);
        uint64_t file_page = segment.file_length ? ALIGN_UP(file_end, (uint64_t)PAGE_SIZE) : page;
        uint64_t offset = image->offset + ALIGN_DOWN(segment.offset, (uint64_t)PAGE_SIZE);
        int64_t result = map_at(page, file_page, image->memory, offset, segment.protection);

        if (result >= 0)
            result = map_at(file_page, end, HANDLE_NONE, 0, segment.protection);
        if (result >= 0 && segment.file_length && segment.file_length < segment.memory_length)
            result = tail_clear(file_end, file_page, segment.protection);
        if (result < 0)
            return result;
    }
    return 0;
}

void image_close(struct image *image)
{
    handle_drop(image->memory);
    heap_free(image->head);
    image->memory = HANDLE_NONE;
    image->head = NULL;
}
