/* Blocks of transfers: see td.h. */
#include "sbin/usbd/td.h"

#include "abi/abi.h"
#include "abi/errors.h"
#include "abi/usb.h"

#define BOUNDARY    0x10000u
#define PACKETS_MAX 31u

#define SETUP_OUT 2u /* transfer types of a setup stage, << 16 */
#define SETUP_IN  3u

static uint64_t address_at(const struct td_request *request, uint32_t at)
{
    uint64_t offset = request->offset + at;
    return request->pages[offset / PAGE_SIZE] + offset % PAGE_SIZE;
}

/* How many bytes from `at` on lie in one piece that a block may name. */
static uint32_t piece_at(const struct td_request *request, uint32_t at)
{
    uint64_t start = address_at(request, at), most = BOUNDARY - start % BOUNDARY;
    uint64_t length = PAGE_SIZE - start % PAGE_SIZE;
    while (length < most && at + length < request->length &&
           address_at(request, at + (uint32_t)length) == start + length)
        length += PAGE_SIZE;
    length = MIN(length, most);
    return (uint32_t)MIN(length, (uint64_t)(request->length - at));
}

/* Packets behind this block (4.11.2.4); none behind the last. */
static uint32_t packets_left(const struct td_request *request, uint32_t done)
{
    uint32_t packet = MAX(request->packet, 1), total = (request->length + packet - 1) / packet;
    return done == request->length ? 0 : MIN(total - done / packet, PACKETS_MAX);
}

/* The data in pieces, chained to one another; none for no data. */
static int64_t data_blocks(const struct td_request *request, enum trb_type first, struct trb *trbs,
                           uint32_t room)
{
    uint32_t count = 0, flags = request->in ? TRB_SHORT : 0;
    for (uint32_t at = 0, length; at < request->length; at += length) {
        if (count == room)
            return -E_TOO_BIG;
        length = piece_at(request, at);
        bool last = at + length == request->length;
        trbs[count] = (struct trb){
            .parameter = address_at(request, at),
            .status = length | packets_left(request, at + length) << 17,
            .control = TRB_OF(count ? TRB_NORMAL : first) | flags | (last ? 0 : TRB_CHAIN),
        };
        count++;
    }
    return count;
}

int64_t td_normal(const struct td_request *request, struct trb *trbs, uint32_t room)
{
    int64_t count = data_blocks(request, TRB_NORMAL, trbs, room);
    if (count == 0 && room) {
        trbs[0] = (struct trb){.control = TRB_OF(TRB_NORMAL)}; /* an empty packet */
        count = 1;
    }
    if (count > 0)
        trbs[count - 1].control |= TRB_TELL;
    return count == 0 ? -E_TOO_BIG : count;
}

int64_t td_control(const struct td_request *request, uint64_t setup, struct trb *trbs,
                   uint32_t room)
{
    bool in = request->length && request->in;
    if (room < 2)
        return -E_TOO_BIG;
    uint32_t stages = request->length ? (in ? SETUP_IN : SETUP_OUT) << 16 : 0;
    trbs[0] = (struct trb){setup, 8, TRB_OF(TRB_SETUP) | TRB_IMMEDIATE | stages};
    int64_t count = data_blocks(request, TRB_DATA, trbs + 1, room - 2);
    if (count < 0)
        return count;
    if (count)
        trbs[1].control |= in ? TRB_IN : 0;
    trbs[count + 1] = (struct trb){.control = TRB_OF(TRB_STATUS) | TRB_TELL | (in ? 0 : TRB_IN)};
    return count + 2;
}

uint32_t td_moved(const struct td_request *request, bool control, uint32_t place, uint32_t left)
{
    uint32_t block = control ? 1 : 0;
    if (place < block)
        return 0;
    for (uint32_t at = 0, length; at < request->length; at += length, block++) {
        length = piece_at(request, at);
        if (block == place)
            return at + length - MIN(left, length);
    }
    return request->length; /* the status stage */
}
