#!/usr/bin/python3
"""The picture of the boot, drawn when the kernel is built: tools/splash.py > splash.c (lib/base/splash.h).

    tools/splash.py --png FILE      the same to look at

The name as strokes of one width, half of them arcs: lines and circles, measured for each pixel by their distance, so the edges
are smooth without a font. Coverage is 0 to 15, two pixels a byte, the left one in the high half."""
import math
import struct
import sys
import zlib

WIDTH, HEIGHT, HALF = 410, 120, 5  # HALF: of a stroke
TOP, BASE, MIDDLE, RADIUS = 34, 78, 56, 22  # of the letters' centre lines


def line(x0, y0, x1, y1):
    def distance(x, y):
        dx, dy = x1 - x0, y1 - y0
        length = dx * dx + dy * dy
        along = max(0.0, min(1.0, ((x - x0) * dx + (y - y0) * dy) / length)) if length else 0.0
        return math.hypot(x - x0 - along * dx, y - y0 - along * dy)
    return distance


def arc(cx, cy, radius, start=0, end=360):
    """From start to end degrees, clockwise from the right (y grows downwards)."""
    ends = [(cx + radius * math.cos(math.radians(a)), cy + radius * math.sin(math.radians(a))) for a in (start, end)]

    def distance(x, y):
        angle = math.degrees(math.atan2(y - cy, x - cx))
        while angle < start:
            angle += 360
        if angle <= end:
            return abs(math.hypot(x - cx, y - cy) - radius)
        return min(math.hypot(x - ex, y - ey) for ex, ey in ends)
    return distance


def strokes():
    x, word = 12, []
    word += [line(x, TOP, x, 112), arc(x + RADIUS, MIDDLE, RADIUS)]  # p
    x += 63
    word += [line(x, TOP, x, BASE), arc(x + 19, TOP + 19, 19, 180, 290)]  # r
    x += 35
    word += [arc(x + RADIUS, MIDDLE, RADIUS)]  # o
    x += 71
    word += [line(x, 14, x, BASE - 15), arc(x + 15, BASE - 15, 15, 70, 180), line(x - 13, TOP, x + 18, TOP)]  # t
    x += 32
    word += [arc(x + RADIUS, MIDDLE, RADIUS)]  # o
    x += 62
    word += [arc(x + 16, TOP + 11, 11, 110, 335), line(x + 12.5, MIDDLE - 0.7, x + 19.5, MIDDLE + 0.7),
             arc(x + 16, BASE - 11, 11, 290, 515)]  # s
    x += 52
    scheme = [line(x, TOP + 6, x, TOP + 6.1), line(x, BASE - 4, x, BASE - 3.9),
              line(x + 18, 94, x + 42, 14), line(x + 46, 94, x + 70, 14)]  # ://
    return word, scheme, x - 16


def coverage(shapes):
    for y in range(HEIGHT):
        yield [round(15 * max(0.0, min(1.0, 0.5 + HALF - min(shape(x + 0.5, y + 0.5) for shape in shapes))))
               for x in range(WIDTH)]


def png(path, rows):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    raw = b"".join(b"\0" + bytes(value * 17 for value in row) for row in rows)
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 0, 0, 0, 0)) +
                   chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b""))


def main():
    word, scheme, accent = strokes()
    rows = list(coverage(word + scheme))
    if sys.argv[1:2] == ["--png"]:
        return png(sys.argv[2], rows)
    print('/* Made by tools/splash.py. */\n#include "lib/base/splash.h"\n')
    print(f"_Static_assert(SPLASH_WIDTH == {WIDTH} && SPLASH_HEIGHT == {HEIGHT}, \"\");\n")
    print(f"const uint32_t splash_accent = {accent};")
    print("const uint8_t splash_coverage[SPLASH_HEIGHT][SPLASH_WIDTH / 2] = {")
    for row in rows:
        print("    {" + ", ".join(f"0x{row[x] << 4 | row[x + 1]:02x}" for x in range(0, WIDTH, 2)) + "},")
    print("};")


main()
