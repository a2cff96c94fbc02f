/* Descriptors: see descriptor.h. */
#include "lib/usb/descriptor.h"

#include <stdlib.h>

#include "abi/errors.h"

#define HEAD             2u /* every descriptor: its length, its type */
#define INTERFACE_LENGTH 9u
#define ENDPOINT_LENGTH  7u
#define COMPANION_LENGTH 6u
#define HUB_LEAST        7u
#define SUPER_HUB_LENGTH 12u
#define SUPER_HUB_PORTS  15u /* a route string has four bits for each tier */

static bool is_super(enum usb_speed speed)
{
    return speed >= USB_SUPER;
}

const uint8_t *usb_descriptor_next(const uint8_t *bytes, size_t *at, size_t end)
{
    const uint8_t *descriptor = bytes + *at;
    if (*at >= end || end - *at < HEAD || descriptor[0] < HEAD || descriptor[0] > end - *at)
        return NULL;
    *at += descriptor[0];
    return descriptor;
}

static bool is_whole(const uint8_t *descriptor, size_t length, uint8_t type, size_t least)
{
    return length >= least && descriptor[0] >= least && descriptor[0] <= length &&
           descriptor[1] == type;
}

/* --- devices --- */

/* Of endpoint 0 (USB 2.0 5.5.3, USB 3.2 9.6.1); 0: no such size. */
static uint16_t control_packet(uint8_t said, enum usb_speed speed)
{
    switch (speed) {
    case USB_LOW:
        return said == 8 ? 8 : 0;
    case USB_FULL:
        return said == 8 || said == 16 || said == 32 || said == 64 ? said : 0;
    case USB_HIGH:
        return said == 64 ? 64 : 0;
    default:
        return said == 9 ? 512 : 0;
    }
}

int64_t usb_device_parse(const uint8_t *bytes, size_t length, enum usb_speed speed,
                         struct usb_device *device)
{
    if (!is_whole(bytes, length, USB_DEVICE, USB_DEVICE_LENGTH))
        return -E_BAD_FORMAT;
    *device = (struct usb_device){
        .version = usb_get16(bytes + 2),
        .class_code = bytes[4],
        .subclass = bytes[5],
        .protocol = bytes[6],
        .packet = control_packet(bytes[7], speed),
        .vendor = usb_get16(bytes + 8),
        .product = usb_get16(bytes + 10),
        .release = usb_get16(bytes + 12),
        .manufacturer_string = bytes[14],
        .product_string = bytes[15],
        .serial_string = bytes[16],
        .configurations = bytes[17],
    };
    return device->packet && device->configurations ? 0 : -E_BAD_FORMAT;
}

/* --- configurations --- */

int64_t usb_configuration_length(const uint8_t *bytes, size_t length)
{
    if (!is_whole(bytes, length, USB_CONFIGURATION, USB_CONFIGURATION_LENGTH))
        return -E_BAD_FORMAT;
    uint16_t total = usb_get16(bytes + 2);
    return total >= bytes[0] ? total : -E_BAD_FORMAT;
}

struct parse {
    struct usb_configuration *configuration;
    const uint8_t *bytes;
    enum usb_speed speed;
    struct usb_interface *interface; /* whose descriptors follow; NULL: none yet */
    struct usb_endpoint *endpoint;   /* ... of which this companion is */
};

/* USB 2.0 5.5 to 5.8, USB 3.2 9.6.6: the most bytes in a packet. */
static uint16_t packet_limit(uint8_t type, enum usb_speed speed)
{
    if (speed == USB_LOW)
        return type == USB_INTERRUPT ? 8 : 0;
    if (speed == USB_FULL)
        return type == USB_ISOCHRONOUS ? 1023 : 64;
    return type == USB_BULK && speed == USB_HIGH ? 512 : 1024;
}

static const struct usb_endpoint *endpoint_of(const struct usb_configuration *configuration,
                                              const struct usb_interface *interface,
                                              uint8_t address)
{
    for (uint32_t i = 0; i < interface->endpoint_count; i++)
        if (configuration->endpoints[interface->endpoint + i].address == address)
            return &configuration->endpoints[interface->endpoint + i];
    return NULL;
}

/* An address belongs to one interface, whose alternates may all have it. */
static bool address_is_taken(const struct parse *parse, uint8_t address)
{
    const struct usb_configuration *configuration = parse->configuration;
    for (uint32_t i = 0; i < configuration->interface_count; i++) {
        const struct usb_interface *other = &configuration->interfaces[i];
        if ((other == parse->interface || other->number != parse->interface->number) &&
            endpoint_of(configuration, other, address))
            return true;
    }
    return false;
}

static bool endpoint_add(struct parse *parse, const uint8_t *descriptor)
{
    if (descriptor[0] < ENDPOINT_LENGTH || !parse->interface)
        return false;
    uint16_t packet = usb_get16(descriptor + 4);
    struct usb_endpoint endpoint = {
        .address = descriptor[2],
        .type = descriptor[3] & 3,
        .packet = packet & 0x7ff,
        .transactions = 1,
        .burst = 1,
        .interval = descriptor[6],
    };
    bool periodic = endpoint.type == USB_INTERRUPT || endpoint.type == USB_ISOCHRONOUS;
    if (parse->speed == USB_HIGH && periodic)
        endpoint.transactions = (uint8_t)((packet >> 11 & 3) + 1);
    if ((endpoint.address & 0x0f) == 0 || endpoint.address & 0x70 ||
        endpoint.type == USB_CONTROL_PIPE || endpoint.transactions > 3 ||
        endpoint.packet > packet_limit(endpoint.type, parse->speed) ||
        (endpoint.packet == 0 && endpoint.type != USB_ISOCHRONOUS) ||
        address_is_taken(parse, endpoint.address))
        return false;
    parse->endpoint = &parse->configuration->endpoints[parse->configuration->endpoint_count++];
    *parse->endpoint = endpoint;
    parse->interface->endpoint_count++;
    return true;
}

static bool companion_add(const struct parse *parse, const uint8_t *descriptor)
{
    struct usb_endpoint *endpoint = parse->endpoint;
    if (descriptor[0] < COMPANION_LENGTH || !endpoint || !is_super(parse->speed))
        return false;
    endpoint->burst = (uint8_t)(descriptor[2] + 1);
    endpoint->bytes_an_interval = usb_get16(descriptor + 4);
    if (endpoint->type == USB_BULK)
        endpoint->streams = descriptor[3] & 0x1f;
    if (endpoint->type == USB_ISOCHRONOUS)
        endpoint->transactions = (uint8_t)((descriptor[3] & 3) + 1);
    return endpoint->burst >= 1 && endpoint->burst <= 16 && endpoint->streams <= 16 &&
           endpoint->transactions <= 3;
}

static bool interface_add(struct parse *parse, const uint8_t *descriptor)
{
    struct usb_configuration *configuration = parse->configuration;
    if (descriptor[0] < INTERFACE_LENGTH ||
        usb_interface_find(configuration, descriptor[2], descriptor[3]))
        return false;
    parse->endpoint = NULL;
    parse->interface = &configuration->interfaces[configuration->interface_count++];
    *parse->interface = (struct usb_interface){
        .number = descriptor[2],
        .alternate = descriptor[3],
        .class_code = descriptor[5],
        .subclass = descriptor[6],
        .protocol = descriptor[7],
        .string = descriptor[8],
        .endpoint = configuration->endpoint_count,
        .extra = (uint32_t)(descriptor + descriptor[0] - parse->bytes),
    };
    return true;
}

/* The class's descriptors stand between the interface's own and its first endpoint. */
static bool descriptor_add(struct parse *parse, const uint8_t *descriptor)
{
    switch (descriptor[1]) {
    case USB_INTERFACE:
        return interface_add(parse, descriptor);
    case USB_ENDPOINT:
        return endpoint_add(parse, descriptor);
    case USB_COMPANION:
        return companion_add(parse, descriptor);
    default:
        if (parse->interface && !parse->endpoint)
            parse->interface->extra_length =
                (uint32_t)(descriptor + descriptor[0] - parse->bytes) - parse->interface->extra;
        return true;
    }
}

int64_t usb_configuration_parse(const uint8_t *bytes, size_t length, enum usb_speed speed,
                                struct usb_configuration *configuration)
{
    int64_t total = usb_configuration_length(bytes, length);
    if (total < 0)
        return total;
    size_t end = MIN((size_t)total, length), at = bytes[0];
    *configuration = (struct usb_configuration){
        .value = bytes[5],
        .string = bytes[6],
        .self_powered = bytes[7] & 0x40,
        .wakes = bytes[7] & 0x20,
        .milliamperes = (uint16_t)(bytes[8] * (is_super(speed) ? 8 : 2)),
        .interfaces = calloc(end / INTERFACE_LENGTH, sizeof(struct usb_interface)),
        .endpoints = calloc(end / ENDPOINT_LENGTH, sizeof(struct usb_endpoint)),
    };
    struct parse parse = {.configuration = configuration, .bytes = bytes, .speed = speed};
    const uint8_t *descriptor;
    bool good = configuration->interfaces && configuration->endpoints;
    int64_t result = good ? -E_BAD_FORMAT : -E_NO_MEMORY;
    while (good && (descriptor = usb_descriptor_next(bytes, &at, end)))
        good = descriptor_add(&parse, descriptor);
    if (good && at == end && configuration->interface_count && configuration->value)
        return 0;
    usb_configuration_destroy(configuration);
    return result;
}

void usb_configuration_destroy(struct usb_configuration *configuration)
{
    free(configuration->interfaces);
    free(configuration->endpoints);
    *configuration = (struct usb_configuration){0};
}

const struct usb_interface *usb_interface_find(const struct usb_configuration *configuration,
                                               uint8_t number, uint8_t alternate)
{
    for (uint32_t i = 0; i < configuration->interface_count; i++)
        if (configuration->interfaces[i].number == number &&
            configuration->interfaces[i].alternate == alternate)
            return &configuration->interfaces[i];
    return NULL;
}

/* xHCI 1.2 6.2.3.6: low and full speed say milliseconds, the others an exponent from 1. */
uint8_t usb_interval(const struct usb_endpoint *endpoint, enum usb_speed speed)
{
    uint8_t said = endpoint->interval, exponent = 3;
    if (endpoint->type == USB_BULK)
        return 0;
    if (speed >= USB_HIGH || endpoint->type == USB_ISOCHRONOUS) {
        exponent = (uint8_t)(MIN(MAX(said, 1), 16) - 1);
        return speed >= USB_HIGH ? exponent : (uint8_t)MIN(exponent + 3, 18);
    }
    while (exponent < 10 && 2u << exponent <= said * 8u)
        exponent++;
    return exponent;
}

/* --- hubs, capabilities, strings --- */

int64_t usb_hub_parse(const uint8_t *bytes, size_t length, enum usb_speed speed,
                      struct usb_hub *hub)
{
    bool super = is_super(speed);
    if (!is_whole(bytes, length, super ? USB_SUPER_HUB : USB_HUB,
                  super ? SUPER_HUB_LENGTH : HUB_LEAST))
        return -E_BAD_FORMAT;
    uint16_t what = usb_get16(bytes + 3);
    *hub = (struct usb_hub){
        .ports = bytes[2],
        .power_by_port = (what & 3) == 1,
        .current_by_port = (what >> 3 & 3) == 1,
        .current_seen = !(what & 0x10),
        .think_time = super ? 0 : what >> 5 & 3,
        .power_ms = (uint16_t)(bytes[5] * 2),
    };
    return hub->ports && (!super || hub->ports <= SUPER_HUB_PORTS) ? 0 : -E_BAD_FORMAT;
}

int64_t usb_bos_parse(const uint8_t *bytes, size_t length, struct usb_bos *bos)
{
    enum { EXTENSION = 2, SUPER = 3, SUPER_PLUS = 10 };
    *bos = (struct usb_bos){0};
    if (!is_whole(bytes, length, USB_BOS, USB_BOS_LENGTH))
        return -E_BAD_FORMAT;
    size_t end = MIN((size_t)usb_get16(bytes + 2), length), at = bytes[0];
    const uint8_t *capability;
    while ((capability = usb_descriptor_next(bytes, &at, end))) {
        if (capability[1] != USB_CAPABILITY || capability[0] < 3)
            continue;
        bos->link_power |= capability[2] == EXTENSION && capability[0] >= 7 && capability[3] & 2;
        bos->super |= capability[2] == SUPER;
        bos->super_plus |= capability[2] == SUPER_PLUS;
    }
    return at == end ? 0 : -E_BAD_FORMAT;
}

#define SURROGATE     0xd800u
#define LOW_SURROGATE 0xdc00u
#define NO_SURROGATE  0xe000u

/* The symbol at *at, of UTF-16. */
static uint32_t symbol_next(const uint8_t *bytes, size_t *at, size_t end)
{
    uint32_t high = usb_get16(bytes + *at);
    *at += 2;
    if (high < SURROGATE || high >= NO_SURROGATE)
        return high < 0x20 || (high >= 0x7f && high < 0xa0) ? '?' : high;
    uint32_t low = end - *at >= 2 ? usb_get16(bytes + *at) : 0;
    if (high >= LOW_SURROGATE || low < LOW_SURROGATE || low >= NO_SURROGATE)
        return '?';
    *at += 2;
    return 0x10000 + ((high - SURROGATE) << 10) + (low - LOW_SURROGATE);
}

static size_t utf8_put(uint32_t symbol, char utf8[4])
{
    static const uint8_t first[] = {0, 0, 0xc0, 0xe0, 0xf0};
    size_t length = symbol < 0x80 ? 1 : symbol < 0x800 ? 2 : symbol < 0x10000 ? 3 : 4;
    for (size_t i = length; i-- > 1; symbol >>= 6)
        utf8[i] = (char)(0x80 | (symbol & 0x3f));
    utf8[0] = (char)(length == 1 ? symbol : first[length] | symbol);
    return length;
}

bool usb_string_parse(const uint8_t *bytes, size_t length, char *text, size_t size)
{
    size_t used = 0, at = HEAD;
    text[0] = '\0';
    if (!is_whole(bytes, length, USB_STRING, HEAD))
        return false;
    size_t end = bytes[0] & ~(size_t)1;
    while (at < end) {
        char utf8[4];
        size_t count = utf8_put(symbol_next(bytes, &at, end), utf8);
        if (used + count >= size)
            break;
        for (size_t i = 0; i < count; i++)
            text[used++] = utf8[i];
    }
    while (used && text[used - 1] == ' ') /* many fill a field up */
        used--;
    text[used] = '\0';
    return true;
}
