/* OP_CONTROL: what Linux programs ask of a block device, as the operations it stands for. */
#include "lib/disk/internal.h"

/* In place of the control, the operation on its range. */
static int64_t range_control(void *context, struct command *command, uint64_t flags)
{
    uint64_t range[2];
    int64_t result = command_read_exactly(command, range, sizeof(range));
    if (result < 0)
        return result;
    command->message.op = DISK_DISCARD;
    command->message.args[0] = range[0];
    command->message.args[1] = range[1];
    command->message.args[2] = flags;
    return disk_discard(context, command);
}

static int64_t answer_number(struct command *command, uint64_t number)
{
    static uint64_t answer;
    answer = number;
    return command_answer(command, &answer, sizeof(answer));
}

static int64_t answer_value(struct command *command, uint64_t value)
{
    command->reply.values[0] = value;
    return 0;
}

int64_t disk_control(void *context, struct command *command)
{
    struct disk_file *file;
    int64_t result = file_find(command, &file);
    if (result < 0)
        return result == -E_IS_DIRECTORY ? -E_NOT_TERMINAL : result;
    const struct disk_geometry *geometry = &file->disk->geometry;
    switch ((enum disk_control)command->message.args[0]) {
    case DISK_CONTROL_READ_ONLY:
        return answer_value(command, geometry->flags & DISK_IS_READ_ONLY ? 1 : 0);
    case DISK_CONTROL_RESCAN:
        files_tell(file->host);
        return 0;
    case DISK_CONTROL_SECTORS:
        return answer_number(command, file_length(file) / 512);
    case DISK_CONTROL_SIZE:
        return answer_number(command, file_length(file));
    case DISK_CONTROL_SECTOR:
        return answer_value(command, geometry->sector);
    case DISK_CONTROL_PHYSICAL_SECTOR:
        return answer_value(command, geometry->physical_sector);
    case DISK_CONTROL_BLOCK:
        return answer_value(command, PAGE_SIZE);
    case DISK_CONTROL_SYNC:
        command->message.op = OP_SYNC;
        return disk_sync(context, command);
    case DISK_CONTROL_DISCARD:
        return range_control(context, command, 0);
    case DISK_CONTROL_ZERO:
        return range_control(context, command, DISK_ZERO);
    }
    return -E_NOT_TERMINAL;
}
