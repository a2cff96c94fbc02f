/* The keys of a service's configuration, each a line of the table at the end. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* asprintf */
#endif
#include "sbin/initd/service_conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/abi.h"
#include "abi/errors.h"
#include "abi/startup.h"
#include "lib/sys/conf.h"
#include "lib/sys/quota.h"

#define WORDS_MAX    64u
#define READY_MS_MAX 600000u
#define STOP_MS_MAX  120000u

#define PROGRAM_FOLDER "initfs:///sbin/"

static const char no_memory[] = "no memory";

bool strings_add(struct strings *strings, const char *text)
{
    char *copy = strdup(text);
    char **items = realloc(strings->items, (strings->count + 2) * sizeof(*items));
    if (items)
        strings->items = items;
    if (!copy || !items) {
        free(copy);
        return false;
    }
    items[strings->count++] = copy;
    items[strings->count] = NULL;
    return true;
}

void strings_destroy(struct strings *strings)
{
    for (size_t i = 0; i < strings->count; i++)
        free(strings->items[i]);
    free(strings->items);
    *strings = (struct strings){0};
}

static const char *range_add(struct device_ranges *ranges, uint64_t base, uint64_t count)
{
    struct device_range *items = realloc(ranges->items, (ranges->count + 1) * sizeof(*items));
    if (!items)
        return no_memory;
    ranges->items = items;
    items[ranges->count++] = (struct device_range){base, count};
    return NULL;
}

/* A key's words[0..count) are its values. NULL, or what is wrong. */
typedef const char *key_handler(struct service_conf *conf, char **words, size_t count);

static const char *add_all(struct strings *strings, char **words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!strings_add(strings, words[i]))
            return no_memory;
    return NULL;
}

static const char *key_program(struct service_conf *conf, char **words, size_t count)
{
    (void)count;
    char *program = strdup(words[0]), *argument = strdup(words[0]);
    if (!program || !argument) {
        free(program);
        free(argument);
        return no_memory;
    }
    free(conf->program);
    conf->program = program;
    free(conf->arguments.items[0]);
    conf->arguments.items[0] = argument;
    return NULL;
}

static const char *key_argument(struct service_conf *conf, char **words, size_t count)
{
    return add_all(&conf->arguments, words, count);
}

/* A variable of initd's own, if it is set. */
static const char *environment_inherit(struct service_conf *conf, const char *name)
{
    const char *value = getenv(name);
    char *both;
    if (!value)
        return NULL;
    if (asprintf(&both, "%s=%s", name, value) < 0)
        return no_memory;
    bool added = strings_add(&conf->environment, both);
    free(both);
    return added ? NULL : no_memory;
}

static const char *key_environment(struct service_conf *conf, char **words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *problem = strchr(words[i], '=') ? add_all(&conf->environment, &words[i], 1)
                                                    : environment_inherit(conf, words[i]);
        if (problem)
            return problem;
    }
    return NULL;
}

static const char *names_add(struct strings *strings, char **words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(words[i]) > PROTOCOL_NAME_MAX || strchr(words[i], '/') || strchr(words[i], ':'))
            return "not a name";
    return add_all(strings, words, count);
}

static const char *key_protocol(struct service_conf *conf, char **words, size_t count)
{
    return names_add(&conf->protocols, words, count);
}

static const char *key_port(struct service_conf *conf, char **words, size_t count)
{
    (void)count;
    if (strlen(words[0]) > STARTUP_NAME_MAX - strlen("port:") || conf->port)
        return "port: one short name";
    conf->port = strdup(words[0]);
    return conf->port ? NULL : no_memory;
}

static const char *key_use(struct service_conf *conf, char **words, size_t count)
{
    return names_add(&conf->uses, words, count);
}

static const char *key_after(struct service_conf *conf, char **words, size_t count)
{
    return names_add(&conf->after, words, count);
}

static const char *key_give(struct service_conf *conf, char **words, size_t count)
{
    return names_add(&conf->gives, words, count);
}

static const char *key_ioport(struct service_conf *conf, char **words, size_t count)
{
    uint64_t base, ports;
    (void)count;
    if (!conf_number(words[0], 0xffff, &base) || !conf_number(words[1], 0x10000 - base, &ports) ||
        ports == 0)
        return "ioport: base and count are wanted, within 64 Ki ports";
    return range_add(&conf->ioports, base, ports);
}

static const char *key_memory(struct service_conf *conf, char **words, size_t count)
{
    uint64_t base, length;
    (void)count;
    if (!conf_number(words[0], UINT64_MAX - PAGE_SIZE, &base) ||
        !conf_number(words[1], UINT64_MAX - base, &length) || length == 0 ||
        (base | length) % PAGE_SIZE)
        return "memory: base and length are wanted, in whole pages";
    return range_add(&conf->memories, base, length);
}

static const char *add_numbers(struct device_ranges *ranges, char **words, uint64_t limit)
{
    uint64_t base, length;
    if (!conf_number(words[0], limit, &base) || !conf_number(words[1], limit - base, &length) ||
        length == 0)
        return "a base and a count are wanted";
    return range_add(ranges, base, length);
}

static const char *key_lines(struct service_conf *conf, char **words, size_t count)
{
    (void)count;
    return add_numbers(&conf->lines, words, UINT32_MAX);
}

static const char *key_messages(struct service_conf *conf, char **words, size_t count)
{
    (void)count;
    return add_numbers(&conf->messages, words, UINT32_MAX);
}

static const char *key_dma(struct service_conf *conf, char **words, size_t count)
{
    (void)count;
    return add_numbers(&conf->dmas, words, UINT64_MAX);
}

static const char *key_irq(struct service_conf *conf, char **words, size_t count)
{
    static const struct {
        const char *word;
        uint32_t flag;
    } flags[] = {{"isa", IRQ_ISA}, {"level", IRQ_LEVEL}, {"low", IRQ_LOW}};
    uint64_t line;
    uint32_t set = 0;
    if (!conf_number(words[0], 1023, &line))
        return "irq: a line is wanted";
    for (size_t i = 1; i < count; i++) {
        uint32_t flag = 0;
        for (size_t j = 0; j < ARRAY_SIZE(flags); j++)
            if (strcmp(words[i], flags[j].word) == 0)
                flag = flags[j].flag;
        if (!flag)
            return "irq: flags are isa, level and low";
        set |= flag;
    }
    return range_add(&conf->irqs, line, set);
}

static const char *key_power(struct service_conf *conf, char **words, size_t count)
{
    (void)words, (void)count;
    conf->power = true;
    return NULL;
}

static const char *key_clock(struct service_conf *conf, char **words, size_t count)
{
    (void)words, (void)count;
    conf->clock = true;
    return NULL;
}

static const char *key_restart(struct service_conf *conf, char **words, size_t count)
{
    (void)count;
    if (strcmp(words[0], "always") != 0 && strcmp(words[0], "never") != 0)
        return "restart: always or never";
    conf->restart = words[0][0] == 'a';
    return NULL;
}

static const char *key_priority(struct service_conf *conf, char **words, size_t count)
{
    uint64_t value;
    (void)count;
    if (!conf_number(words[0], CONF_PRIORITY_MAX, &value))
        return "priority: 0 to 31";
    conf->priority = (uint32_t)value;
    return NULL;
}

static const char *key_limit(struct service_conf *conf, char **words, size_t count)
{
    (void)count;
    conf->limited = true;
    return quota_parse(conf->limits, words[0], words[1]);
}

static const char *key_ready(struct service_conf *conf, char **words, size_t count)
{
    uint64_t value;
    (void)count;
    if (!conf_number(words[0], READY_MS_MAX, &value))
        return "ready: milliseconds, at most 600000";
    conf->ready_ms = (uint32_t)value;
    return NULL;
}

static const char *key_stop(struct service_conf *conf, char **words, size_t count)
{
    uint64_t value;
    (void)count;
    if (!conf_number(words[0], STOP_MS_MAX, &value))
        return "stop: milliseconds, at most 120000";
    conf->stop_ms = (uint32_t)value;
    return NULL;
}

static const struct {
    const char *word;
    size_t least, most; /* values */
    key_handler *handle;
} keys[] = {
    {"program", 1, 1, key_program},
    {"argument", 1, WORDS_MAX, key_argument},
    {"environment", 1, WORDS_MAX, key_environment},
    {"protocol", 1, WORDS_MAX, key_protocol},
    {"port", 1, 1, key_port},
    {"use", 1, WORDS_MAX, key_use},
    {"after", 1, WORDS_MAX, key_after},
    {"give", 1, WORDS_MAX, key_give},
    {"ioport", 2, 2, key_ioport},
    {"memory", 2, 2, key_memory},
    {"irq", 1, 4, key_irq},
    {"lines", 2, 2, key_lines},
    {"messages", 2, 2, key_messages},
    {"dma", 2, 2, key_dma},
    {"power", 0, 0, key_power},
    {"clock", 0, 0, key_clock},
    {"restart", 1, 1, key_restart},
    {"limit", 2, 2, key_limit},
    {"priority", 1, 1, key_priority},
    {"ready", 1, 1, key_ready},
    {"stop", 1, 1, key_stop},
};

static const char *line_apply(struct service_conf *conf, char **words, size_t count)
{
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        if (strcmp(words[0], keys[i].word) != 0)
            continue;
        if (count - 1 < keys[i].least || count - 1 > keys[i].most)
            return "the wrong number of values";
        return keys[i].handle(conf, words + 1, count - 1);
    }
    return "no such key";
}

static bool conf_start(struct service_conf *conf, const char *name)
{
    size_t length = sizeof(PROGRAM_FOLDER) + strlen(name);
    *conf =
        (struct service_conf){.restart = true, .ready_ms = CONF_READY_MS, .stop_ms = CONF_STOP_MS};
    quota_none(conf->limits);
    conf->name = strdup(name);
    conf->program = malloc(length);
    if (!conf->name || !conf->program)
        return false;
    strcpy(stpcpy(conf->program, PROGRAM_FOLDER), name);
    return strings_add(&conf->arguments, conf->program);
}

int service_conf_parse(struct service_conf *conf, const char *name, char *text, size_t length,
                       struct conf_problem *problem)
{
    struct conf_reader reader = {.text = text, .length = length};
    char *words[WORDS_MAX];
    int count;
    if (!conf_start(conf, name))
        return -E_NO_MEMORY;
    while ((count = conf_next(&reader, words, WORDS_MAX)) > 0) {
        const char *wrong = line_apply(conf, words, (size_t)count);
        if (!wrong)
            continue;
        *problem = (struct conf_problem){reader.line, wrong};
        return wrong == no_memory ? -E_NO_MEMORY : -E_BAD_FORMAT;
    }
    if (count < 0)
        *problem = (struct conf_problem){reader.line, reader.problem};
    return count;
}

bool service_conf_for_device(struct service_conf *conf, const char *uri)
{
    const char *slash = strrchr(uri, '/');
    char *name;
    if (!strings_add(&conf->arguments, uri))
        return false;
    char **items = conf->arguments.items, *last = items[conf->arguments.count - 1];
    memmove(items + 2, items + 1, (conf->arguments.count - 2) * sizeof(*items));
    items[1] = last;
    if (asprintf(&name, "%s@%s", conf->name, slash ? slash + 1 : uri) < 0)
        return false;
    free(conf->name);
    conf->name = name;
    return true;
}

void service_conf_destroy(struct service_conf *conf)
{
    free(conf->name);
    free(conf->program);
    free(conf->port);
    strings_destroy(&conf->arguments);
    strings_destroy(&conf->environment);
    strings_destroy(&conf->protocols);
    strings_destroy(&conf->uses);
    strings_destroy(&conf->after);
    strings_destroy(&conf->gives);
    free(conf->ioports.items);
    free(conf->irqs.items);
    free(conf->memories.items);
    free(conf->lines.items);
    free(conf->messages.items);
    free(conf->dmas.items);
    *conf = (struct service_conf){0};
}
