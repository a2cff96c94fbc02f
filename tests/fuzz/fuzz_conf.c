/* Service configurations: any bytes. */
// sources: lib/sys/conf.c lib/sys/quota.c sbin/initd/service_conf.c
#include <stdlib.h>
#include <string.h>

#include "sbin/initd/service_conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct service_conf conf;
    struct conf_problem problem;
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    if (service_conf_parse(&conf, "fuzz", text, size, &problem) == 0 && !conf.arguments.items[0])
        abort();
    service_conf_destroy(&conf);
    free(text);
    return 0;
}
