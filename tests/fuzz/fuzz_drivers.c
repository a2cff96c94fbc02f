/* Rules of /etc/drivers, and a bus's list of devices behind the first zero byte: any bytes. */
// sources: lib/sys/conf.c sbin/initd/driver_conf.c
#include <stdlib.h>
#include <string.h>

#include "sbin/initd/driver_conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *zero = memchr(data, '\0', size);
    size_t rules_size = zero ? (size_t)(zero - data) : size;
    size_t list_size = zero ? size - rules_size - 1 : 0;
    char *rules = malloc(rules_size + 1), *list = malloc(list_size + 1), *rest = list;
    struct conf_reader reader = {.text = rules, .length = rules_size};
    struct driver_rule rule = {"pci", "*", "x"}, next;
    struct bus_device device;
    int result;
    memcpy(rules, data, rules_size);
    memcpy(list, data + size - list_size, list_size);
    list[list_size] = '\0';
    while ((result = driver_rule_next(&reader, &next)) != 0) {
        if (result < 0)
            continue;
        check(!strchr(next.service, '/') && next.service[0] != '.');
        rule = next;
    }
    while (bus_device_next(&rest, &device)) {
        check(strlen(device.name) <= BUS_NAME_MAX && !strchr(device.name, '/'));
        driver_rule_fits(&rule, "pci", &device);
    }
    free(rules);
    free(list);
    return 0;
}
