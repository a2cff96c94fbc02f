/* usb_probe disk|idle|hold|reset|line INTERFACE: what a driver may expect of usb:// (abi/usb.h), with a device whose driver is this.
 *
 * disk: a disk of the bulk-only kind; INQUIRY copied, 64 KiB read without a copy, a stall and its end. Its 512-byte blocks hold their
 * own numbers, again and again. idle: a device that has nothing to say: transfers that are given up, and memory. hold: says "held", and
 * has a transfer under way for ever. reset: a disk begins anew. line: of a chip of FTDI's with several, whose requests reach that line and nothing
 * else. Prints "ok".
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/error.h"
#include "lib/sys/file.h"
#include "lib/usb/driver.h"

#define CBW_LENGTH  31u
#define CSW_LENGTH  13u
#define BLOCK       512u
#define BLOCKS      128u
#define MILLISECOND INT64_C(1000000)

static struct usb_interface_claim claim;
static handle_t in, out;
static uint8_t page[USB_COPY_MAX];

static int64_t must(const char *what, int64_t result)
{
    if (result < 0) {
        printf("%s: %s\n", what, error_text(result));
        exit(1);
    }
    return result;
}

static void want(const char *what, int64_t result, int64_t wanted)
{
    if (result == wanted)
        return;
    printf("%s: %lld, wanted %lld\n", what, (long long)result, (long long)wanted);
    exit(1);
}

static handle_t endpoint(enum usb_endpoint_type type, uint8_t direction)
{
    handle_t file;
    must("endpoint", usb_endpoint_open(&claim, usb_endpoint_find(&claim, type, direction), &file));
    return file;
}

/* --- a disk --- */

static void cbw_make(uint8_t *cbw, uint32_t length, const uint8_t *command, uint8_t command_length)
{
    memset(cbw, 0, CBW_LENGTH);
    memcpy(cbw, "USBC\1\2\3\4", 8);
    memcpy(cbw + 8, &length, sizeof(length));
    cbw[12] = USB_ENDPOINT_IN;
    cbw[14] = command_length;
    memcpy(cbw + 15, command, command_length);
}

static void cbw_send(uint32_t length, const uint8_t *command, uint8_t command_length)
{
    uint8_t cbw[CBW_LENGTH];
    cbw_make(cbw, length, command, command_length);
    want("command", usb_write(out, cbw, sizeof(cbw)), sizeof(cbw));
}

static void csw_read(void)
{
    want("status", usb_read(in, page, sizeof(page)), CSW_LENGTH);
    want("status: signature", memcmp(page, "USBS\1\2\3\4", 8), 0);
    want("status: passed", page[12], 0);
}

static void inquire(void)
{
    static const uint8_t command[6] = {0x12, 0, 0, 0, 36, 0};
    cbw_send(36, command, sizeof(command));
    want("inquiry", usb_read(in, page, sizeof(page)), 36);
    printf("%.8s %.16s\n", page + 8, page + 16);
    csw_read();
}

/* Until the disk is ready: after its reset it says "unit attention" once. */
static void ready(void)
{
    static const uint8_t command[6] = {0};
    for (int i = 0; i < 10; i++) {
        cbw_send(0, command, sizeof(command));
        want("status", usb_read(in, page, sizeof(page)), CSW_LENGTH);
        if (page[12] == 0)
            return;
    }
    want("ready", page[12], 0);
}

static void blocks_read(const struct usb_memory *memory, uint64_t offset)
{
    uint8_t command[10] = {0x28, [8] = BLOCKS};
    cbw_send(BLOCKS * BLOCK, command, sizeof(command));
    want("read", usb_transfer(in, memory->number, offset, BLOCKS * BLOCK, DEADLINE_NEVER),
         BLOCKS * BLOCK);
    csw_read();
    for (uint32_t at = 0; at < BLOCKS * BLOCK; at += sizeof(uint32_t))
        if (*(uint32_t *)(void *)(memory->bytes + offset + at) != at / BLOCK)
            want("a block's number", *(uint32_t *)(void *)(memory->bytes + offset + at),
                 at / BLOCK);
}

static void stall(void)
{
    want("a bad command", usb_write(out, page, CBW_LENGTH - 1), -E_NOT_SUPPORTED);
    want("while it is halted", usb_write(out, page, CBW_LENGTH), -E_NOT_SUPPORTED);
    must("clear halt", usb_clear_halt(out));
    must("clear halt", usb_clear_halt(in));
}

static int64_t in_a_row(const struct usb_transfer *transfers, uint32_t count, int64_t *results)
{
    return usb_transfers(&claim, 0, transfers, count, results, DEADLINE_NEVER);
}

/* An inquiry as one command to usbd; then what may be wrong with it. */
static void several(const struct usb_memory *memory)
{
    static const uint8_t inquiry[6] = {0x12, 0, 0, 0, 36, 0};
    uint32_t from = usb_endpoint_find(&claim, USB_BULK, USB_ENDPOINT_IN);
    uint32_t to = usb_endpoint_find(&claim, USB_BULK, 0);
    uint64_t number = memory->number;
    struct usb_transfer transfers[USB_TRANSFERS_MAX + 1] = {
        {number, 0, CBW_LENGTH, to, 0}, {number, 1024, 36, from, 0}, {number, 2048, 1024, from, 0}};
    int64_t results[USB_TRANSFERS_MAX + 1] = {0};
    cbw_make(memory->bytes, 36, inquiry, sizeof(inquiry));
    want("three in a row", in_a_row(transfers, 3, results), 3);
    want("the command", results[0], CBW_LENGTH);
    want("the data", results[1], 36);
    want("the status", results[2], CSW_LENGTH);
    want("the status: signature", memcmp(memory->bytes + 2048, "USBS\1\2\3\4", 8), 0);
    transfers[0].length--;
    want("no more behind a stall", in_a_row(transfers, 3, results), 1);
    want("the stall", results[0], -E_NOT_SUPPORTED);
    want("while it is halted", in_a_row(transfers, 3, results), -E_NOT_SUPPORTED);
    must("clear halt", usb_clear_halt(out));
    must("clear halt", usb_clear_halt(in));
    want("none", in_a_row(transfers, 0, results), -E_INVALID);
    want("too many", in_a_row(transfers, USB_TRANSFERS_MAX + 1, results), -E_INVALID);
    transfers[2].endpoint = 0;
    want("the first endpoint", in_a_row(transfers, 3, results), -E_NOT_FOUND);
    transfers[2] = (struct usb_transfer){number + 1, 0, 1024, from, 0};
    want("no such memory", in_a_row(transfers, 3, results), -E_NOT_FOUND);
    transfers[2] = (struct usb_transfer){number, UINT64_MAX, 1024, from, 0};
    want("outside of it", in_a_row(transfers, 3, results), -E_RANGE);
    transfers[2] = (struct usb_transfer){number, 0, 1024, from, 1};
    want("no such stream", in_a_row(transfers, 3, results), -E_NOT_FOUND);
}

static void disk(void)
{
    struct usb_memory memory;
    in = endpoint(USB_BULK, USB_ENDPOINT_IN);
    out = endpoint(USB_BULK, 0);
    inquire();
    ready();
    must("memory", usb_memory(&claim, 2 * BLOCKS * BLOCK, &memory));
    blocks_read(&memory, 0);
    blocks_read(&memory, 0x1404);
    stall();
    several(&memory);
    inquire();
    want("too far",
         usb_transfer(in, memory.number, BLOCKS * BLOCK, 2 * BLOCKS * BLOCK, DEADLINE_NEVER),
         -E_RANGE);
    want("out of an in", usb_write(in, page, 1), -E_ACCESS);
}

/* --- a device that is silent --- */

static int64_t transfer_for(const struct usb_memory *memory, int64_t patience)
{
    return usb_transfer(in, memory->number, 0, 8, sys_clock_get(CLOCK_MONOTONIC_) + patience);
}

static void *transfer_long(void *memory)
{
    const struct usb_memory *its = memory;
    want("the longer one", usb_transfer(in, its->number, 0, 8, DEADLINE_NEVER), -E_CANCELLED);
    return NULL;
}

static void idle(void)
{
    struct usb_memory memory;
    pthread_t other;
    in = endpoint(USB_INTERRUPT, USB_ENDPOINT_IN);
    must("memory", usb_memory(&claim, PAGE_SIZE, &memory));
    for (int i = 0; i < 3; i++)
        want("nothing comes", transfer_for(&memory, 50 * MILLISECOND), -E_TIMED_OUT);
    pthread_create(&other, NULL, transfer_long, &memory);
    for (int i = 0; i < 3; i++)
        want("nor behind another", transfer_for(&memory, 50 * MILLISECOND), -E_TIMED_OUT);
    const struct usb_transfer two[] = {
        {memory.number, 0, 8, claim.description.endpoints[0].address, 0},
        {memory.number, 0, 8, claim.description.endpoints[0].address, 0}};
    int64_t results[2];
    want("nor one of two",
         usb_transfers(&claim, 0, two, 2, results,
                       sys_clock_get(CLOCK_MONOTONIC_) + 50 * MILLISECOND),
         -E_TIMED_OUT);
    struct abi_command back = {.op = USB_MEMORY_FREE, .args = {memory.number}};
    want("used memory", file_command(claim.file, &back), -E_BUSY);
    must("the same setting", usb_alternate(&claim, 0, 0)); /* ends what is under way */
    pthread_join(other, NULL);
    must("memory", file_command(claim.file, &back));
    want("no memory", transfer_for(&memory, MILLISECOND), -E_NOT_FOUND);
    want("others' business",
         usb_request(&claim, USB_SETUP(0, USB_SET_CONFIGURATION, 0, 0, 0), NULL), -E_PERMISSION);
    want("no such request", usb_request(&claim, USB_SETUP(0xa1, 0x77, 0, 0, 8), page),
         -E_NOT_SUPPORTED);
    want("its descriptor",
         usb_request(&claim, USB_SETUP(0x80, USB_GET_DESCRIPTOR, 0x100, 0, 18), page), 18);
    want("no such setting", usb_alternate(&claim, 7, 0), -E_NOT_FOUND);
}

static void hold(void)
{
    struct usb_memory memory;
    in = endpoint(USB_INTERRUPT, USB_ENDPOINT_IN);
    must("memory", usb_memory(&claim, PAGE_SIZE, &memory));
    printf("held\n");
    fflush(stdout);
    int64_t result = usb_transfer(in, memory.number, 0, 8, DEADLINE_NEVER);
    printf("%s\n", result < 0 ? error_text(result) : "something came");
    exit(0);
}

/* What is open of the device goes with it, soon. */
static void reset(void)
{
    int64_t result;
    in = endpoint(USB_BULK, USB_ENDPOINT_IN);
    must("reset", usb_reset(&claim));
    do
        result = usb_request(&claim, USB_SETUP(0x80, USB_GET_DESCRIPTOR, 0x100, 0, 18), page);
    while (result >= 0);
    want("the claim", result, -E_CLOSED);
    want("an endpoint", usb_read(in, page, sizeof(page)), -E_CLOSED);
}

static void line(void)
{
    uint32_t own = claim.description.interface + 1u;
    must("its own", usb_request(&claim, USB_SETUP(0x40, 3, 0x4138, own, 0), NULL));
    must("its own", usb_request(&claim, USB_SETUP(0x40, 2, 0, 0x100 | own, 0), NULL));
    for (uint32_t index = 0; index <= UINT8_MAX; index++)
        if (index != own)
            want("another's", usb_request(&claim, USB_SETUP(0x40, 3, 0x4138, index, 0), NULL),
                 -E_PERMISSION);
    for (uint32_t request = 0x0d; request <= UINT8_MAX; request++)
        want("the chip's", usb_request(&claim, USB_SETUP(0x40, request, 0, own, 0), NULL),
             -E_PERMISSION);
    for (uint32_t recipient = 1; recipient < 4; recipient++)
        for (uint32_t index = 0; index <= UINT8_MAX; index++)
            want("not to the device",
                 usb_request(&claim, USB_SETUP(0x40 | recipient, 3, 0x4138, index, 0), NULL),
                 -E_PERMISSION);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    must("claim", usb_claim(&claim, argv[2]));
    if (strcmp(argv[1], "disk") == 0)
        disk();
    else if (strcmp(argv[1], "idle") == 0)
        idle();
    else if (strcmp(argv[1], "reset") == 0)
        reset();
    else if (strcmp(argv[1], "line") == 0)
        line();
    else
        hold();
    printf("ok\n");
    return 0;
}
