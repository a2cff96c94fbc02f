#!/usr/bin/python3
"""`make profile T=figure`: where the instructions of a figure go, all processes and the kernel together.

    bench/profile/profile.py --out out FIGURE [--operations N] [--cpus N]

Runs the figure's program once on protos under a plugin of QEMU that counts every instruction between the markers of
bench/common/bench.h, and prints per operation: the images, functions and source lines that executed most, and the
privileged events. <out>/profile/<figure>.txt has all of them, <figure>.sequence one operation instruction by instruction.
FIGURE boot: from the kernel's first instruction to the first one in user mode.
"""
import argparse
import bisect
import collections
import os
import re
import struct
import subprocess
import sys

sys.dont_write_bytecode = True
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path[:0] = [os.path.join(ROOT, "tests", "system"), os.path.join(ROOT, "bench")]
import disk  # noqa: E402
from harness import Context, Failure  # noqa: E402
from machine import PROMPT  # noqa: E402

CPU = "max,-erms,-fsrm"
DEADLINE = 600
SEQUENCE = 400000  # instructions noted in their order
SHOWN = 32
BOOT = "boot"
UPPER_HALF = 0xffff800000000000
Instruction = collections.namedtuple("Instruction", "address page count data")


class Image:
    """An ELF of ours: what lies at an address, in which function, on which line."""

    def __init__(self, name, path):
        self.name, self.path = name, path
        with open(path, "rb") as file:
            self.data = file.read()
        table, size, count = struct.unpack_from("<Q", self.data, 32)[0], *struct.unpack_from("<HH", self.data, 54)
        self.segments = []  # (address, bytes in the file)
        for i in range(count):
            kind, _, offset, address, _, length = struct.unpack_from("<IIQQQQ", self.data, table + i * size)
            if kind == 1:
                self.segments.append((address, offset, length))
        symbols = subprocess.run(["nm", "-n", path], text=True, check=True, stdout=subprocess.PIPE).stdout
        self.symbols = [(int(match[1], 16), match[2]) for match in
                        re.finditer(r"^([0-9a-f]+) [tTwW] (\S+)$", symbols, re.M)]
        self.starts = [address for address, _ in self.symbols]
        self.lines = {}

    def holds(self, instruction):
        """Whether the image has just these bytes there."""
        for address, offset, length in self.segments:
            if address <= instruction.address < address + length:
                start = offset + instruction.address - address
                return self.data[start:start + len(instruction.data)] == instruction.data
        return False

    def function(self, address):
        """(name, whether it is its first instruction)"""
        index = bisect.bisect_right(self.starts, address) - 1
        if index < 0:
            return "?", False
        return self.symbols[index][1], self.symbols[index][0] == address

    def resolve(self, addresses):
        """Look the source lines up, all at once."""
        text = "".join(f"{address:#x}\n" for address in addresses)
        found = subprocess.run(["addr2line", "-e", self.path], input=text, text=True, check=True,
                               stdout=subprocess.PIPE).stdout.splitlines()
        for address, line in zip(addresses, found):
            line = re.sub(r" \(discriminator \d+\)$", "", line)
            self.lines[address] = os.path.relpath(line, ROOT) if line.startswith(os.path.realpath(ROOT)) else \
                line.removeprefix("./").replace("/build/", "")


def images(out):
    """The kernel, the personality, and every program of ours."""
    found = [Image("kernel", os.path.join(out, "protos.elf")), Image("personality", os.path.join(out, "linux.elf")),
             Image("initfsd", os.path.join(out, "bootstrap"))]
    for folder in "sbin", "bin", "bench", "bench/tools":
        for name in sorted(os.listdir(os.path.join(out, folder))) if os.path.isdir(os.path.join(out, folder)) else []:
            path = os.path.join(out, folder, name)
            with open(path, "rb") if os.path.isfile(path) else open(os.devnull, "rb") as file:
                start = file.read(18)
            if start[:4] == b"\x7fELF" and start[16] == 2:  # ET_EXEC: the plugin is none
                found.append(Image(name, path))
    return found


class Profile:
    def __init__(self, path):
        self.instructions, self.sequence, self.total = {}, [], None
        with open(path, encoding="ascii") as file:
            for line in file:
                kind, *fields = line.split()
                if kind == "i":
                    self.instructions[int(fields[0])] = Instruction(
                        int(fields[1], 16), int(fields[2], 16), int(fields[3]), bytes.fromhex(fields[4]))
                elif kind == "s":
                    self.sequence.append(int(fields[0]))
                else:
                    self.total = int(fields[0])
        self.image = {}  # id -> Image

    def attribute(self, candidates):
        """Which image each instruction is of: the one that has the bytes of all that was executed in its page."""
        pages = collections.defaultdict(list)
        for number, each in self.instructions.items():
            pages[each.page, each.address >> 12].append(number)
        for numbers in pages.values():
            def fitting(image):
                return sum(image.holds(self.instructions[number]) for number in numbers)  # pylint: disable=cell-var-from-loop
            best = max(candidates, key=fitting)
            for number in numbers:
                self.image[number] = best if fitting(best) else None
        for image in candidates:
            addresses = sorted({self.instructions[number].address for number, its in self.image.items() if its is image})
            image.resolve(addresses)

    def place(self, number):
        """(image, function, line) of an instruction."""
        image, address = self.image[number], self.instructions[number].address
        if not image:
            return ("kernel?" if address >= UPPER_HALF else "?"), "?", "?"
        return image.name, image.function(address)[0], image.lines.get(address, "?")


def event(data):
    """The privileged or costly thing an instruction does, or None."""
    prefixes = b"\x66\xf2\xf3\xf0" + bytes(range(0x40, 0x50))
    code = data.lstrip(prefixes)
    locked = b"\xf0" in data[:len(data) - len(code)]
    if not code:
        return None
    if code[0] == 0x0f and len(code) > 1:
        second, rest = code[1], code[2:]
        register = rest[0] >> 3 & 7 if rest else 0
        memory = bool(rest) and rest[0] < 0xc0
        if second == 0x01 and rest:
            named = {0xf8: "SWAPGS", 0xca: "CLAC", 0xcb: "STAC"}.get(rest[0])
            return named or ("INVLPG" if register == 7 and memory else "LGDT/LIDT" if register in (2, 3) and memory else None)
        if second == 0xae and rest and memory:
            return {0: "FXSAVE", 1: "FXRSTOR", 4: "XSAVE", 5: "XRSTOR", 6: "XSAVEOPT"}.get(register)
        if second == 0xae and rest and data[0] == 0xf3 and register < 4:
            return ("RDFSBASE", "RDGSBASE", "WRFSBASE", "WRGSBASE")[register]
        if second in (0x20, 0x22):
            return f"{'CR' + str(register)} {'read' if second == 0x20 else 'write'}"
        if second == 0xc7 and rest and memory and register in (3, 4, 5):
            return "XSAVES/C"
        named = {0x05: "SYSCALL", 0x07: "SYSRET", 0x30: "WRMSR", 0x32: "RDMSR", 0x06: "CLTS", 0x31: "RDTSC",
                 0x00: "LTR/LLDT" if register in (2, 3) else None}.get(second)
        if second == 0x38 and rest[:1] == b"\x82":
            return "INVPCID"
        return named or ("atomic" if locked else None)
    named = {0xcf: "IRET", 0xf4: "HLT", 0xe4: "IN", 0xe5: "IN", 0xec: "IN", 0xed: "IN", 0xe6: "OUT", 0xe7: "OUT",
             0xee: "OUT", 0xef: "OUT"}.get(code[0])
    if code[0] in (0x86, 0x87) and len(code) > 1 and code[1] < 0xc0:
        return "atomic"
    return named or ("atomic" if locked else None)


def amount(count, operations):
    return f"{count / operations:12,.1f}"


def table(title, counts, operations, notes=None):
    lines = [title]
    for name, count in counts.most_common():
        lines.append(f"{amount(count, operations)}  {name}{notes(name) if notes else ''}")
    return lines


def report(profile, operations):
    """The tables, each a list of lines with its title first."""
    by_image, by_function, by_file, by_line, events, entries = (collections.Counter() for _ in range(6))
    for number, each in profile.instructions.items():
        image, function, line = profile.place(number)
        by_image[image] += each.count
        by_function[f"{image:12} {function}"] += each.count
        by_file[f"{image:12} {function:28} {line.partition(':')[0]}"] += each.count  # what is inlined lies in others
        by_line[f"{image:12} {function:28} {line}"] += each.count
        held = profile.image[number]
        if held and held.function(each.address)[1]:
            entries[f"{image:12} {function}"] += each.count
        named = event(each.data)
        if named:
            events[f"{named:12} {'kernel' if each.address >= UPPER_HALF else 'user'}"] += each.count
    return [table("instructions by image", by_image, operations),
            table("by function; and how often it is entered", by_function, operations,
                  lambda name: f"  x{entries[name] / operations:.2f}" if entries[name] else ""),
            table("privileged events and atomics", events, operations),
            table("by function and the file its code came from", by_file, operations),
            table("by line", by_line, operations)]


def one_operation(profile, operations):
    """The part of the sequence that is one operation in the middle: between two passes of what the loop passes once."""
    counts = {number: each.count for number, each in profile.instructions.items()}
    first = next((number for number in profile.sequence
                  if counts[number] == operations and profile.place(number)[0].startswith(("linux_", "native_", "disk_"))), None)
    if first is None:
        return []
    passes = [index for index, number in enumerate(profile.sequence) if number == first]
    middle = len(passes) // 2
    return profile.sequence[passes[middle - 1]:passes[middle]] if middle else []


def disassembly(image):
    text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", image.path], text=True, check=True,
                          stdout=subprocess.PIPE).stdout
    return {int(match[1], 16): match[2] for match in re.finditer(r"^ *([0-9a-f]+):\t(.*)$", text, re.M)}


def write_sequence(path, profile, operations):
    numbers = one_operation(profile, operations)
    shown = {image: disassembly(image) for image in {profile.image[number] for number in numbers} if image}
    with open(path, "w", encoding="utf-8") as file:
        before = None
        for number in numbers:
            place, address = profile.place(number), profile.instructions[number].address
            if place[:2] != before:
                file.write(f"--- {place[0]} {place[1]}\n")
                before = place[:2]
            text = re.sub(r"\s+", " ", shown.get(profile.image[number], {}).get(address, "?"))
            file.write(f"{address:16x}  {text:58} {place[2]}\n")
    return len(numbers)


def kernel_range(out):
    """Where the kernel's instructions lie before and after paging is on: its physical addresses."""
    with open(os.path.join(out, "protos.elf"), "rb") as file:
        data = file.read()
    table_at, size, count = struct.unpack_from("<Q", data, 32)[0], *struct.unpack_from("<HH", data, 54)
    places = [struct.unpack_from("<IIQQQQQ", data, table_at + i * size) for i in range(count)]
    loaded = [(place[4], place[4] + place[6]) for place in places if place[0] == 1]
    return min(low for low, _ in loaded), max(high for _, high in loaded)


def plugin(out, result, **arguments):
    library = os.path.abspath(os.path.join(out, "bench", "libprofile.so"))
    return ["-plugin", ",".join([library, f"out={os.path.abspath(result)}",
                                 *(f"{name}={value}" for name, value in arguments.items())])]


def boot_instructions(context, result, low, high, awaited, **options):
    """From the first instruction in [low, high), where a kernel starts, to the first one in user mode: how many. Boots
    until `awaited` is on the serial line."""
    with context.boot(icount=True, cpu=CPU, extra=plugin(context.out, result, boot=low, top=high), **options) as vm:
        vm.expect(awaited, DEADLINE)
    return Profile(result).total


def record(options, result):
    """Boots, runs, and leaves the plugin's output in result."""
    context = Context("profile", os.path.abspath(options.out), options.cpus)
    bus = disk.bus_of(options.figure)
    with disk.image() as image:
        record_on(options, result, context, disk.machine(image.name, bus) if bus else {})


def record_on(options, result, context, machine):
    if options.figure == BOOT:
        boot_instructions(context, result, *kernel_range(options.out), PROMPT)
        return
    extra = plugin(options.out, result, window=2, sequence=SEQUENCE)  # the first one warms up
    with context.boot(icount=True, cpu=CPU, initfs=os.path.join(options.out, "test-initfs.tar.gz"), extra=extra,
                      **machine) as vm:
        vm.prompt(DEADLINE)
        for program in sorted(os.listdir(os.path.join(options.out, "bench"))):
            if program.startswith(("linux_", "native_", "disk_")):
                text, _ = vm.shell(f"/bench/{program} -r 1 -n {options.operations} {options.figure}", DEADLINE)
                named = re.findall(r"^bench (\S+) (.*)$", text, re.M)
                for name, what in named:
                    print(f"{name}: {what}")
                if named:
                    return
    raise Failure(f"no program has a figure like {options.figure!r}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figure")
    parser.add_argument("--out", default="out")
    parser.add_argument("--operations", type=int, default=32)
    parser.add_argument("--cpus", type=int, default=1)
    options = parser.parse_args()
    folder = os.path.join(options.out, "profile")
    os.makedirs(folder, exist_ok=True)
    base = os.path.join(folder, options.figure)
    if os.path.exists(base + ".raw"):
        os.remove(base + ".raw")
    try:
        record(options, base + ".raw")
    except Failure as failure:
        sys.exit(f"profile: {failure}")
    if not os.path.exists(base + ".raw"):
        sys.exit(f"profile: nothing was recorded; does {options.figure} run with {options.operations} operations?")
    profile = Profile(base + ".raw")
    profile.attribute(images(options.out))
    operations = 1 if options.figure == BOOT else options.operations
    tables = report(profile, operations)
    with open(base + ".txt", "w", encoding="utf-8") as file:
        for lines in tables:
            file.write("\n".join(lines) + "\n\n")
    print(f"{profile.total / operations:,.1f} instructions an operation, those that measure it included")
    for lines in tables:
        print("\n".join(lines[:SHOWN + 1]))
    print(f"all of it: {base}.txt")
    if operations > 1:
        length = write_sequence(base + ".sequence", profile, operations)
        print(f"one operation, {length:,} instructions in their order: {base}.sequence")


if __name__ == "__main__":
    main()
