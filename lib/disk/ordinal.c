/* Which of its kind a function is: pci:///devices lists all of them in the order of their addresses. */
#include <stdlib.h>
#include <string.h>

#include "lib/disk/driver.h"
#include "lib/sys/file.h"

#define LIST_LIMIT (1u << 20)

/* "00:04.0 010000 1af4:1042 ...", as in sbin/initd/driver_conf.h. */
static bool line_fits(const char *line, bool (*fits)(uint32_t, uint16_t, uint16_t))
{
    const char *at = strchr(line, ' ');
    char *end;
    if (!at)
        return false;
    unsigned long class_code = strtoul(at, &end, 16), vendor = strtoul(end, &end, 16);
    return *end == ':' &&
           fits((uint32_t)class_code, (uint16_t)vendor, (uint16_t)strtoul(end + 1, NULL, 16));
}

uint32_t disk_ordinal(const char *function,
                      bool (*fits)(uint32_t class_code, uint16_t vendor, uint16_t device))
{
    const char *slash = strrchr(function, '/'), *name = slash ? slash + 1 : function;
    char *text, *rest, *line;
    size_t length;
    uint32_t count = 0;
    if (file_load(HANDLE_SELF, "pci:///devices", LIST_LIMIT, &text, &length) < 0)
        return 0;
    for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ' ')
            break;
        count += line_fits(line, fits);
    }
    free(text);
    return count;
}
