/* See log.h. */
#include "lib/linux/log.h"

#include "lib/base/string.h"
#include "lib/linux/user.h"

void log_text(const char *text)
{
    sys_ignore(sys_log_write(text, strlen(text)));
}

/* "text 0xnumber" pieces for one line. */
void log_fault(const char *what, uint64_t rip, uint64_t rsp, uint64_t address)
{
    static const char digits[] = "0123456789abcdef";
    const char *const names[] = {" at ", " rsp ", " address "};
    const uint64_t values[] = {rip, rsp, address};
    char line[128];
    size_t length = MIN(strlen(what), (size_t)32);

    memcpy(line, what, length);
    for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
        size_t name = strlen(names[i]);
        memcpy(line + length, names[i], name);
        length += name;
        int shift = 60;
        while (shift && !(values[i] >> shift))
            shift -= 4;
        for (; shift >= 0; shift -= 4)
            line[length++] = digits[values[i] >> shift & 15];
    }
    sys_ignore(sys_log_write(line, length));
}

void log_number(const char *text, uint64_t number)
{
    char line[96], digits[20];
    size_t length = MIN(strlen(text), sizeof(line) - sizeof(digits)), count = 0;

    memcpy(line, text, length);
    do
        digits[count++] = (char)('0' + number % 10);
    while (number /= 10);
    while (count)
        line[length++] = digits[--count];
    sys_ignore(sys_log_write(line, length));
}

void log_flush(struct process *process)
{
    if (process->log_length)
        sys_ignore(sys_log_write(process->log_line, process->log_length));
    process->log_length = 0;
}

int64_t log_bytes(struct process *process, uint64_t data, uint64_t length)
{
    int error = 0;

    lock(&process->lock);
    for (uint64_t i = 0; i < length && !error; i++) {
        char byte;

        error = user_read(&byte, data + i, 1);
        if (error)
            break;
        if (byte != '\n')
            process->log_line[process->log_length++] = byte;
        if (byte == '\n' || process->log_length == sizeof(process->log_line))
            log_flush(process);
    }
    unlock(&process->lock);
    return error ? error : (int64_t)length;
}
