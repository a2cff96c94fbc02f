/* The bytes of a channel: a ring of pages that come with the first byte written to them. See stream.h.
 *
 * Positions are counted from when the channel was last empty (stream_io.c sets them back), so a channel with little
 * under way uses the same few bytes again and again and has one page.
 */
#include "abi/errors.h"
#include "kernel/account.h"
#include "kernel/ipc/stream.h"
#include "kernel/vmm/frame.h"

static struct frame **page_at(struct channel *channel, uint64_t position)
{
    return &channel->pages[position / PAGE_SIZE % CHANNEL_PAGES];
}

/* Whoever made the streams pays for it. */
static int page_make(const struct channel *channel, struct frame **page)
{
    struct account *account = channel->to->pair->account;

    if (!account_take(account, QUOTA_MEMORY, PAGE_SIZE))
        return -E_NO_MEMORY;

    int error = frame_alloc(0, page);

    if (error)
        account_give(account, QUOTA_MEMORY, PAGE_SIZE);
    return error;
}

int ring_copy(struct channel *channel, uint64_t position, uaddr_t user, uint64_t length,
              enum ring_way way)
{
    while (length) {
        uint64_t offset = position % PAGE_SIZE, piece = MIN(length, PAGE_SIZE - offset);
        struct frame **page = page_at(channel, position);

        if (way == RING_IN && !*page && page_make(channel, page))
            return -E_NO_MEMORY;

        uint8_t *data = (uint8_t *)frame_data(*page) + offset;
        int error =
            way == RING_IN ? user_copy_in(data, user, piece) : user_copy_out(user, data, piece);

        if (error)
            return error;
        position += piece;
        user.value += piece;
        length -= piece;
    }
    return 0;
}

bool ring_copy_small(struct channel *channel, uint64_t position, uaddr_t user, uint64_t length,
                     enum ring_way way)
{
    uint64_t offset = position % PAGE_SIZE;
    struct frame *page = *page_at(channel, position);

    if (length > RING_SMALL || length > PAGE_SIZE - offset || !page)
        return false;

    uint8_t *data = (uint8_t *)frame_data(page) + offset;

    return (way == RING_IN ? user_copy_in_nofault(data, user, length)
                           : user_copy_out_nofault(user, data, length)) == 0;
}

/* Byte by byte: it may cross a page. */
int ring_write_length(struct channel *channel, uint64_t position, uint32_t length)
{
    for (uint32_t i = 0; i < sizeof(length); i++) {
        struct frame **page = page_at(channel, position + i);

        if (!*page && page_make(channel, page))
            return -E_NO_MEMORY;
        ((uint8_t *)frame_data(*page))[(position + i) % PAGE_SIZE] = (uint8_t)(length >> 8 * i);
    }
    return 0;
}

uint32_t ring_read_length(const struct channel *channel, uint64_t position)
{
    uint32_t length = 0;

    for (uint32_t i = 0; i < sizeof(length); i++) {
        const struct frame *page = channel->pages[(position + i) / PAGE_SIZE % CHANNEL_PAGES];

        length |= (uint32_t)((const uint8_t *)frame_data(page))[(position + i) % PAGE_SIZE]
                  << 8 * i;
    }
    return length;
}

void ring_free(struct channel *channel, uint32_t first)
{
    for (uint32_t i = first; i < CHANNEL_PAGES; i++) {
        if (!channel->pages[i])
            continue;
        frame_put(channel->pages[i]);
        channel->pages[i] = NULL;
        account_give(channel->to->pair->account, QUOTA_MEMORY, PAGE_SIZE);
    }
}
