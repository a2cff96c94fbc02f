// sources: sbin/ahcid/driver.c sbin/ahcid/adapter.c sbin/ahcid/port.c sbin/ahcid/slots.c sbin/ahcid/command.c sbin/ahcid/ata.c
/* An adapter that does anything: the input is a list of requests of ours, of interrupts with and without a cause, of registers that
 * change, of bytes that it writes into any memory it was given, of disks that come and go and say anything of themselves. What must hold:
 * a request is answered once for each start, nothing outside is touched, and it comes to rest. */
#include "abi/errors.h"
#include "tests/fuzz/input.h"
#include "tests/host/fake_ahci.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

static struct input input;

static void request_make(void)
{
    static const uint32_t ops[] = {DISK_READ, DISK_WRITE, OP_SYNC, DISK_DISCARD};
    uint32_t op = ops[next(&input, 1) % ARRAY_SIZE(ops)];

    if (!fake_disk_count)
        return;
    struct disk *disk = fake_disks[next(&input, 1) % fake_disk_count];
    (void)!fake_start(fake_request(disk, op, next(&input, 2), next(&input, 1) % FAKE_SEGMENTS + 1));
}

static void memory_write(void)
{
    uint32_t which = next(&input, 1) % (fake_dma_count / 2);
    uint8_t *bytes = fake_dma[2 * which];

    bytes[next(&input, 2) % PAGE_SIZE] = (uint8_t)next(&input, 1);
}

static void identify_change(struct fake_port *port)
{
    for (uint32_t count = next(&input, 1) % 4; count; count--)
        fake_identify_word(port, next(&input, 1) % 255, next(&input, 2));
    if (next(&input, 1) % 4)
        fake_identify_sum(port);
}

static void step(void)
{
    uint32_t number = next(&input, 1) % FAKE_PORTS;
    struct fake_port *port = &fake_ahci.ports[number];

    switch (next(&input, 1) % 10) {
    case 0:
    case 1:
        request_make();
        break;
    case 2: /* it says that some are done, with or without a reason */
        port->registers[AHCI_PORT_CI / 4] &= next(&input, 4);
        port->registers[AHCI_PORT_SACT / 4] &= next(&input, 4);
        fake_ahci_raise(number, next(&input, 1) % 2 ? AHCI_INT_REGISTERS : next(&input, 4));
        break;
    case 3:
        port->registers[AHCI_PORT_TFD / 4] = next(&input, 2);
        fake_ahci_raise(number, AHCI_INT_TASK);
        break;
    case 4:
        memory_write();
        break;
    case 5:
        if (fake_disk_count)
            (void)!fake_reset(fake_disks[next(&input, 1) % fake_disk_count]);
        break;
    case 6:
        fake_ahci_connect(number, next(&input, 1) & 1);
        break;
    case 7:
        identify_change(port);
        break;
    case 8: { /* but not the bits that say it runs: an adapter that does not stop ends the driver, and so the test */
        uint32_t which = next(&input, 1) % (AHCI_PORT_SIZE / 4);

        if (which != AHCI_PORT_CMD / 4 && which >= AHCI_PORT_IS / 4)
            port->registers[which] = next(&input, 4);
        port->silent = next(&input, 1) & 1;
        break;
    }
    default:
        (void)fake_ahci_step();
    }
    if (next(&input, 1) % 2)
        (void)fake_ahci_step();
}

/* What the driver has to say of its device goes nowhere. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    stderr = fopen("/dev/null", "w");
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    input = (struct input){data, data + length};
    fake_ahci_plug();
    fake_ahci.hold = fake_ahci.lawless = true;
    fake_ahci.capabilities =
        AHCI_CAP_64 | (next(&input, 4) & ~1u); /* all ones would be nothing at all */
    identify_change(&fake_ahci.ports[0]);
    fake_require(ahcid_serve("pci:///00:1f.2") == 0, "it does not begin");
    for (unsigned i = 0; i < 500 && input.at < input.end; i++)
        step();
    fake_ahci_settle();
    fake_ahci.gone = true;
    fake_interrupt(AHCID_KEY_IRQ);
    fake_require(!fake_disk_count, "a disk of nothing");
    list_for_each (struct fake_request, request, &fake_requests, link)
        fake_require(!request->started, "a request was forgotten");
    fake_ahci_unplug();
    return 0;
}
