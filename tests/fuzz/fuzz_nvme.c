// sources: sbin/nvmed/driver.c sbin/nvmed/disks.c sbin/nvmed/controller.c sbin/nvmed/command.c sbin/nvmed/identify.c sbin/nvmed/queue.c sbin/nvmed/status.c
/* A controller that does anything: the input is a list of requests of ours, of answers right and wrong, of bytes that it writes into
 * any memory it was given, of registers that change. What must hold: a request is answered once for each start, nothing outside
 * is touched, and after a reset by a controller that keeps the rules everything works, or the disks are gone. */
#include "abi/errors.h"
#include "sbin/nvmed/driver.h"
#include "tests/fuzz/input.h"
#include "tests/host/fake_nvme.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

static struct input input;

/* The fields that matter most can be hit by few bytes of input. */
static void corrupt(uint8_t *identify)
{
    for (uint32_t count = next(&input, 1) % 8; count; count--)
        identify[next(&input, 1) % 2 ? next(&input, 2) % NVME_PAGE : next(&input, 1) % 132] =
            (uint8_t)next(&input, 1);
}

static void request_make(void)
{
    static const uint32_t ops[] = {DISK_READ, DISK_WRITE, OP_SYNC, DISK_DISCARD};
    uint32_t op = ops[next(&input, 1) % ARRAY_SIZE(ops)];

    if (!fake_disk_count)
        return;
    struct disk *disk = fake_disks[next(&input, 1) % fake_disk_count];
    if (disk->geometry.sector * FAKE_SEGMENTS > PAGE_SIZE * FAKE_SEGMENTS)
        return;
    struct fake_request *request =
        fake_request(disk, op, next(&input, 2), next(&input, 1) % FAKE_SEGMENTS + 1);
    request->request.flags = next(&input, 1);
    (void)!fake_start(request);
}

static void answer(void)
{
    if (fake_nvme.held_count > FAKE_HELD / 2)
        fake_nvme.held_count = 0;
    else if (fake_nvme.held_count)
        fake_nvme_complete(next(&input, 1) % fake_nvme.held_count, (uint16_t)(next(&input, 2) | 1));
}

static void memory_write(void)
{
    uint32_t which = next(&input, 1) % (fake_dma_count / 2);
    uint8_t *bytes = fake_dma[2 * which];

    bytes[next(&input, 2) % (2 * PAGE_SIZE) % PAGE_SIZE] = (uint8_t)next(&input, 1);
}

static void step(void)
{
    switch (next(&input, 1) % 9) {
    case 0:
    case 1:
        request_make();
        break;
    case 2:
        answer();
        break;
    case 3: {
        uint16_t queue = (uint16_t)(next(&input, 1) % FAKE_QUEUES);

        if (fake_nvme.queues[queue].completions)
            fake_nvme_put(queue, (uint16_t)next(&input, 2), (uint16_t)next(&input, 2),
                          next(&input, 4));
        break;
    }
    case 4:
        memory_write();
        break;
    case 5:
        if (fake_disk_count)
            (void)!fake_reset(fake_disks[next(&input, 1) % fake_disk_count]);
        break;
    case 6:
        if (fake_nvme.events_wanted == 1)
            fake_nvme_event(next(&input, 4));
        break;
    case 7:
        fake_nvme.registers[NVME_CSTS / 4] = next(&input, 4);
        fake_nvme.never_ready = next(&input, 1) & 1;
        fake_nvme.dead = next(&input, 1) & 1;
        fake_nvme.admin_status = (uint16_t)(next(&input, 1) & 1 ? next(&input, 2) : 0);
        break;
    default:
        fake_interrupt(next(&input, 1) % FAKE_QUEUES);
    }
    fake_nvme_interrupts();
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
    fake_nvme_plug();
    fake_nvme.hold = true;
    fake_nvme.corrupt = corrupt;
    if (nvmed_serve("pci:///00:12.0") < 0)
        goto out;
    for (unsigned i = 0; i < 500 && input.at < input.end; i++)
        step();
    fake_nvme.gone = true;
    for (unsigned i = 0; i < 3;
         i++) /* what was there to be taken is, before it is looked whether it is gone */
        fake_interrupt(0);
    fake_require(!fake_disk_count, "a disk of nothing");
    list_for_each (struct fake_request, request, &fake_requests, link)
        fake_require(!request->started, "a request was forgotten");
out:
    fake_nvme_unplug();
    return 0;
}
