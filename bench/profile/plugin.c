/* A plugin of QEMU's translator that counts each instruction the whole machine executes in a window of time.
 *
 *     qemu-system-x86_64 -plugin libprofile.so,out=FILE,window=2,sequence=20000 ...
 *     qemu-system-x86_64 -plugin libprofile.so,out=FILE,boot=LOW,top=HIGH ...
 *     qemu-system-x86_64 -plugin libprofile.so,out=FILE,windows=1 ...
 *
 * window=n: the n-th window between two markers of bench/common/bench.h. boot: from the first instruction between the
 * addresses LOW and HIGH, where a kernel starts, to the first one in user mode: the first in the lower half once the upper
 * has been seen. At the end of the window FILE gets
 *
 *     i ID VADDR PAGE COUNT BYTES      each instruction that was executed; PAGE tells programs at one address apart
 *     s ID                             the first `sequence` of them, in their order
 *     t COUNT                          all, last
 *
 * windows=1: of every window only how many there were, at a small part of the cost: a line "w COUNT" of FILE at its end.
 *
 * A repeated string instruction counts as often as it repeats, as it does for icount.
 *
 * The plugin interface's header is in no package of Debian, so what is used of it is declared here (version 1 of
 * the interface, QEMU 6 to 8). Called by one thread at a time: icount runs all CPUs in one.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct qemu_plugin_tb;
struct qemu_plugin_insn;

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *block, size_t index);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *instruction);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *instruction);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *instruction);
void *qemu_plugin_insn_haddr(const struct qemu_plugin_insn *instruction);
void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id,
                                           void (*translated)(uint64_t, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *instruction,
                                            void (*executed)(unsigned, void *), int flags,
                                            void *data);
enum qemu_plugin_op { QEMU_PLUGIN_INLINE_ADD_U64 };
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *instruction,
                                                enum qemu_plugin_op op, void *at, uint64_t value);
int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

#define UPPER_HALF UINT64_C(0xffff800000000000)
#define BUCKETS    (1u << 18)
#define BYTES_MAX  15

struct instruction {
    struct instruction *next; /* of the bucket */
    uint64_t address, page, count;
    uint32_t id;
    uint8_t size, bytes[BYTES_MAX];
};

static struct instruction *buckets[BUCKETS];
static uint32_t instructions;

static const char *out_path;
static uint64_t window, all_windows, boot_low, boot_high, sequence_limit;

static bool recording, upper_seen, done;
static uint64_t windows, total, sequence_count;
static uint32_t *sequence;

static void write_results(void)
{
    FILE *file = fopen(out_path, "w");

    done = true;
    recording = false;
    if (!file) {
        perror(out_path);
        return;
    }
    for (size_t bucket = 0; bucket < BUCKETS; bucket++) {
        for (const struct instruction *each = buckets[bucket]; each; each = each->next) {
            if (each->count == 0)
                continue;
            fprintf(file, "i %" PRIu32 " %" PRIx64 " %" PRIx64 " %" PRIu64 " ", each->id,
                    each->address, each->page, each->count);
            for (int i = 0; i < each->size; i++)
                fprintf(file, "%02x", each->bytes[i]);
            fputc('\n', file);
        }
    }
    for (uint64_t i = 0; i < sequence_count; i++)
        fprintf(file, "s %" PRIu32 "\n", sequence[i]);
    fprintf(file, "t %" PRIu64 "\n", total);
    fclose(file);
}

static void count_one(struct instruction *instruction)
{
    instruction->count++;
    total++;
    if (sequence_count < sequence_limit)
        sequence[sequence_count++] = instruction->id;
}

static void on_instruction(unsigned cpu, void *data)
{
    (void)cpu;
    if (recording)
        count_one(data);
}

static void on_start(unsigned cpu, void *data)
{
    (void)cpu;
    (void)data;
    if (!done && ++windows == window)
        recording = true;
}

static void on_end(unsigned cpu, void *data)
{
    (void)cpu;
    (void)data;
    if (recording)
        write_results();
}

static void on_boot_instruction(unsigned cpu, void *data)
{
    const struct instruction *instruction = data;

    (void)cpu;
    if (done)
        return;
    if (!recording)
        recording = instruction->address >= boot_low && instruction->address < boot_high;
    if (!recording)
        return;
    if (instruction->address >= UPPER_HALF)
        upper_seen = true;
    else if (upper_seen) {
        write_results();
        return;
    }
    count_one(data);
}

/* --- All windows: a count that runs always --- */

static uint64_t executed_ever, started_at;
static FILE *counts;

static void on_window_start(unsigned cpu, void *data)
{
    (void)cpu;
    (void)data;
    started_at = executed_ever;
}

static void on_window_end(unsigned cpu, void *data)
{
    (void)cpu;
    (void)data;
    fprintf(counts, "w %" PRIu64 "\n", executed_ever - started_at);
    fflush(counts);
}

/* --- What is translated --- */

static struct instruction *instruction_of(const struct qemu_plugin_insn *translated)
{
    uint64_t address = qemu_plugin_insn_vaddr(translated);
    uint64_t page = (uintptr_t)qemu_plugin_insn_haddr(translated) >> 12;
    size_t size = qemu_plugin_insn_size(translated);
    const void *bytes = qemu_plugin_insn_data(translated);
    struct instruction **bucket = &buckets[(address * 31 + page * 7919) % BUCKETS];

    for (struct instruction *each = *bucket; each; each = each->next)
        if (each->address == address && each->page == page && each->size == size &&
            memcmp(each->bytes, bytes, size) == 0)
            return each;

    struct instruction *made = calloc(1, sizeof(*made));

    if (!made)
        abort();
    made->address = address;
    made->page = page;
    made->id = instructions++;
    made->size = (uint8_t)(size < BYTES_MAX ? size : BYTES_MAX);
    memcpy(made->bytes, bytes, made->size);
    made->next = *bucket;
    return *bucket = made;
}

static char marker_of(const uint8_t *bytes, size_t size)
{
    static const uint8_t marker[] = {0x0f, 0x1f, 0x80, 'b', 'e', 'n'};

    if (size != sizeof(marker) + 1 || memcmp(bytes, marker, sizeof(marker)) != 0)
        return 0;
    return (char)bytes[sizeof(marker)];
}

static void on_counted_translation(uint64_t id, struct qemu_plugin_tb *block)
{
    (void)id;
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(block); i++) {
        struct qemu_plugin_insn *translated = qemu_plugin_tb_get_insn(block, i);
        char marker =
            marker_of(qemu_plugin_insn_data(translated), qemu_plugin_insn_size(translated));

        if (marker)
            qemu_plugin_register_vcpu_insn_exec_cb(
                translated, marker == 'S' ? on_window_start : on_window_end, 0, NULL);
        else
            qemu_plugin_register_vcpu_insn_exec_inline(translated, QEMU_PLUGIN_INLINE_ADD_U64,
                                                       &executed_ever, 1);
    }
}

static void on_translation(uint64_t id, struct qemu_plugin_tb *block)
{
    (void)id;
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(block); i++) {
        struct qemu_plugin_insn *translated = qemu_plugin_tb_get_insn(block, i);
        struct instruction *instruction = instruction_of(translated);
        char marker = window ? marker_of(instruction->bytes, instruction->size) : 0;
        void (*executed)(unsigned, void *) = marker == 'S'   ? on_start
                                             : marker == 'E' ? on_end
                                             : window        ? on_instruction
                                                             : on_boot_instruction;

        qemu_plugin_register_vcpu_insn_exec_cb(translated, executed, 0, instruction);
    }
}

static bool argument(const char *text, const char *name, uint64_t *value)
{
    size_t length = strlen(name);

    if (strncmp(text, name, length) != 0 || text[length] != '=')
        return false;
    *value = strtoull(text + length + 1, NULL, 0);
    return true;
}

__attribute__((visibility("default"))) int qemu_plugin_install(uint64_t id, const void *info,
                                                               int argc, char **argv)
{
    (void)info;
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "out=", 4) == 0)
            out_path = argv[i] + 4;
        else if (!argument(argv[i], "window", &window) &&
                 !argument(argv[i], "windows", &all_windows) &&
                 !argument(argv[i], "boot", &boot_low) && !argument(argv[i], "top", &boot_high) &&
                 !argument(argv[i], "sequence", &sequence_limit)) {
            fprintf(stderr, "profile: what is %s?\n", argv[i]);
            return -1;
        }
    }
    sequence = calloc(sequence_limit ? sequence_limit : 1, sizeof(*sequence));
    if (!out_path || !sequence || !!window + !!boot_high + !!all_windows != 1) {
        fprintf(stderr, "profile: out=, and window=, windows= or boot= and top=\n");
        return -1;
    }
    if (all_windows && !(counts = fopen(out_path, "w"))) {
        perror(out_path);
        return -1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id,
                                          all_windows ? on_counted_translation : on_translation);
    return 0;
}
