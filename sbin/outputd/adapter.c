#include "sbin/outputd/adapter.h"

#include <string.h>

#include "lib/sys/held.h"
#include "sbin/outputd/control.h"

#define UNITS   256u  /* taken in one go */
#define PIECE   1024u /* bytes of an order */
#define UNIT    sizeof(uint16_t)
#define OUTWARD (TTY_MODEM_DTR | TTY_MODEM_RTS)

static struct adapter *of(struct terminal *terminal)
{
    return container_of(terminal, struct adapter, terminal);
}

/* --- Settings ---------------------------------------------------------------------------------------------------- */

/* DTR and RTS change when the speed becomes 0, and when it is one again; else they are what TIOCMSET made them. */
static void control_note(struct adapter *adapter)
{
    uint32_t *control = &adapter->terminal.line->attributes.control;
    uint32_t bauds = line_bauds(*control);
    bool hangs_up = !(*control & LINE_SPEED), hung_up = !(adapter->control & LINE_SPEED);
    if (!bauds && !hangs_up) /* no speed at all */
        *control = (*control & ~(uint32_t)LINE_SPEED) | (adapter->control & LINE_SPEED);
    if (bauds)
        adapter->bauds = bauds;
    if (hangs_up != hung_up)
        adapter->lines = hangs_up ? 0 : OUTWARD;
    adapter->control = *control;
}

static uint64_t settings_wanted(const struct adapter *adapter)
{
    uint32_t control = adapter->control;
    uint64_t bits = 5 + ((control & LINE_CSIZE) >> 4);
    return adapter->bauds | bits << SERIAL_BITS_SHIFT |
           (control & LINE_CSTOPB ? SERIAL_STOP_2 : 0) |
           (control & LINE_PARENB ? SERIAL_PARITY : 0) |
           (control & LINE_PARENB && control & LINE_PARODD ? SERIAL_ODD : 0) |
           (control & (uint32_t)LINE_CRTSCTS ? SERIAL_RTS_CTS : 0) |
           (adapter->lines & TTY_MODEM_DTR ? SERIAL_DTR : 0) |
           (adapter->lines & TTY_MODEM_RTS ? SERIAL_RTS : 0) |
           (adapter->breaking ? SERIAL_BREAK : 0);
}

/* What the device cannot have is taken back, so that whoever looks at the terminal's modes sees it. */
static void settings_told(struct adapter *adapter, uint64_t in_force, uint64_t impossible)
{
    uint64_t wanted = settings_wanted(adapter);
    adapter->in_force = in_force;
    adapter->impossible = impossible;
    if (in_force == wanted)
        adapter->good_control = adapter->control;
    else if (impossible == wanted && adapter->good_control)
        adapter->terminal.line->attributes.control = adapter->good_control;
}

/* --- What the driver is to do ------------------------------------------------------------------------------------ */

static struct {
    struct serial_order order;
    uint8_t bytes[PIECE];
} answer;

static void order_serve(struct adapter *adapter)
{
    struct held *held = list_first(&adapter->orders, struct held, link);
    uint64_t wanted = settings_wanted(adapter);
    if (!held)
        return;
    size_t count = line_output_peek(adapter->terminal.line, answer.bytes,
                                    MIN(held->length - sizeof(answer.order), (uint64_t)PIECE));
    if (!count && (wanted == adapter->in_force || wanted == adapter->impossible))
        return;
    answer.order = (struct serial_order){adapter->terminal.line->output_read, wanted};
    held_return(held, 0, sizeof(answer.order) + count, &answer, sizeof(answer.order) + count);
}

/* true: some of the output was sent. */
static bool sent_note(struct line *line, uint64_t sent)
{
    if (sent <= line->output_read || sent > line->output_end)
        return false; /* flushed meanwhile, or nothing of ours */
    line_output_drop(line, (size_t)(sent - line->output_read));
    return true;
}

int64_t adapter_next(struct adapter *adapter, struct command *command)
{
    const uint64_t *args = command->message.args;
    if (command->message.out_length <= sizeof(struct serial_order))
        return -E_INVALID;
    struct held *held = held_add(&adapter->orders, command, 0);
    if (!held)
        return -E_NO_MEMORY;
    settings_told(adapter, args[1], args[2]);
    if (sent_note(adapter->terminal.line, args[0]))
        terminal_drained(&adapter->terminal);
    adapter_device.attend(&adapter->terminal);
    return COMMAND_HELD;
}

/* --- What the line received -------------------------------------------------------------------------------------- */

/* The fall of the carrier hangs up, where it means something. */
static void lines_changed(struct adapter *adapter, uint32_t lines)
{
    bool fell = adapter->modem & ~lines & TTY_MODEM_CAR;
    adapter->modem = lines;
    if (fell && !(adapter->terminal.line->attributes.control & LINE_CLOCAL))
        terminal_hang_up(&adapter->terminal);
}

static void unit_take(struct adapter *adapter, uint16_t unit)
{
    switch (unit & SERIAL_UNIT) {
    case SERIAL_DAMAGED:
        terminal_input_error(&adapter->terminal, (uint8_t)unit, LINE_DAMAGED);
        return;
    case SERIAL_BROKEN:
        terminal_input_error(&adapter->terminal, 0, LINE_BREAK);
        return;
    case SERIAL_LINES:
        lines_changed(adapter, unit & ~SERIAL_UNIT);
        return;
    default:
        return;
    }
}

/* An outputd that ends in here has taken what it had begun with. */
static void units_take(struct adapter *adapter, uint64_t first, const uint16_t *units, size_t count)
{
    uint8_t bytes[UNITS];
    size_t i = 0;
    if (first < adapter->kept->next) /* these are here already */
        i = MIN(count, adapter->kept->next - first);
    while (i < count) {
        size_t good = 0;
        for (; i < count && (units[i] & SERIAL_UNIT) == SERIAL_RECEIVED; i++)
            bytes[good++] = (uint8_t)units[i];
        adapter->kept->next = first + i + !good;
        if (good)
            terminal_input(&adapter->terminal, bytes, good);
        else
            unit_take(adapter, units[i++]);
    }
}

/* Of a held write: as much as there is room for, at least one unit. */
static bool receipt_serve(struct adapter *adapter)
{
    uint16_t units[UNITS];
    struct held *held = list_first(&adapter->receipts, struct held, link);
    size_t room = line_input_room(adapter->terminal.line);
    if (!held || !room)
        return false;
    room = MIN(room, (size_t)UNITS);
    size_t size = MIN(room * UNIT, held->length);
    int64_t result = sys_cmd_read(held->port, held->token, held->in_offset, units, size);
    size_t count = result < 0 ? 0 : (size_t)result / UNIT;
    units_take(adapter, held->argument, units, count);
    held_return(held, result < 0 ? result : count ? 0 : -E_FAULT, count * UNIT, NULL, 0);
    return true;
}

int64_t adapter_receive(struct adapter *adapter, struct command *command)
{
    uint64_t offset = command->message.args[0], length = command->in_length;
    if (offset % UNIT || !length || length % UNIT)
        return -E_INVALID;
    struct held *held = held_add(&adapter->receipts, command, 0);
    if (!held)
        return -E_NO_MEMORY;
    held->length = length;
    held->argument = offset / UNIT;
    adapter_device.attend(&adapter->terminal);
    return COMMAND_HELD;
}

/* --- The device -------------------------------------------------------------------------------------------------- */

/* Serving one side may give the other something to do. */
static void attend(struct terminal *terminal)
{
    struct adapter *adapter = of(terminal);
    adapter->again = true;
    if (adapter->attending)
        return;
    adapter->attending = true;
    while (adapter->again) {
        adapter->again = false;
        control_note(adapter);
        order_serve(adapter);
        adapter->again |= receipt_serve(adapter);
    }
    adapter->attending = false;
}

static int64_t control(struct terminal *terminal, struct command *command)
{
    struct adapter *adapter = of(terminal);
    uint32_t wanted;
    int64_t result = control_modem(command, adapter->lines | adapter->modem, &wanted);
    if (result >= 0)
        adapter->lines = wanted & OUTWARD;
    attend(terminal);
    return result;
}

static void set_break(struct terminal *terminal, bool on)
{
    of(terminal)->breaking = on;
    attend(terminal);
}

const struct terminal_device adapter_device = {
    .attend = attend,
    .control = control,
    .set_break = set_break,
};

/* --- Beginnings and ends ----------------------------------------------------------------------------------------- */

void adapter_init(struct adapter *adapter, handle_t port, struct adapter_kept *kept)
{
    memset(adapter, 0, sizeof(*adapter));
    list_init(&adapter->link);
    list_init(&adapter->files);
    list_init(&adapter->orders);
    list_init(&adapter->receipts);
    adapter->kept = kept;
    terminal_init(&adapter->terminal, port, &kept->terminal, &adapter_device);
    control_note(adapter);
    control_keep(
        &adapter->terminal); /* numbers of bytes mean something to the driver from now on */
    adapter->gone_at = DEADLINE_NEVER;
}

void adapter_begin(struct adapter *adapter, uint64_t life)
{
    if (adapter->kept->life != life)
        adapter->kept->next = 0;
    adapter->kept->life = life;
    adapter->in_force = adapter->impossible = 0;
}

static void leave(struct list *list)
{
    list_for_each (struct held, held, list, link)
        held_return(held, -E_CLOSED, 0, NULL, 0);
}

void adapter_leave(struct adapter *adapter)
{
    leave(&adapter->orders);
    leave(&adapter->receipts);
}

bool adapter_cancel(struct adapter *adapter, uint64_t token)
{
    struct held *held = held_find(&adapter->orders, token);
    if (!held)
        held = held_find(&adapter->receipts, token);
    if (held)
        held_return(held, -E_INTERRUPTED, 0, NULL, 0);
    return held;
}
