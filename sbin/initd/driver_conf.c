/* Rules and lists of devices: see driver_conf.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* strsep */
#endif
#include "sbin/initd/driver_conf.h"

#include <ctype.h>
#include <fnmatch.h>
#include <string.h>

#include "abi/abi.h"
#include "abi/errors.h"

#define RULE_WORDS 3u

static bool is_name(const char *word, size_t longest)
{
    size_t length = strlen(word);
    for (const char *c = word; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr(".:-_", *c))
            return false;
    return length >= 1 && length <= longest && word[0] != '.';
}

static int wrong(struct conf_reader *reader, const char *problem)
{
    reader->problem = problem;
    return -E_BAD_FORMAT;
}

int driver_rule_next(struct conf_reader *reader, struct driver_rule *rule)
{
    char *words[RULE_WORDS];
    int count = conf_next(reader, words, RULE_WORDS);
    if (count <= 0)
        return count;
    if (count != RULE_WORDS)
        return wrong(reader, "a bus, a pattern and a service are wanted");
    if (!is_name(words[0], PROTOCOL_NAME_MAX) || strchr(words[0], ':'))
        return wrong(reader, "not the name of a bus");
    if (!is_name(words[2], PROCESS_NAME_MAX))
        return wrong(reader, "not the name of a service");
    *rule = (struct driver_rule){.bus = words[0], .pattern = words[1], .service = words[2]};
    return 1;
}

bool bus_device_next(char **text, struct bus_device *device)
{
    char *line;
    while ((line = strsep(text, "\n"))) {
        const char *name = strsep(&line, " "), *class_code = strsep(&line, " "),
                   *ids = strsep(&line, " "), *resets = strsep(&line, " ");
        if (!resets || !is_name(name, BUS_NAME_MAX) ||
            !conf_number(resets, UINT64_MAX, &device->resets))
            continue;
        device->name = name;
        device->class_code = class_code;
        device->ids = ids;
        return true;
    }
    return false;
}

bool driver_rule_fits(const struct driver_rule *rule, const char *bus,
                      const struct bus_device *device)
{
    return strcmp(rule->bus, bus) == 0 && (fnmatch(rule->pattern, device->class_code, 0) == 0 ||
                                           fnmatch(rule->pattern, device->ids, 0) == 0);
}
