/* A driver of QEMU's edu device as initd starts one: with its function's URI as its first argument.
 *
 *     edud URI           claims it, has it compute once, says so on the log, and waits for more
 *     edud URI reach     ... but first it tries to claim whatever else there is, and ends if it gets anything
 *     edud URI storm     ... but the first time it never acknowledges its interrupts, and does not end when the device is taken
 *                        from it
 */
#include "tests/guest/tools/edu.h"

/* How often the device was taken from its driver (pci:///devices). */
static unsigned resets(const char *uri)
{
    char *text;
    size_t length;
    unsigned count = 0;

    must("devices", file_load(HANDLE_SELF, "pci:///devices", 65536, &text, &length));
    const char *line = strstr(text, strrchr(uri, '/') + 1);
    if (!line || sscanf(line, "%*s %*s %*s %u", &count) != 1)
        fail("it is not listed", -E_NOT_FOUND);
    free(text);
    return count;
}

static void storm(void)
{
    struct abi_command command;

    while (ask(PCI_BAR, 0, CACHE_NONE, 0, &command) != -E_CLOSED) {
        if (command.receive_count)
            handle_drop(command.receive[0]);
        for (int i = 0; i < 1000; i++)
            registers[IRQ_RAISE / 4] = 1;
    }
    refused("an interrupt of a revoked claim",
            ask(PCI_INTERRUPT, PCI_INTERRUPT_MSI, 0, IRQ_ANY_CPU, &command), -E_CLOSED);
    must("a look at it", ask(PCI_CONFIG_READ, 0, 2, 0, &command));
    for (;;)
        pause();
}

/* Every function that is listed, by way of what a driver may name: with what initd did not start it for it has nothing to do. */
static void reach(const char *own)
{
    char *text, *rest, uri[64];
    size_t length;
    unsigned refusals = 0;
    handle_t file;

    must("devices", file_load(HANDLE_SELF, "pci:///devices", 65536, &text, &length));
    rest = text;
    for (char *line; (line = strsep(&rest, "\n")) && *line;) {
        const char *name = strsep(&line, " ");

        if (strcmp(name, strrchr(own, '/') + 1) == 0)
            continue;
        snprintf(uri, sizeof(uri), "pci:///%s/device", name);
        refused(uri, file_open(HANDLE_SELF, uri, OPEN_READ | OPEN_WRITE, &file), -E_PERMISSION);
        snprintf(uri, sizeof(uri), "pci-claim:///%s/device", name);
        refused(uri, file_open(HANDLE_SELF, uri, OPEN_READ | OPEN_WRITE, &file), -E_NO_PROTOCOL);
        refusals++;
    }
    free(text);
    fprintf(stderr, "%u others are refused\n", refusals);
}

int main(int argc, char **argv)
{
    char uri[64];

    if (argc < 2)
        return 2;
    if (argc > 2 && strcmp(argv[2], "reach") == 0)
        reach(argv[1]);
    snprintf(uri, sizeof(uri), "%s/device", argv[1]);
    claim(uri);
    map_registers();
    handle_t irq = interrupt(PCI_INTERRUPT_MSI);
    if (argc > 2 && strcmp(argv[2], "storm") == 0 && resets(argv[1]) == 0)
        storm();
    compute(irq);
    fprintf(stderr, "drives %s\n", argv[1]);
    for (;;)
        pause();
}
