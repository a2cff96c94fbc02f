#!/usr/bin/python3
"""Make the disk that the system runs from: a FAT32 image, without root. It is kept between runs, so only made when it is not there.

    tools/root_disk.py IMAGE [--size MIB] [--label LABEL] [--serial HEX] [--bits 12|16|32]

Holds the files of rootfs/ that are files (FAT has no links), and rootdisk/ over them: its /etc/fstab says that the rest comes
from the archive. With --again an image that is there is made anew.
"""
import argparse
import os
import subprocess
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
# Of rootfs/: bound from the archive, or read there by who is started before any disk.
ARCHIVE_ONLY = {"dev", "usr", "etc/drivers", "etc/fstab", "etc/services", "etc/ttys"}


def run(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "MTOOLS_SKIP_CHECK": "1"})


def members(top, without=()):
    """(path, name in the image) of every folder and file below it, folders first."""
    start = os.path.join(ROOT, top)
    for folder, folders, files in os.walk(start):
        inside = os.path.relpath(folder, start)
        names = {name: os.path.normpath(os.path.join(inside, name)) for name in folders + files}
        folders[:] = sorted(name for name in folders if names[name] not in without)
        for name in folders + sorted(files):
            path = os.path.join(folder, name)
            if names[name] not in without and name != ".gitkeep" and not os.path.islink(path):
                yield path, names[name]


def make(image, size, label, serial, bits):
    new = image + ".new"
    with open(new, "wb") as file:
        file.truncate(size << 20)
    run("mkfs.fat", "-F", str(bits), "-n", label, *(["-i", serial] if serial else []), new)
    made = set()
    for path, name in [*members("rootfs", ARCHIVE_ONLY), *members("rootdisk")]:
        if not os.path.isdir(path):
            run("mcopy", "-o", "-m", "-i", new, path, "::" + name)
        elif name not in made:
            run("mmd", "-i", new, "::" + name)
            made.add(name)
    os.replace(new, image)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("image")
    parser.add_argument("--size", type=int, default=256, metavar="MIB")
    parser.add_argument("--label", default="PROTOS")
    parser.add_argument("--serial", help="of the volume, its UUID=; otherwise by the time of day")
    parser.add_argument("--bits", type=int, default=32, choices=(12, 16, 32))
    parser.add_argument("--again", action="store_true")
    options = parser.parse_args()
    if options.again or not os.path.exists(options.image):
        make(options.image, options.size, options.label, options.serial, options.bits)


sys.exit(main())
