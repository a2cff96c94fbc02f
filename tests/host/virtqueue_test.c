// sources: lib/virtio/virtqueue.c lib/virtio/capabilities.c
/* The driver's side of a virtqueue against a device that keeps the rules, and one that does not; and where a device's structures
 * are found. tests/fuzz/fuzz_virtqueue.c has devices that do anything. */
#include "abi/errors.h"
#include "lib/virtio/capabilities.h"
#include "tests/host/fake_virtio.h"
#include "tests/host/test.h"

#define SIZE 8u

static struct virtqueue queue;
static struct fake_device device;
static void *memory;
static char bytes[64];

static void start(bool event_index)
{
    free(memory);
    virtqueue_destroy(&queue);
    memory = calloc(1, virtqueue_bytes(SIZE, VIRTQUEUE_ALIGNMENT));
    CHECK(memory && virtqueue_init(&queue, memory, SIZE, VIRTQUEUE_ALIGNMENT, event_index));
    device = (struct fake_device){.queue = &queue, .event_index = event_index};
}

static int64_t add(unsigned readable, unsigned writable, void *request)
{
    struct virtqueue_buffer buffers[SIZE + 1];

    for (unsigned i = 0; i < readable + writable; i++)
        buffers[i] = (struct virtqueue_buffer){(uintptr_t)&bytes[i], i + 1};
    return virtqueue_add(&queue, buffers, (uint16_t)readable, (uint16_t)writable, request);
}

static void publish(void)
{
    if (virtqueue_publish(&queue))
        device.notified++;
}

static char *take(uint32_t *written)
{
    void *request;

    return virtqueue_take(&queue, &request, written) ? request : NULL;
}

TEST(a_request_there_and_back)
{
    struct fake_request got;
    uint32_t written;

    start(false);
    CHECK(!fake_get(&device, &got));
    CHECK_EQUAL(add(2, 1, bytes), 0);
    CHECK(!fake_get(&device, &got)); /* not published yet */
    CHECK(virtqueue_publish(&queue));
    CHECK(!virtqueue_publish(&queue));
    CHECK(fake_get(&device, &got));
    CHECK_EQUAL(got.readable, 2);
    CHECK_EQUAL(got.writable, 1);
    CHECK_EQUAL(got.pieces[2].address, (uintptr_t)&bytes[2]);
    CHECK_EQUAL(got.pieces[2].length, 3);
    CHECK(!take(&written));
    fake_put(&device, got.head, 2);
    CHECK(take(&written) == bytes);
    CHECK_EQUAL(written, 2);
    CHECK(!take(&written));
    CHECK_EQUAL(queue.free_count, SIZE);
    CHECK(!queue.broken);
}

TEST(what_is_refused)
{
    struct virtqueue_buffer huge[2] = {{1, UINT32_MAX}, {1, 1}}, empty = {1, 0};

    start(false);
    CHECK_EQUAL(add(0, 0, bytes), -E_INVALID);
    CHECK_EQUAL(add(1, 0, NULL), -E_INVALID);
    CHECK_EQUAL(virtqueue_add(&queue, &empty, 1, 0, bytes), -E_INVALID);
    CHECK_EQUAL(virtqueue_add(&queue, huge, 1, 1, bytes), -E_RANGE);
    CHECK_EQUAL(add(SIZE, 1, bytes), -E_RANGE);
    CHECK_EQUAL(add(SIZE - 1, 0, bytes), 0);
    CHECK_EQUAL(add(1, 1, bytes), -E_AGAIN);
    CHECK_EQUAL(add(0, 1, bytes), 0);
    CHECK_EQUAL(add(0, 1, bytes), -E_AGAIN);
}

/* Requests of all lengths, completed in another order than they came, through many rounds of the indexes. */
TEST(any_order_for_ever)
{
    struct fake_request got[SIZE];
    bool there[SIZE] = {false};
    uint64_t state = 1;

    for (int event_index = 0; event_index < 2; event_index++) {
        start(event_index);
        for (unsigned round = 0; round < 40000; round++) {
            unsigned given = 0, count = 0;
            uint32_t written;
            char *request;

            while (add(test_random(&state) % 2 + 1, test_random(&state) % 3, &bytes[given]) == 0)
                there[given++] = true;
            CHECK(given);
            publish();
            while (fake_get(&device, &got[count]))
                count++;
            CHECK_EQUAL(count, given);
            while (count) {
                unsigned n = test_random(&state) % count;

                fake_put(&device, got[n].head, 0);
                got[n] = got[--count];
            }
            while ((request = take(&written))) {
                CHECK(there[request - bytes]);
                there[request - bytes] = false;
                given--;
            }
            CHECK_EQUAL(given, 0);
            CHECK_EQUAL(queue.free_count, SIZE);
        }
    }
}

TEST(a_device_that_is_awake_is_not_told)
{
    struct fake_request got;

    start(false);
    queue.used->flags = VIRTQUEUE_NO_NOTIFY;
    CHECK_EQUAL(add(1, 0, bytes), 0);
    CHECK(!virtqueue_publish(&queue));

    start(true);
    CHECK_EQUAL(add(1, 0, bytes), 0);
    CHECK(virtqueue_publish(&queue));
    CHECK_EQUAL(add(1, 0, bytes), 0);
    CHECK(!virtqueue_publish(&queue)); /* it is told of the first only */
    while (fake_get(&device, &got))
        ;
    fake_want_notification(&device);
    CHECK_EQUAL(add(1, 0, bytes), 0);
    CHECK_EQUAL(add(1, 0, bytes), 0);
    CHECK(virtqueue_publish(&queue)); /* among them the one it waits for */
}

/* One interrupt for all completions until there are none; and one for the first that comes then. */
TEST(a_driver_that_looks_is_not_interrupted)
{
    struct fake_request got[4];
    uint32_t written;

    for (int event_index = 0; event_index < 2; event_index++) {
        start(event_index);
        for (unsigned i = 0; i < 4; i++)
            CHECK_EQUAL(add(1, 0, &bytes[i]), 0);
        publish();
        for (unsigned i = 0; i < 4; i++)
            CHECK(fake_get(&device, &got[i]));
        fake_put(&device, got[0].head, 0);
        CHECK_EQUAL(device.interrupts, 1);
        CHECK(take(&written) == &bytes[0]);
        fake_put(&device, got[1].head, 0);
        fake_put(&device, got[2].head, 0);
        CHECK_EQUAL(device.interrupts, 1);
        CHECK(take(&written) == &bytes[1]);
        CHECK(take(&written) == &bytes[2]);
        CHECK(!take(&written));
        fake_put(&device, got[3].head, 0);
        CHECK_EQUAL(device.interrupts, 2);
        CHECK(take(&written) == &bytes[3]);
    }
}

static void one_under_way(struct fake_request *got)
{
    start(false);
    CHECK_EQUAL(add(1, 2, bytes), 0); /* 2 + 3 bytes to write */
    publish();
    CHECK(fake_get(&device, got));
}

static void is_broken(void)
{
    uint32_t written;

    CHECK(!take(&written));
    CHECK(queue.broken);
    CHECK_EQUAL(add(1, 0, bytes), -E_IO);
    CHECK(!virtqueue_publish(&queue));
    queue.used->index = queue.taken + 1; /* it does not come round */
    CHECK(!take(&written));
}

TEST(a_device_that_lies)
{
    struct fake_request got;
    uint32_t written;

    one_under_way(&got);
    fake_put(&device, got.head, 1000); /* more than it was given */
    CHECK(take(&written) == bytes);
    CHECK_EQUAL(written, 5);

    one_under_way(&got); /* more than there can be */
    queue.used->index = 2;
    is_broken();
    one_under_way(&got); /* backwards */
    queue.used->index = UINT16_MAX;
    is_broken();
    one_under_way(&got); /* no such descriptor */
    fake_put(&device, SIZE, 0);
    is_broken();
    one_under_way(&got);
    fake_put(&device, UINT32_MAX, 0);
    is_broken();
    one_under_way(&got); /* in the middle of one */
    fake_put(&device, queue.descriptors[got.head].next, 0);
    is_broken();

    one_under_way(&got); /* twice */
    CHECK_EQUAL(add(1, 0, &bytes[1]), 0);
    fake_put(&device, got.head, 0);
    fake_put(&device, got.head, 0);
    CHECK(take(&written) == bytes);
    is_broken();

    one_under_way(&got); /* it writes to what only the driver writes */
    memset(queue.descriptors, 0xff, virtqueue_available_at(SIZE));
    memset(queue.available, 0xff,
           virtqueue_used_at(SIZE, VIRTQUEUE_ALIGNMENT) - virtqueue_available_at(SIZE));
    fake_put(&device, got.head, 1);
    CHECK(take(&written) == bytes);
    CHECK_EQUAL(queue.free_count, SIZE);
    CHECK_EQUAL(add(SIZE, 0, bytes), 0);
}

/* --- Capabilities ------------------------------------------------------------------------------------------------- */

static uint8_t config[256];
static struct pci_description description;

static void capability(uint32_t at, uint8_t next, uint8_t length, uint8_t type, uint8_t bar,
                       uint32_t offset, uint32_t size)
{
    const uint8_t head[5] = {9, next, length, type, bar};

    memcpy(config + at, head, sizeof(head));
    memcpy(config + at + 8, &offset, 4);
    memcpy(config + at + 12, &size, 4);
}

/* As QEMU lays them out: BAR 4, one kind behind the other. */
static void capabilities_start(void)
{
    memset(config, 0, sizeof(config));
    config[6] = 0x10;
    config[0x34] = 0x40;
    description = (struct pci_description){.bars[0] = {.length = 64, .flags = PCI_BAR_PORTS},
                                           .bars[4] = {.length = 0x4000}};
    capability(0x40, 0x50, 16, 1, 4, 0, 0x1000);
    capability(0x50, 0x60, 16, 3, 4, 0x1000, 0x1000);
    capability(0x60, 0x70, 16, 4, 4, 0x2000, 0x1000);
    capability(0x70, 0, 20, 2, 4, 0x3000, 0x1000);
    config[0x80] = 4;
}

static bool find(struct virtio_capabilities *found)
{
    return virtio_capabilities_find(config, &description, found);
}

TEST(structures)
{
    struct virtio_capabilities found;

    capabilities_start();
    CHECK(find(&found));
    CHECK_EQUAL(found.places[VIRTIO_COMMON].bar, 4);
    CHECK_EQUAL(found.places[VIRTIO_NOTIFY].offset, 0x3000);
    CHECK_EQUAL(found.places[VIRTIO_CONFIG].length, 0x1000);
    CHECK_EQUAL(found.notify_multiplier, 4);

    capability(0x60, 0x70, 16, 4, 4, 0x4000, 1); /* outside: as if it were not there */
    CHECK(find(&found));
    CHECK_EQUAL(found.places[VIRTIO_CONFIG].length, 0);
    capability(0x60, 0x70, 16, 1, 4, 0x2000, 0x1000); /* a second one */
    CHECK(find(&found));
    CHECK_EQUAL(found.places[VIRTIO_COMMON].offset, 0);
    capability(0x70, 0x40, 20, 2, 4, 0x3000, 0x1000); /* round and round */
    CHECK(find(&found));
}

TEST(structures_that_lie)
{
    static const struct {
        uint8_t length, bar;
        uint32_t offset, size;
    } bad[] = {
        {16, 4, 0x3fd0, 0x31}, {16, 4, 0, 0x4001},     {16, 4, 0xfffffffc, 0x1000},
        {16, 4, 2, 0x1000},    {16, 4, 0, 55},         {15, 4, 0, 0x1000},
        {16, 0, 0, 64},        {16, 5, 0, 0x1000},     {16, 6, 0, 0x1000},
        {16, 255, 0, 0x1000},  {16, 4, 0, UINT32_MAX},
    };
    struct virtio_capabilities found;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        capabilities_start();
        capability(0x40, 0x50, bad[i].length, 1, bad[i].bar, bad[i].offset, bad[i].size);
        CHECK(!find(&found));
    }
    capabilities_start();
    config[6] = 0; /* no list */
    CHECK(!find(&found));
    capabilities_start();
    config[0x71] = 0xfc; /* the last one's multiplier would lie beyond the space */
    capability(0x70, 0xf0, 16, 4, 4, 0x2000, 0x1000);
    capability(0xf0, 0, 20, 2, 4, 0x3000, 0x1000);
    CHECK(!find(&found));
}
