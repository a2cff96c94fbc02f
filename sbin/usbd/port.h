/* One port of a hub, in one language: a controller's registers, or requests to a hub of USB 2 or 3. Requests wait (lock.h). */
#pragma once

#include "sbin/usbd/hub.h"

struct port_status {
    bool connected, enabled, over_current, resetting;
    bool connection_changed, current_changed, reset_done;
    uint8_t speed; /* of what is connected, if it is enabled */
};

/* What has changed is told once. */
MUST_CHECK int64_t port_look(struct hub *hub, uint8_t port, struct port_status *status);
MUST_CHECK int64_t port_power(struct hub *hub, uint8_t port);
MUST_CHECK int64_t port_reset(struct hub *hub, uint8_t port);
/* Whether what is connected is enabled by itself: SuperSpeed. */
bool port_trains(const struct hub *hub, uint8_t port);
