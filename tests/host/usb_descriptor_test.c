// sources: lib/usb/descriptor.c
/* Descriptors as devices have them, and as they must not be. */
#include "abi/errors.h"
#include "lib/usb/descriptor.h"
#include "tests/host/test.h"

static const uint8_t keyboard[] = {
    9, 2,    34,   0, 1, 1, 0,    0xa0, 50, /* configuration 1, 100 mA, wakes */
    9, 4,    0,    0, 1, 3, 1,    1,    0,  /* interface: HID, boot, keyboard */
    9, 0x21, 0x11, 1, 0, 1, 0x22, 63,   0,  /* HID: a report descriptor of 63 bytes */
    7, 5,    0x81, 3, 8, 0, 10,             /* endpoint 1 in: interrupt, 8 bytes, 10 ms */
};

static const uint8_t disk[] = {
    9,  2,    44,   0, 1, 1, 0, 0xc0, 0, /* configuration */
    9,  4,    0,    0, 2, 8, 6, 0x50, 0, /* interface: mass storage, SCSI, bulk only */
    7,  5,    0x81, 2, 0, 4, 0, 6,    0x30,
    15, 0x04, 0,    0, /* in: 1024 bytes, bursts of 16, 16 streams */
    7,  5,    0x02, 2, 0, 4, 0, 6,    0x30,
    15, 0,    0,    0,
};

static uint8_t bytes[sizeof(disk)]; /* of exactly the length that is said: ASan looks */

static int64_t parse(const void *what, size_t length, enum usb_speed speed,
                     struct usb_configuration *configuration)
{
    uint8_t *copy = malloc(length ? length : 1);
    memcpy(copy, what, length);
    int64_t result = usb_configuration_parse(copy, length, speed, configuration);
    free(copy);
    return result;
}

TEST(a_keyboard)
{
    struct usb_configuration configuration;
    CHECK_EQUAL(parse(keyboard, sizeof(keyboard), USB_FULL, &configuration), 0);
    CHECK_EQUAL(configuration.milliamperes, 100);
    CHECK(configuration.wakes && !configuration.self_powered);
    CHECK_EQUAL(configuration.interface_count, 1);
    const struct usb_interface *interface = usb_interface_find(&configuration, 0, 0);
    CHECK(interface && !usb_interface_find(&configuration, 0, 1));
    CHECK_EQUAL(interface->class_code, USB_CLASS_HID);
    CHECK_EQUAL(interface->extra, 18);
    CHECK_EQUAL(interface->extra_length, 9);
    CHECK_EQUAL(interface->endpoint_count, 1);
    const struct usb_endpoint *endpoint = &configuration.endpoints[interface->endpoint];
    CHECK_EQUAL(endpoint->address, 0x81);
    CHECK_EQUAL(endpoint->type, USB_INTERRUPT);
    CHECK_EQUAL(endpoint->packet, 8);
    CHECK_EQUAL(usb_interval(endpoint, USB_FULL), 6); /* 8 ms */
    usb_configuration_destroy(&configuration);
}

TEST(a_disk_with_streams)
{
    struct usb_configuration configuration;
    CHECK_EQUAL(parse(disk, sizeof(disk), USB_SUPER, &configuration), 0);
    CHECK_EQUAL(configuration.endpoint_count, 2);
    CHECK_EQUAL(configuration.endpoints[0].burst, 16);
    CHECK_EQUAL(configuration.endpoints[0].streams, 4);
    CHECK_EQUAL(configuration.endpoints[1].streams, 0);
    CHECK_EQUAL(usb_interval(&configuration.endpoints[0], USB_SUPER), 0);
    usb_configuration_destroy(&configuration);
    CHECK_EQUAL(parse(disk, sizeof(disk), USB_HIGH, &configuration), -E_BAD_FORMAT);
}

TEST(every_beginning_of_one)
{
    struct usb_configuration configuration;
    for (size_t length = 0; length < sizeof(keyboard); length++) {
        bool whole = length == 18 || length == 27; /* said to be longer, but of whole descriptors */
        CHECK_EQUAL(parse(keyboard, length, USB_FULL, &configuration), whole ? 0 : -E_BAD_FORMAT);
        if (whole)
            usb_configuration_destroy(&configuration);
    }
}

/* With one byte of the keyboard's changed. */
static int64_t changed(size_t at, uint8_t value)
{
    struct usb_configuration configuration;
    memcpy(bytes, keyboard, sizeof(keyboard));
    bytes[at] = value;
    int64_t result = parse(bytes, sizeof(keyboard), USB_FULL, &configuration);
    if (result >= 0)
        usb_configuration_destroy(&configuration);
    return result;
}

TEST(what_is_refused)
{
    CHECK_EQUAL(changed(0, 8), -E_BAD_FORMAT);     /* a configuration too short */
    CHECK_EQUAL(changed(2, 8), -E_BAD_FORMAT);     /* ... shorter than its head */
    CHECK_EQUAL(changed(2, 33), -E_BAD_FORMAT);    /* ends within an endpoint */
    CHECK_EQUAL(changed(5, 0), -E_BAD_FORMAT);     /* its number is that of none */
    CHECK_EQUAL(changed(9, 0), -E_BAD_FORMAT);     /* no length: for ever */
    CHECK_EQUAL(changed(9, 8), -E_BAD_FORMAT);     /* an interface too short */
    CHECK_EQUAL(changed(10, 5), -E_BAD_FORMAT);    /* an endpoint of no interface */
    CHECK_EQUAL(changed(27, 6), -E_BAD_FORMAT);    /* an endpoint too short */
    CHECK_EQUAL(changed(29, 0x80), -E_BAD_FORMAT); /* endpoint 0 */
    CHECK_EQUAL(changed(29, 0x91), -E_BAD_FORMAT); /* reserved bits would be another number */
    CHECK_EQUAL(changed(30, 0), -E_BAD_FORMAT);    /* a second control pipe */
    CHECK_EQUAL(changed(31, 65), -E_BAD_FORMAT);   /* longer than full speed's packets */
    CHECK_EQUAL(changed(31, 0), -E_BAD_FORMAT);    /* no bytes in a packet */
    CHECK_EQUAL(changed(28, 0x30), -E_BAD_FORMAT); /* a companion of nothing, and not there */
    CHECK_EQUAL(changed(33, 255), 0);
}

TEST(an_address_is_one_interfaces)
{
    static const uint8_t again[] = {9, 4, 0, 1, 1, 3, 1, 1, 0, 7, 5, 0x81, 3, 8, 0, 10};
    uint8_t two[sizeof(keyboard) + sizeof(again)];
    struct usb_configuration configuration;
    memcpy(two, keyboard, sizeof(keyboard));
    memcpy(two + sizeof(keyboard), again, sizeof(again));
    two[2] = sizeof(two);
    CHECK_EQUAL(parse(two, sizeof(two), USB_FULL, &configuration), 0); /* an alternate's */
    CHECK_EQUAL(usb_interface_find(&configuration, 0, 1)->endpoint, 1);
    usb_configuration_destroy(&configuration);
    two[sizeof(keyboard) + 2] = 1; /* another interface's */
    two[sizeof(keyboard) + 3] = 0;
    CHECK_EQUAL(parse(two, sizeof(two), USB_FULL, &configuration), -E_BAD_FORMAT);
    two[sizeof(keyboard) + 2] = 0; /* the same once more */
    CHECK_EQUAL(parse(two, sizeof(two), USB_FULL, &configuration), -E_BAD_FORMAT);
}

TEST(devices)
{
    static const uint8_t said[] = {18, 1, 0, 2, 0, 0, 0, 64, 0x27, 6, 1, 0, 0, 0, 1, 2, 3, 1};
    struct usb_device device;
    CHECK_EQUAL(usb_device_parse(said, sizeof(said), USB_HIGH, &device), 0);
    CHECK_EQUAL(device.vendor, 0x0627);
    CHECK_EQUAL(device.serial_string, 3);
    CHECK_EQUAL(usb_device_parse(said, sizeof(said), USB_LOW, &device), -E_BAD_FORMAT);
    CHECK_EQUAL(usb_device_parse(said, sizeof(said), USB_SUPER, &device), -E_BAD_FORMAT);
    CHECK_EQUAL(usb_device_parse(said, sizeof(said) - 1, USB_HIGH, &device), -E_BAD_FORMAT);
    CHECK_EQUAL(usb_device_parse(keyboard, sizeof(keyboard), USB_HIGH, &device), -E_BAD_FORMAT);
}

TEST(intervals)
{
    struct usb_endpoint endpoint = {.type = USB_INTERRUPT};
    static const struct {
        enum usb_speed speed;
        uint8_t said, want;
    } cases[] = {{USB_FULL, 0, 3},    {USB_FULL, 1, 3}, {USB_FULL, 2, 4}, {USB_LOW, 10, 6},
                 {USB_LOW, 255, 10},  {USB_HIGH, 0, 0}, {USB_HIGH, 4, 3}, {USB_HIGH, 16, 15},
                 {USB_HIGH, 255, 15}, {USB_SUPER, 7, 6}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        endpoint.interval = cases[i].said;
        CHECK_EQUAL(usb_interval(&endpoint, cases[i].speed), cases[i].want);
    }
}

TEST(hubs)
{
    static const uint8_t two[] = {9, 0x29, 8, 0x69, 0, 50, 0, 0, 0xff};
    static const uint8_t three[] = {12, 0x2a, 4, 9, 0, 10, 0, 4, 0, 0, 0, 0};
    struct usb_hub hub;
    CHECK_EQUAL(usb_hub_parse(two, sizeof(two), USB_FULL, &hub), 0);
    CHECK_EQUAL(hub.ports, 8);
    CHECK_EQUAL(hub.power_ms, 100);
    CHECK_EQUAL(hub.think_time, 3);
    CHECK(hub.power_by_port && hub.current_by_port && hub.current_seen);
    CHECK_EQUAL(usb_hub_parse(two, 6, USB_FULL, &hub), -E_BAD_FORMAT);
    CHECK_EQUAL(usb_hub_parse(two, sizeof(two), USB_SUPER, &hub), -E_BAD_FORMAT);
    CHECK_EQUAL(usb_hub_parse(three, sizeof(three), USB_SUPER, &hub), 0);
    CHECK_EQUAL(hub.ports, 4);
}

TEST(capabilities)
{
    static const uint8_t said[] = {5, 15, 22, 0, 2, 7,  16, 2, 2, 0, 0,
                                   0, 10, 16, 3, 0, 14, 0,  1, 0, 0, 0};
    struct usb_bos bos;
    CHECK_EQUAL(usb_bos_parse(said, sizeof(said), &bos), 0);
    CHECK(bos.link_power && bos.super && !bos.super_plus);
    CHECK_EQUAL(usb_bos_parse(said, sizeof(said) - 1, &bos), -E_BAD_FORMAT);
    CHECK_EQUAL(usb_bos_parse(said, 4, &bos), -E_BAD_FORMAT);
}

TEST(strings)
{
    static const uint8_t said[] = {18,   3, 'Q',  0, 0xe4, 0, 0xac, 0x20, 0x3d,
                                   0xd8, 0, 0xde, 0, 0xde, 7, 0,    ' ',  0};
    char text[32];
    CHECK(usb_string_parse(said, sizeof(said), text, sizeof(text)));
    CHECK_STRING(text, "Q\u00e4\u20ac\U0001f600??");
    CHECK(usb_string_parse(said, sizeof(said), text, 4)); /* no half of a symbol */
    CHECK_STRING(text, "Q\u00e4");
    CHECK(!usb_string_parse(said, 17, text, sizeof(text)));
    CHECK(!usb_string_parse(keyboard, sizeof(keyboard), text, sizeof(text)));
}
