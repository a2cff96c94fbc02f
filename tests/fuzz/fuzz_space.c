/* Spaces and memory objects: bytes are operations, compared with a model (tests/host/space_model.h). */
// sources: tests/host/space_model.c
// sources: kernel/vmm/memory.c kernel/vmm/memory_io.c kernel/vmm/mapping.c kernel/vmm/tree.c
// sources: kernel/vmm/pager.c tests/host/fake_pager.c
// sources: kernel/vmm/space.c kernel/vmm/protect.c kernel/vmm/move.c kernel/vmm/region.c kernel/vmm/gather.c kernel/vmm/trim.c kernel/vmm/huge.c
// sources: kernel/vmm/fault.c kernel/vmm/fork.c
// sources: kernel/vmm/copy.c kernel/vmm/heap.c kernel/vmm/frame.c kernel/vmm/ram.c kernel/vmm/fail.c
// sources: kernel/account.c kernel/lock.c lib/base/rbtree.c
// sources: tests/host/fake_arch.c tests/host/fake_space.c tests/host/fake_object.c tests/host/fake_process.c
#include "tests/host/space_model.h"

struct input {
    const uint8_t *bytes;
    size_t length;
};

static bool next_byte(void *context, uint32_t *number)
{
    struct input *input = context;

    if (input->length == 0)
        return false;
    *number = *input->bytes++;
    input->length--;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct input input = {bytes, length};

    model_run(next_byte, &input);
    return 0;
}
