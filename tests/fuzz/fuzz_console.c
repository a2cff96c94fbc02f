/* What programs write on a console, in pieces, on its way through escapes.c to libvterm: the cursor stays on the screen, what it
 * allocates is not written beyond, and both still agree on where a sequence ends. */
// sources: sbin/outputd/escapes.c
// libs: vterm
#include <stdlib.h>
#include <string.h>

#include "sbin/outputd/escapes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

#define ROWS    7
#define COLUMNS 21
#define GUARD   64u /* bytes behind each allocation */

struct block {
    size_t size;
    uint8_t bytes[];
};

static struct block *block_of(void *pointer)
{
    return (struct block *)((uint8_t *)pointer - offsetof(struct block, bytes));
}

static void *guarded_malloc(size_t size, void *data)
{
    struct block *block = calloc(1, sizeof(*block) + size + GUARD);
    (void)data;
    if (!block)
        abort();
    block->size = size;
    return block->bytes;
}

static void guarded_free(void *pointer, void *data)
{
    struct block *block = pointer ? block_of(pointer) : NULL;
    (void)data;
    for (size_t i = 0; block && i < GUARD; i++)
        if (block->bytes[block->size + i])
            abort();
    free(block);
}

static char answer[16];
static size_t answered;

static void answer_take(const char *bytes, size_t length, void *user)
{
    (void)user;
    for (size_t i = 0; i < length; i++)
        answer[answered++ % sizeof(answer)] = bytes[i];
}

static void write_all(struct escapes *escapes, const uint8_t *data, size_t length)
{
    while (length) {
        size_t piece = MIN((size_t)1 + data[0] % 16, length);
        escapes_write(escapes, data, piece);
        data += piece;
        length -= piece;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    static VTermAllocatorFunctions functions = {.malloc = guarded_malloc, .free = guarded_free};
    static const VTermScreenCallbacks callbacks = {0};
    VTerm *vterm = vterm_new_with_allocator(ROWS, COLUMNS, &functions, NULL);
    VTermScreen *screen = vterm_obtain_screen(vterm);
    struct escapes escapes;
    VTermPos cursor;
    vterm_set_utf8(vterm, 1);
    vterm_output_set_callback(vterm, answer_take, NULL);
    vterm_screen_set_callbacks(screen, &callbacks, NULL);
    vterm_screen_enable_altscreen(screen, 1);
    vterm_screen_reset(screen, 1);
    escapes_init(&escapes, vterm);
    write_all(&escapes, data, length);
    vterm_state_get_cursorpos(vterm_obtain_state(vterm), &cursor);
    if (cursor.row < 0 || cursor.row >= ROWS || cursor.col < 0 || cursor.col >= COLUMNS)
        abort();
    /* Text for the one must be text for the other: "[5n" is only then no question. */
    answered = 0;
    if (escapes.state == ESCAPES_TEXT)
        escapes_write(&escapes, "[5n", 3);
    if (answered)
        abort();
    escapes_write(&escapes, "\x18\x1b[5n", 5);
    if (!answered)
        abort();
    vterm_free(vterm);
    return 0;
}
