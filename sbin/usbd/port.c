/* Ports: see port.h. */
#include "sbin/usbd/port.h"

#include "sbin/usbd/controller.h"
#include "sbin/usbd/device.h"
#include "sbin/usbd/registers.h"

#define PORT_TYPE (USB_TYPE_CLASS | USB_TYPE_OTHER)

/* Features of a hub's port (USB 2.0 table 11-17, USB 3.2 table 10-9), and bits of its status. */
enum {
    FEATURE_RESET = 4,
    FEATURE_POWER = 8,
    FEATURE_C_CONNECTION = 16,
    FEATURE_C_ENABLE = 17,
    FEATURE_C_CURRENT = 19,
    FEATURE_C_RESET = 20,
    FEATURE_C_LINK = 25,
    FEATURE_C_CONFIGURATION = 26,
    FEATURE_C_WARM_RESET = 29,
};

#define HUB_CONNECTED 0x0001u
#define HUB_ENABLED   0x0002u
#define HUB_CURRENT   0x0008u
#define HUB_RESET     0x0010u
#define HUB_LOW       0x0200u /* USB 2 */
#define HUB_HIGH      0x0400u

#define CHANGE_CONNECTION 0x01u
#define CHANGE_CURRENT    0x08u
#define CHANGE_RESET      0x10u
#define CHANGE_WARM       0x20u

static bool is_super(const struct hub *hub)
{
    return hub->device && hub->device->speed >= USB_SUPER;
}

static int64_t feature(struct hub *hub, uint8_t port, enum usb_request request, uint16_t which)
{
    return device_control(hub->device, USB_SETUP(PORT_TYPE, request, which, port, 0), NULL);
}

/* --- a controller's --- */

static void root_look(struct hub *hub, uint8_t port, struct port_status *status)
{
    uint32_t now = controller_port(hub->controller, port);
    controller_port_set(hub->controller, port, now & PORT_CHANGES);
    *status = (struct port_status){
        .connected = now & PORT_CONNECTED,
        .enabled = now & PORT_ENABLED,
        .over_current = now & PORT_OVER_CURRENT,
        .resetting = now & (PORT_RESET | PORT_WARM_RESET),
        .connection_changed = now & PORT_CONNECT,
        .current_changed = now & PORT_CURRENT,
        .reset_done = now & (PORT_RESET_CHANGE | PORT_WARM_CHANGE),
        .speed = (uint8_t)PORT_SPEED(now),
    };
}

/* --- a hub's --- */

static int64_t changes_clear(struct hub *hub, uint8_t port, uint16_t change)
{
    static const struct {
        uint16_t bit, feature;
        bool super;
    } features[] = {
        {CHANGE_CONNECTION, FEATURE_C_CONNECTION, false},
        {0x02, FEATURE_C_ENABLE, false},
        {CHANGE_CURRENT, FEATURE_C_CURRENT, false},
        {CHANGE_RESET, FEATURE_C_RESET, false},
        {CHANGE_WARM, FEATURE_C_WARM_RESET, true},
        {0x40, FEATURE_C_LINK, true},
        {0x80, FEATURE_C_CONFIGURATION, true},
    };
    int64_t result = 0;
    for (size_t i = 0; i < ARRAY_SIZE(features) && result >= 0; i++)
        if (change & features[i].bit && (!features[i].super || is_super(hub)))
            result = feature(hub, port, USB_CLEAR_FEATURE, features[i].feature);
    return result;
}

static int64_t hub_look(struct hub *hub, uint8_t port, struct port_status *status)
{
    uint8_t bytes[4];
    int64_t got = device_control(
        hub->device, USB_SETUP(USB_TYPE_IN | PORT_TYPE, USB_GET_STATUS, 0, port, sizeof(bytes)),
        bytes);
    if (got < (int64_t)sizeof(bytes))
        return got < 0 ? got : -E_IO;
    uint16_t now = usb_get16(bytes), change = usb_get16(bytes + 2);
    enum usb_speed slow = now & HUB_LOW ? USB_LOW : now & HUB_HIGH ? USB_HIGH : USB_FULL;
    *status = (struct port_status){
        .connected = now & HUB_CONNECTED,
        .enabled = now & HUB_ENABLED,
        .over_current = now & HUB_CURRENT,
        .resetting = now & HUB_RESET,
        .connection_changed = change & CHANGE_CONNECTION,
        .current_changed = change & CHANGE_CURRENT,
        .reset_done = change & (CHANGE_RESET | CHANGE_WARM),
        .speed = (uint8_t)(is_super(hub) ? hub->device->speed : slow),
    };
    return changes_clear(hub, port, change);
}

/* --- either --- */

int64_t port_look(struct hub *hub, uint8_t port, struct port_status *status)
{
    if (hub->device)
        return hub_look(hub, port, status);
    root_look(hub, port, status);
    return 0;
}

int64_t port_power(struct hub *hub, uint8_t port)
{
    if (hub->device)
        return feature(hub, port, USB_SET_FEATURE, FEATURE_POWER);
    controller_port_set(hub->controller, port, PORT_POWER);
    return 0;
}

bool port_trains(const struct hub *hub, uint8_t port)
{
    return hub->device ? is_super(hub) : hub->controller->major[port] == 3;
}

int64_t port_reset(struct hub *hub, uint8_t port)
{
    if (hub->device)
        return feature(hub, port, USB_SET_FEATURE, FEATURE_RESET);
    controller_port_set(hub->controller, port,
                        port_trains(hub, port) ? PORT_WARM_RESET : PORT_RESET);
    return 0;
}
