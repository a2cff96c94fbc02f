/* A service for the scenario power/services: `stopper PROTOCOL write` takes a while for writing out what
 * it has when the system stops, `stopper PROTOCOL hang` never ends by itself. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/sys/error.h"
#include "lib/sys/service.h"
#include "lib/sys/startup.h"

#define WRITE_US 1000000

static void write_out(void *context)
{
    (void)context;
    fprintf(stderr, "writes\n");
    usleep(WRITE_US);
    fprintf(stderr, "everything is written\n");
}

static void hang(void *context)
{
    (void)context;
    fprintf(stderr, "hangs\n");
    for (;;)
        sys_ignore(sys_wait_many(NULL, 0, DEADLINE_NEVER));
}

int main(int argc, char **argv)
{
    static command_handler *const operations[SERVICE_OPERATIONS];
    char name[STARTUP_NAME_MAX + 1];
    if (argc != 3)
        return 2;
    snprintf(name, sizeof(name), "port:%s", argv[1]);
    struct service service = {
        .port = startup_require(name),
        .operations = operations,
        .stopping = strcmp(argv[2], "hang") == 0 ? hang : write_out,
    };
    fprintf(stderr, "cannot serve: %s\n", error_text(service_run(&service, 1)));
    return 1;
}
