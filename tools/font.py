#!/usr/bin/python3
"""The kernel's font, taken from a Debian console font when the kernel is built: tools/font.py FONT.psf.gz > font.c

Only the glyphs of ASCII 0x20 to 0x7e are taken, 8 pixels wide and 16 high, found through the font's own
Unicode table (PSF1 or PSF2). The result defines screen_font (kernel/x86_64/screen.c)."""
import gzip
import struct
import sys

FIRST, LAST, HEIGHT = 0x20, 0x7E, 16


def read_psf(data):
    """(glyphs, {character: glyph}) of a PSF1 or PSF2 font with 8x16 glyphs."""
    if data[:2] == b"\x36\x04":
        mode, size = data[2], data[3]
        count, start, width, height = 512 if mode & 1 else 256, 4, 8, data[3]
        table = data[start + count * size:] if mode & 6 else b""
        entries, current = [], []
        for (value,) in struct.iter_unpack("<H", table[:len(table) // 2 * 2]):
            if value == 0xFFFF:
                entries.append(current)
                current = []
            else:
                current.append(value)
    elif data[:4] == b"\x72\xb5\x4a\x86":
        _, start, flags, count, size, height, width = struct.unpack_from("<7I", data, 4)
        parts = data[start + count * size:].split(b"\xff") if flags & 1 else []
        entries = [[ord(c) for c in part.split(b"\xfe")[0].decode("utf-8")] for part in parts]
    else:
        sys.exit("font.py: not a PSF font")
    if (width, height, size) != (8, HEIGHT, HEIGHT):
        sys.exit(f"font.py: glyphs of 8x{HEIGHT} are needed, these have {width}x{height}")
    glyphs = [data[start + i * size:start + (i + 1) * size] for i in range(count)]
    names = {}
    for glyph, characters in enumerate(entries[:count]):
        for character in characters:
            names.setdefault(character, glyph)
    return glyphs, names or {i: i for i in range(count)}


def main():
    with gzip.open(sys.argv[1]) as file:
        glyphs, names = read_psf(file.read())
    print("/* Made by tools/font.py. */\n#include \"kernel/x86_64/screen.h\"\n")
    print("const uint8_t screen_font[SCREEN_FONT_COUNT][SCREEN_FONT_HEIGHT] = {")
    for character in range(FIRST, LAST + 1):
        rows = ", ".join(f"0x{row:02x}" for row in glyphs[names[character]])
        print(f"    {{{rows}}}, /* {chr(character) if chr(character) not in '*/' else 'mark'} */")
    print("};")


main()
