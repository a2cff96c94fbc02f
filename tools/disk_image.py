#!/usr/bin/env python3
"""Disk images with partitions, without root and without anybody's tools.

    tools/disk_image.py OUT SIZE [--table gpt|mbr|none] [--sector 512] [PART...]

    PART is SIZE[,NAME[,FILE]]: a partition of that size, with that name (GPT), beginning with what the file holds. Sizes are
    bytes, or with K, M, G; "rest" takes what is left. With --table none FILE is the image's beginning.

For the tests: Image(path, size).gpt([Part(size, name, content), ...]). Identifiers are made of the names, so that images do not
differ from run to run. Partitions begin on a MiB, as those of other tools do.
"""
import argparse
import dataclasses
import hashlib
import struct
import sys
import uuid
import zlib

ALIGN = 1 << 20
ENTRIES, ENTRY_SIZE = 128, 128
TYPE_BASIC = uuid.UUID("ebd0a0a2-b9e5-4433-87c0-68b6b72699c7")  # of FAT, too
MBR_FAT32, MBR_EXTENDED, MBR_PROTECTIVE = 0x0C, 0x0F, 0xEE


@dataclasses.dataclass
class Part:
    size: int  # bytes; 0: the rest
    name: str = ""
    content: bytes = b""
    logical: bool = False  # of an MBR: in the extended partition


def guid(*words):
    return uuid.UUID(bytes=hashlib.md5("/".join(words).encode()).digest(), version=4)


class Image:
    def __init__(self, path, size, sector=512):
        self.path, self.sector, self.sectors = path, sector, size // sector
        with open(path, "wb") as file:
            file.truncate(size)

    def write(self, sector, data):
        with open(self.path, "r+b") as file:
            file.seek(sector * self.sector)
            file.write(data)

    def read(self, sector, count=1):
        with open(self.path, "rb") as file:
            file.seek(sector * self.sector)
            return file.read(count * self.sector)

    def layout(self, parts, end, gap=0):
        """(first, count) of each, in sectors; `gap` sectors in front of logical ones are for their table."""
        unit, at, places = ALIGN // self.sector, ALIGN // self.sector, []
        for part in parts:
            first = at + (-(-gap // unit) * unit if part.logical else 0)
            count = part.size // self.sector if part.size else end - first
            places.append((first, count))
            at = -(-(first + count) // unit) * unit
            if first + count > end:
                raise ValueError(f"no room for {part.name or 'a partition'}")
        return places

    def fill(self, parts, places):
        for part, (first, count) in zip(parts, places):
            if len(part.content) > count * self.sector:
                raise ValueError(f"{part.name}: its content is longer than the partition")
            self.write(first, part.content)

    def gpt(self, parts):
        table_sectors = -(-ENTRIES * ENTRY_SIZE // self.sector)
        last_usable = self.sectors - table_sectors - 2
        places = self.layout(parts, last_usable + 1)
        entries = b"".join(
            struct.pack("<16s16sQQQ72s", TYPE_BASIC.bytes_le, guid("part", part.name, str(i)).bytes_le, first,
                        first + count - 1, 0, part.name.encode("utf-16-le"))
            for i, (part, (first, count)) in enumerate(zip(parts, places)))
        entries = entries.ljust(ENTRIES * ENTRY_SIZE, b"\0")

        def header(own, other, table):
            def pack(crc):
                return struct.pack("<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, crc, 0, own, other, 2 + table_sectors,
                                   last_usable, guid("disk", *(part.name for part in parts)).bytes_le, table, ENTRIES,
                                   ENTRY_SIZE, zlib.crc32(entries))
            return pack(zlib.crc32(pack(0)))

        self.write(0, mbr_sector([(MBR_PROTECTIVE, 1, min(self.sectors - 1, 0xFFFFFFFF))]))
        self.write(1, header(1, self.sectors - 1, 2))
        self.write(2, entries)
        self.write(self.sectors - 1 - table_sectors, entries)
        self.write(self.sectors - 1, header(self.sectors - 1, 1, self.sectors - 1 - table_sectors))
        self.fill(parts, places)
        return places

    def mbr(self, parts):
        unit = ALIGN // self.sector
        places = self.layout(parts, self.sectors, gap=unit)
        logical = [place for part, place in zip(parts, places) if part.logical]
        entries = [(MBR_FAT32, *place) for part, place in zip(parts, places) if not part.logical]
        if logical:
            start = logical[0][0] - unit
            entries.append((MBR_EXTENDED, start, self.sectors - start))
            for i, (first, count) in enumerate(logical):
                link = [(MBR_FAT32, unit, count)]
                if i + 1 < len(logical):
                    following = logical[i + 1]
                    link.append((MBR_EXTENDED, following[0] - unit - start, following[1] + unit))
                self.write(first - unit, mbr_sector(link))
        self.write(0, mbr_sector(entries, signature=0x70726F74))
        self.fill(parts, places)
        return places


def mbr_sector(entries, signature=0):
    table = b"".join(struct.pack("<B3sB3sII", 0, b"\xfe\xff\xff", kind, b"\xfe\xff\xff", first, count)
                     for kind, first, count in entries)
    return (bytes(440) + struct.pack("<IH", signature, 0) + table.ljust(64, b"\0") + b"\x55\xaa")


def size_of(text):
    if text == "rest":
        return 0
    return int(text[:-1]) << {"K": 10, "M": 20, "G": 30}[text[-1]] if text[-1] in "KMG" else int(text)


def part_of(text):
    size, _, rest = text.partition(",")
    name, _, path = rest.partition(",")
    content = b""
    if path:
        with open(path, "rb") as file:
            content = file.read()
    return Part(size_of(size), name, content)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out")
    parser.add_argument("size", type=size_of)
    parser.add_argument("--table", choices=("gpt", "mbr", "none"), default="gpt")
    parser.add_argument("--sector", type=int, default=512)
    parser.add_argument("parts", nargs="*", type=part_of)
    arguments = parser.parse_args()
    image = Image(arguments.out, arguments.size, arguments.sector)
    if arguments.table == "none":
        for part in arguments.parts:
            image.write(0, part.content)
    else:
        getattr(image, arguments.table)(arguments.parts)
    return 0


if __name__ == "__main__":
    sys.exit(main())
