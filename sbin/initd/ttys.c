/* Lines of /etc/ttys: what the ones say is said of all terminals below. */
#include "sbin/initd/ttys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/errors.h"

static bool strings_add_all(struct strings *to, const struct strings *from)
{
    for (size_t i = 0; i < from->count; i++)
        if (!strings_add(to, from->items[i]))
            return false;
    return true;
}

/* The process is called what the shell's argv[0] says, without a login shell's '-' and folders. */
static const char *name_of(const char *argument)
{
    const char *slash = strrchr(argument, '/');
    if (slash && slash[1])
        argument = slash + 1;
    return *argument == '-' && argument[1] ? argument + 1 : argument;
}

bool terminal_conf_make(struct terminal_conf *terminal, const struct service_conf *common,
                        char *const *words, size_t count)
{
    struct service_conf *conf = &terminal->conf;
    char term[128];
    *terminal = (struct terminal_conf){.terminal = strdup(words[1])};
    snprintf(term, sizeof(term), "TERM=%s", words[2]);
    conf->program = strdup(words[3]);
    conf->name = strdup(name_of(count > 4 ? words[4] : words[3]));
    bool complete = terminal->terminal && conf->program && conf->name &&
                    strings_add_all(&conf->uses, &common->uses) &&
                    strings_add_all(&conf->environment, &common->environment) &&
                    strings_add_all(&conf->gives, &common->gives) &&
                    strings_add(&conf->environment, term) && strings_add(&conf->gives, "image");
    for (size_t i = 4; i < count && complete; i++)
        complete = strings_add(&conf->arguments, words[i]);
    if (complete && count == 4)
        complete = strings_add(&conf->arguments, words[3]);
    if (!complete)
        terminal_conf_destroy(terminal);
    return complete;
}

void terminal_conf_destroy(struct terminal_conf *terminal)
{
    service_conf_destroy(&terminal->conf);
    free(terminal->terminal);
    *terminal = (struct terminal_conf){.terminal = NULL};
}

static int wrong(struct ttys *ttys, int error, const char *problem)
{
    ttys->problem = problem;
    return error;
}

/* What is said of all terminals below. 1: it was that; 0: another key. */
static int common_add(struct service_conf *common, char *const *words, int count)
{
    struct strings *list;
    if (strcmp(words[0], "use") == 0)
        list = &common->uses;
    else if (strcmp(words[0], "environment") == 0)
        list = &common->environment;
    else if (strcmp(words[0], "give") == 0)
        list = &common->gives;
    else
        return 0;
    for (int i = 1; i < count; i++)
        if (!strings_add(list, words[i]))
            return -E_NO_MEMORY;
    return 1;
}

int ttys_next(struct ttys *ttys, struct terminal_conf *terminal)
{
    char *words[TTYS_WORDS];
    int count;
    while ((count = conf_next(&ttys->reader, words, TTYS_WORDS)) > 0) {
        int common = common_add(&ttys->common, words, count);
        if (common < 0)
            return wrong(ttys, common, "no memory");
        if (common)
            continue;
        if (strcmp(words[0], "terminal") != 0)
            return wrong(ttys, -E_BAD_FORMAT, "no such key");
        if (count < 4)
            return wrong(ttys, -E_BAD_FORMAT, "terminal: URI, TERM and program are wanted");
        if (!terminal_conf_make(terminal, &ttys->common, words, (size_t)count))
            return wrong(ttys, -E_NO_MEMORY, "no memory");
        return 1;
    }
    return count < 0 ? wrong(ttys, count, ttys->reader.problem) : 0;
}

void ttys_end(struct ttys *ttys)
{
    service_conf_destroy(&ttys->common);
}
