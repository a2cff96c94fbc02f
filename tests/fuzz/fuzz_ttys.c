/* /etc/ttys: any bytes. (/etc/services is what conf_next makes of it.) */
// sources: lib/sys/conf.c lib/sys/quota.c sbin/initd/service_conf.c sbin/initd/ttys.c
#include <stdlib.h>
#include <string.h>

#include "sbin/initd/ttys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1); /* room for the end of the last word, as file_load gives */
    struct ttys ttys = {.reader = {.text = text, .length = size}};
    struct terminal_conf terminal;
    uint32_t line = 0;
    int result;
    memcpy(text, data, size);
    while ((result = ttys_next(&ttys, &terminal)) != 0) {
        check(ttys.reader.line > line);
        line = ttys.reader.line;
        if (result < 0) {
            check(ttys.problem);
            continue;
        }
        check(terminal.terminal && terminal.conf.program && terminal.conf.name);
        check(terminal.conf.arguments.count > 0 && terminal.conf.arguments.items[0]);
        check(terminal.conf.environment.count == ttys.common.environment.count + 1);
        terminal_conf_destroy(&terminal);
    }
    ttys_end(&ttys);
    free(text);
    return 0;
}
