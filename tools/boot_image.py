#!/usr/bin/python3
"""Lay out the first process: out/bootstrap.image, the format of abi/boot.h.

    tools/boot_image.py BOOTSTRAP PERSONALITY IMAGE

BOOTSTRAP is a static ELF, PERSONALITY the ELF of lib/linux. The image holds the segments of both, a stack
and the first thread area, page-aligned, so the kernel maps it without parsing an ELF. The process is entered
at the personality's `personality_start`, which finds where the program starts in its own variable
`personality_boot_program` (struct boot_program { entry, phdr, phnum, phent }), filled in here.
"""
import struct
import sys

PAGE = 4096
MAGIC = 0x31676D69746F7270
READ, WRITE, EXECUTE = 1, 2, 4

STACK_BASE, STACK_LENGTH = 0x7FFED0000000, 256 * 1024
THREAD_AREA, THREAD_AREA_LENGTH = 0x7FFFD0000000, 64 * 1024
BLOCK_OFFSET = 0xF000

PERSONALITY_SYMBOLS = ["text_start", "text_end", "window_start", "window_end", "call_entry", "exception_entry",
                       "kick_entry", "nested_entry"]  # the order of struct abi_personality


def down(value):
    return value & ~(PAGE - 1)


def up(value):
    return down(value + PAGE - 1)


class Segment:
    def __init__(self, name, address, length, protection, data=b""):
        self.name, self.address, self.length = name, address, length
        self.protection, self.data = protection, bytearray(data)


class Elf:
    """What is needed of a static ELF64: entry, program headers, segments, symbols."""

    def __init__(self, path):
        self.path = path
        with open(path, "rb") as file:
            self.bytes = file.read()
        if self.bytes[:6] != b"\x7fELF\x02\x01":
            sys.exit(f"boot_image.py: {path}: not a little-endian ELF64")
        (kind, _, _, self.entry, self.phoff, shoff, _, _, self.phent, self.phnum, shent, shnum,
         _) = struct.unpack_from("<HHIQQQIHHHHHH", self.bytes, 16)
        if kind != 2:
            sys.exit(f"boot_image.py: {path}: not a static executable (e_type {kind})")
        self.headers = [struct.unpack_from("<IIQQQQQQ", self.bytes, self.phoff + i * self.phent)
                        for i in range(self.phnum)]
        self.sections = [struct.unpack_from("<IIQQQQIIQQ", self.bytes, shoff + i * shent) for i in range(shnum)]

    def segments(self):
        for kind, flags, offset, address, _, file_size, memory_size, _ in self.headers:
            if kind != 1 or memory_size == 0:
                continue
            if address % PAGE != offset % PAGE:
                sys.exit(f"boot_image.py: {self.path}: segment at {address:#x} is not congruent to its offset")
            protection = (flags & 4 and READ) | (flags & 2 and WRITE) | (flags & 1 and EXECUTE)
            if protection & WRITE and protection & EXECUTE:
                sys.exit(f"boot_image.py: {self.path}: segment at {address:#x} is writable and executable")
            lead = address % PAGE
            data = self.bytes[offset - lead:offset + file_size]
            yield Segment(f"{self.path}@{address:#x}", address - lead, up(lead + memory_size), protection, data)

    def phdr_address(self):
        """Where the program headers lie in memory: in the segment that holds them in the file."""
        for kind, _, offset, address, _, file_size, _, _ in self.headers:
            if kind == 1 and offset <= self.phoff and self.phoff + self.phnum * self.phent <= offset + file_size:
                return address + self.phoff - offset
        sys.exit(f"boot_image.py: {self.path}: no segment holds the program headers (link script: FILEHDR PHDRS)")

    def symbols(self):
        found = {}
        for _, kind, _, _, offset, size, link, _, _, entry_size in self.sections:
            if kind != 2:
                continue
            names = self.sections[link][4]
            for at in range(offset, offset + size, entry_size):
                name, _, _, section, value, _ = struct.unpack_from("<IBBHQQ", self.bytes, at)
                if section:
                    end = self.bytes.index(b"\0", names + name)
                    found[self.bytes[names + name:end].decode()] = value
        return found


def poke(segments, address, data):
    for segment in segments:
        if segment.address <= address and address + len(data) <= segment.address + segment.length:
            offset = address - segment.address
            if len(segment.data) < offset + len(data):
                segment.data.extend(bytes(offset + len(data) - len(segment.data)))
            segment.data[offset:offset + len(data)] = data
            return
    sys.exit(f"boot_image.py: nothing lies at {address:#x}")


def build(bootstrap_path, personality_path):
    bootstrap, personality = Elf(bootstrap_path), Elf(personality_path)
    symbols = personality.symbols()

    def symbol(name):
        if name not in symbols:
            sys.exit(f"boot_image.py: {personality_path}: symbol {name} is missing")
        return symbols[name]

    segments = sorted([*bootstrap.segments(), *personality.segments(),
                       Segment("stack", STACK_BASE, STACK_LENGTH, READ | WRITE),
                       Segment("thread area", THREAD_AREA + PAGE, THREAD_AREA_LENGTH - PAGE, READ | WRITE)],
                      key=lambda segment: segment.address)
    for before, after in zip(segments, segments[1:]):
        if before.address + before.length > after.address:
            sys.exit(f"boot_image.py: {before.name} and {after.name} overlap")
    poke(segments, symbol("personality_boot_program"),
         struct.pack("<QQQQ", bootstrap.entry, bootstrap.phdr_address(), bootstrap.phnum, bootstrap.phent))

    header = struct.pack("<QQQQ", MAGIC, symbol("personality_start"), STACK_BASE + STACK_LENGTH,
                         THREAD_AREA + BLOCK_OFFSET)
    header += struct.pack("<8Q", *(symbol("personality_" + name) for name in PERSONALITY_SYMBOLS))
    header += struct.pack("<Q", len(segments))
    offset = up(len(header) + 40 * len(segments))
    body = b""
    for segment in segments:
        header += struct.pack("<5Q", segment.address, segment.length, offset + len(body), len(segment.data),
                              segment.protection)
        body += bytes(segment.data) + bytes(up(len(segment.data)) - len(segment.data))
    return header + bytes(offset - len(header)) + body


def main():
    bootstrap, personality, result = sys.argv[1:]
    image = build(bootstrap, personality)
    with open(result, "wb") as file:
        file.write(image)


main()
