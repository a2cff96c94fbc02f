#!/usr/bin/python3
"""The consoles' second font, of GNU Unifont's glyphs (package unifont): sbin/outputd/glyphs.h has the form.

    tools/unifont.py UNIFONT.hex > FILE.gz

Each line of the source is a code point and its bitmap, 8 or 16 pixels wide and 16 high. Runs of code points with glyphs of one
width become a range; the glyphs of a range stand one behind the other."""
import gzip
import io
import struct
import sys

MAGIC = 0x31494E55  # "UNI1"
HEADER, RANGE = struct.Struct("<2I"), struct.Struct("<4I")
SURROGATES, PRIVATE = range(0xD800, 0xE000), range(0xE000, 0xF900)


def glyphs(path):
    with open(path, encoding="ascii") as file:
        for line in file:
            code, bitmap = line.strip().split(":")
            code = int(code, 16)
            if code >= 0x20 and code not in SURROGATES and code not in PRIVATE:
                yield code, bytes.fromhex(bitmap)


def ranges(found):
    """[first, last, [bitmaps]] of one width each."""
    result = []
    for code, bitmap in sorted(found):
        if result and result[-1][1] == code - 1 and len(result[-1][2][0]) == len(bitmap):
            result[-1][1] = code
            result[-1][2].append(bitmap)
        else:
            result.append([code, code, [bitmap]])
    return result


def main():
    runs = ranges(glyphs(sys.argv[1]))
    offset = HEADER.size + RANGE.size * len(runs)
    table, bitmaps = HEADER.pack(MAGIC, len(runs)), b""
    pieces = []
    for first, last, images in runs:
        table += RANGE.pack(first, last, 2 if len(images[0]) == 32 else 1, offset)
        pieces.append(b"".join(images))
        offset += len(pieces[-1])
    bitmaps = b"".join(pieces)
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=packed, compresslevel=9, mtime=0) as file:
        file.write(table + bitmaps)
    sys.stdout.buffer.write(packed.getvalue())


main()
