#!/usr/bin/python3
"""The distribution's pci.ids or usb.ids, packed for lib/pci/ids.h: vendors, devices, classes; without subsystems.

    tools/pci_ids.py /usr/share/misc/pci.ids FILE
"""
import re
import struct
import sys

MAGIC = 0x3173646969637063
VENDOR, DEVICE, CLASS, SUBCLASS, INTERFACE = range(1, 6)
# Kinds by the depth of a line, below a vendor and below "C class"; ids grow by so many bits a level.
KINDS = {False: (VENDOR, DEVICE, None), True: (CLASS, SUBCLASS, INTERFACE)}
LINE = re.compile(r"(\t*)(C )?([0-9a-f]+)  (.+)")


def entries(lines):
    """{(kind, id): name}"""
    found, ids, classes, known = {}, [0, 0, 0], False, False
    for line in lines:
        match = LINE.fullmatch(line.rstrip("\n"))
        if not match:
            known = known and line[0] in "#\n\t"  # usb.ids has lists of other things as well
            continue
        depth = len(match[1])
        if depth == 0:
            classes, known = bool(match[2]), True
        if not known:
            continue
        ids[depth] = (ids[depth - 1] << (8 if classes else 16) if depth else 0) | int(match[3], 16)
        if KINDS[classes][depth]:
            found[KINDS[classes][depth], ids[depth]] = match[4]
    return found


def main():
    source, target = sys.argv[1:]
    with open(source, encoding="utf-8", errors="replace") as file:
        found = entries(file)
    places, strings, table = {}, bytearray(), bytearray()
    for (kind, number), name in sorted(found.items()):
        if name not in places:
            places[name] = len(strings)
            strings += name.encode() + b"\0"
        table += struct.pack("<III", kind, number, places[name])
    with open(target, "wb") as file:
        file.write(struct.pack("<QII", MAGIC, len(found), len(strings)) + table + strings)


main()
