/* A driver of QEMU's edu device, by way of pcid.
 *
 *     edu_driver check URI     claims it, uses every kind of thing pcid gives, and tries what it must not give
 *     edu_driver hold URI      claims it, makes it a bus master with DMA memory, prints "holding", and stays; a line on its
 *                              standard input makes it ask pcid once more
 *     edu_driver astray URI    has the device read and write memory that is not its own any more; says "confined" when none of it
 *                              arrived, "unconfined" when all did
 *     edu_driver insist URI    does that until the device is taken from it
 *     edu_driver busy URI      has the device write to its DMA memory without end; when it is killed, a child that has the memory, too,
 *                              says whether the device writes on
 *     edu_driver storm URI     never acknowledges its interrupts, until somebody switches them off
 *
 * Prints what fails and ends with status 1, or "ok".
 */
#include "tests/guest/tools/edu.h"

/* Through the device, from the first page to the second. */
static void copy_page(handle_t irq, uint8_t *bytes, const uint64_t pages[2])
{
    static uint8_t round;

    round++;
    for (uint32_t i = 0; i < DMA_LENGTH; i++)
        bytes[i] = (uint8_t)(i * 5 + round);
    transfer(irq, pages[0], BUFFER, 0);
    transfer(irq, BUFFER, pages[1], 2);
    for (uint32_t i = 0; i < DMA_LENGTH; i++)
        if (bytes[PAGE_SIZE + i] != (uint8_t)(i * 5 + round))
            fail("DMA brought something else", -E_IO);
}

static void check_dma(handle_t irq)
{
    uint64_t pages[2], number;
    uint8_t *bytes = dma_memory(pages, &number);
    struct abi_command command;

    master(true);
    copy_page(irq, bytes, pages);
    master(false);
    must("dma free", ask(PCI_DMA_FREE, number, 0, 0, &command));
    refused("dma free, twice", ask(PCI_DMA_FREE, number, 0, 0, &command), -E_NOT_FOUND);
}

/* What would reach beyond the device. */
static void check_guard(const char *uri)
{
    static const struct {
        uint32_t offset, size;
    } guarded[] = {{0x10, 4}, {0x14, 4}, {0x30, 4}, {0x3c, 1}, {0x40, 4},
                   {0x44, 4}, {0x4c, 2}, {0x06, 2}, {0x04, 4}, {0x100, 4}};
    struct abi_command command;
    handle_t other;

    for (size_t i = 0; i < ARRAY_SIZE(guarded); i++)
        refused("a guarded register",
                ask(PCI_CONFIG_WRITE, guarded[i].offset, guarded[i].size, 0, &command),
                -E_PERMISSION);
    refused("unaligned", ask(PCI_CONFIG_READ, 1, 2, 0, &command), -E_INVALID);
    refused("too wide", ask(PCI_CONFIG_READ, 0, 8, 0, &command), -E_INVALID);
    refused("no such bar", ask(PCI_BAR, 1, CACHE_NONE, 0, &command), -E_NOT_FOUND);
    refused("bar out of range", ask(PCI_BAR, 6, CACHE_NONE, 0, &command), -E_INVALID);
    refused("bar cache", ask(PCI_BAR, 0, 77, 0, &command), -E_INVALID);
    refused("no MSI-X", ask(PCI_INTERRUPT, PCI_INTERRUPT_MSIX, 0, IRQ_ANY_CPU, &command),
            -E_NOT_SUPPORTED);
    refused("second message", ask(PCI_INTERRUPT, PCI_INTERRUPT_MSI, 1, IRQ_ANY_CPU, &command),
            -E_RANGE);
    refused("dma without end", ask(PCI_DMA, UINT64_MAX, 0, 0, &command), -E_QUOTA);
    refused("dma flags", ask(PCI_DMA, PAGE_SIZE, 1, 0, &command), -E_INVALID);
    refused("dma, lent how", ask(PCI_DMA, PAGE_SIZE, 0, 2, &command), -E_INVALID);
    refused("dma again of nothing", ask(PCI_DMA_AGAIN, 0, 0, 0, &command), -E_INVALID);
    refused("another claim", file_open(HANDLE_SELF, uri, OPEN_READ | OPEN_WRITE, &other), -E_BUSY);
    refused("no operation", ask(PCI_DMA_AGAIN + 1, 0, 0, 0, &command), -E_NO_CALL);
    must("command register", ask(PCI_CONFIG_WRITE, 4, 2, 0xffff, &command));
    must("read it", ask(PCI_CONFIG_READ, 4, 2, 0, &command));
    if ((command.values[0] & ~PCI_COMMAND_NO_LINE & 0xfef8) != 0)
        fail("more of the command register was written", -E_IO);
}

static void check(const char *uri)
{
    struct pci_description description;
    struct abi_command command = {
        .op = PCI_DESCRIBE, .out = (uintptr_t)&description, .out_length = sizeof(description)};

    claim(uri);
    must("describe", file_command(device, &command));
    if (description.vendor != 0x1234 || description.device != 0x11e8 || !description.msi ||
        description.bars[0].length != 0x100000)
        fail("it describes something else", -E_IO);
    map_registers();
    for (int i = 0; i < 3; i++) {
        handle_t irq = interrupt(i == 0 ? PCI_INTERRUPT_LINE : PCI_INTERRUPT_MSI);
        compute(irq);
        if (i)
            check_dma(irq);
        handle_drop(irq);
    }
    check_guard(uri);
    handle_drop(device);
    claim(uri);
    printf("ok\n");
}

static void hold(const char *uri)
{
    uint64_t pages[2], number;
    char line[16];
    struct abi_command command;

    claim(uri);
    map_registers();
    uint8_t *bytes = dma_memory(pages, &number);
    handle_t irq = interrupt(PCI_INTERRUPT_ANY);
    master(true);
    printf("holding\n");
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin)) {
        compute(irq);
        copy_page(irq, bytes, pages);
        must("read", ask(PCI_CONFIG_READ, 0, 2, 0, &command));
        printf("still %04" PRIx64 "\n", command.values[0]);
        fflush(stdout);
    }
    for (;;)
        pause();
}

/* Memory that we see, and that the device was given once, and no more. */
static uint8_t *lost_memory(uint64_t pages[2])
{
    uint64_t number;
    struct abi_command command;
    uint8_t *bytes = dma_memory(pages, &number);

    must("dma free", ask(PCI_DMA_FREE, number, 0, 0, &command));
    return bytes;
}

static void astray(const char *uri)
{
    uint64_t own[2], lost[2], number;

    claim(uri);
    map_registers();
    handle_t irq = interrupt(PCI_INTERRUPT_MSI);
    uint8_t *mine = dma_memory(own, &number), *other = lost_memory(lost);
    master(true);
    copy_page(irq, mine, own);
    memset(other, 0x55, DMA_LENGTH);
    transfer(irq, BUFFER, lost[0], 2);
    bool written = other[0] != 0x55;
    memset(other, 0xaa, DMA_LENGTH);
    transfer(irq, lost[0], BUFFER, 0);
    transfer(irq, BUFFER, own[1], 2);
    bool read = mine[PAGE_SIZE] == 0xaa && mine[PAGE_SIZE + DMA_LENGTH - 1] == 0xaa;
    copy_page(irq, mine, own); /* and its own goes on */
    printf("%s\n", written && read ? "unconfined" : written || read ? "half" : "confined");
}

static void start_transfer(uint64_t from, uint64_t to, uint32_t command)
{
    *(volatile uint64_t *)&registers[DMA_SOURCE / 4] = from;
    *(volatile uint64_t *)&registers[DMA_TARGET / 4] = to;
    registers[DMA_COUNT / 4] = DMA_LENGTH;
    registers[DMA_COMMAND / 4] = command | 1;
}

static void insist(const char *uri)
{
    uint64_t lost[2];
    struct abi_command command;

    claim(uri);
    map_registers();
    lost_memory(lost);
    master(true);
    while (ask(PCI_CONFIG_WRITE, 4, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, &command) !=
           -E_CLOSED) {
        start_transfer(BUFFER, lost[0], 2);
        while (registers[DMA_COMMAND / 4] & 1)
            usleep(10000);
    }
    printf("ok\n");
}

static bool is_free(const char *uri)
{
    char info[64], *text;
    size_t length;

    snprintf(info, sizeof(info), "%.*s/info", (int)(strrchr(uri, '/') - uri), uri);
    must("info", file_load(HANDLE_SELF, info, 65536, &text, &length));
    bool found = strstr(text, "driver: none");
    free(text);
    return found;
}

/* Until the claim has ended with the parent; from then on nothing is written. A transfer of edu takes 100 ms. */
static void watch(const char *uri, uint8_t *bytes)
{
    while (!is_free(uri))
        usleep(10000);
    memset(bytes, 0, 2 * PAGE_SIZE);
    for (int i = 0; i < 50; i++) {
        usleep(10000);
        for (uint32_t at = 0; at < 2 * PAGE_SIZE; at++)
            if (((volatile uint8_t *)bytes)[at])
                fail("the device writes on", -E_IO);
    }
    printf("untouched\n");
    exit(0);
}

static void busy(const char *uri)
{
    uint64_t pages[2], number;

    claim(uri);
    map_registers();
    uint8_t *bytes = dma_memory(pages, &number);
    memset(bytes, 0x77, DMA_LENGTH);
    master(true);
    start_transfer(pages[0], BUFFER, 0);
    while (registers[DMA_COMMAND / 4] & 1)
        usleep(10000);
    if (fork() == 0) {
        handle_drop(device);
        watch(uri, bytes);
    }
    for (;;) {
        start_transfer(BUFFER, pages[1], 2);
        while (registers[DMA_COMMAND / 4] & 1)
            ;
    }
}

static void storm(const char *uri)
{
    struct abi_command command;

    claim(uri);
    map_registers();
    handle_t irq = interrupt(PCI_INTERRUPT_MSI);
    /* What is raised again before its CPU has taken it, counts once: as long as that takes. */
    struct abi_wait wait = {.handle = irq, .signals = SIGNAL_ERROR};
    do
        for (int i = 0; i < 1000; i++)
            registers[IRQ_RAISE / 4] = 1;
    while (sys_wait_many(&wait, 1, DEADLINE_NOW) != 1);
    for (int i = 0; i < 1000; i++) {
        must("read", ask(PCI_CONFIG_READ, 0x42, 2, 0, &command)); /* MSI control */
        if (!(command.values[0] & 1)) {
            printf("ok\n");
            return;
        }
        usleep(10000);
    }
    fail("its messages are still on", -E_TIMED_OUT);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "check") == 0)
        check(argv[2]);
    else if (argc == 3 && strcmp(argv[1], "hold") == 0)
        hold(argv[2]);
    else if (argc == 3 && strcmp(argv[1], "storm") == 0)
        storm(argv[2]);
    else if (argc == 3 && strcmp(argv[1], "astray") == 0)
        astray(argv[2]);
    else if (argc == 3 && strcmp(argv[1], "busy") == 0)
        busy(argv[2]);
    else if (argc == 3 && strcmp(argv[1], "insist") == 0)
        insist(argv[2]);
    else
        return 2;
    return 0;
}
