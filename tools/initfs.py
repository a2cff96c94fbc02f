#!/usr/bin/python3
"""Pack the archive the system boots with: out/initfs.tar.gz. The same input gives the same bytes.

    tools/initfs.py --out OUT --busybox FILE --programs 'OUT/sbin/rngd ...' --files 'OUT/etc/x ...' --folders 'OUT/usr/x ...'
                    --personality FILE [--level N] ARCHIVE

Holds rootfs/ as it is; each program, file and folder of OUT/<folder>/<name> as /<folder>/<name>; sbin/<name>/service.conf as
/etc/services.d/<name>.conf; the personality as /lib/linux.elf; busybox as /bin/busybox with a link for each
of its applets that is no program of ours. --overlay SOURCE PROGRAMS: a folder laid out as the project, whose rootfs/ and
service.conf go over ours, and where the programs of it lie. --level 0: what is booted hundreds of times is not compressed.
"""
import argparse
import glob
import gzip
import io
import os
import subprocess
import sys
import tarfile
import tempfile


def stripped(path, option):
    """The bytes of an ELF without its debugging information."""
    with tempfile.NamedTemporaryFile() as file:
        subprocess.run(["strip", option, "-o", file.name, path], check=True)
        with open(file.name, "rb") as result:
            return result.read()


def contents(path):
    with open(path, "rb") as file:
        return file.read()


class Archive:
    def __init__(self, level):
        self.level = level  # of compression
        self.members = {}  # name -> (TarInfo, bytes)

    def add(self, name, kind, mode, data=b"", target=""):
        info = tarfile.TarInfo(name)
        info.type, info.mode, info.size, info.linkname = kind, mode, len(data), target
        self.members[name] = (info, data)
        parent = os.path.dirname(name)
        if parent and parent not in self.members:
            self.add(parent, tarfile.DIRTYPE, 0o755)

    def file(self, name, data, mode=0o644):
        self.add(name, tarfile.REGTYPE, mode, data)

    def link(self, name, target):
        self.add(name, tarfile.SYMTYPE, 0o777, target=target)

    def tree(self, root, above=None):
        for folder, folders, files in os.walk(root):
            for name in folders + files:
                path = os.path.join(folder, name)
                inside = os.path.relpath(path, above or root)
                if os.path.islink(path):
                    self.link(inside, os.readlink(path))
                elif os.path.isdir(path):
                    self.add(inside, tarfile.DIRTYPE, 0o755)
                elif name != ".gitkeep":
                    self.file(inside, contents(path), 0o755 if os.access(path, os.X_OK) else 0o644)

    def write(self, path):
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for name in sorted(self.members):
                info, data = self.members[name]
                tar.addfile(info, io.BytesIO(data))
        temporary = path + ".new"
        with open(temporary, "wb") as file:
            with gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=self.level, mtime=0) as compressed:
                compressed.write(packed.getvalue())
        os.replace(temporary, path)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", required=True)
    parser.add_argument("--busybox")
    parser.add_argument("--programs", default="")
    parser.add_argument("--files", default="")
    parser.add_argument("--folders", default="")
    parser.add_argument("--personality", default="")
    parser.add_argument("--overlay", nargs=2, default=[])
    parser.add_argument("--level", type=int, default=9)
    parser.add_argument("archive")
    options = parser.parse_args()

    archive = Archive(options.level)
    sources, outputs = [".", *options.overlay[:1]], [*options.overlay[1:], options.out]
    for source in sources:
        archive.tree(os.path.join(source, "rootfs"))
        for configuration in sorted(glob.glob(os.path.join(source, "sbin/*/service.conf"))):
            service = os.path.basename(os.path.dirname(configuration))
            archive.file(f"etc/services.d/{service}.conf", contents(configuration))
    for program in options.programs.split():
        data = stripped(program, "--strip-all") if os.access(program, os.X_OK) else contents(program)
        output = next(folder for folder in outputs if program.startswith(folder + "/"))
        archive.file(os.path.relpath(program, output), data, 0o755)
    for path in options.files.split():
        archive.file(os.path.relpath(path, options.out), contents(path))
    for folder in options.folders.split():
        archive.tree(folder, options.out)
    if options.personality:  # its symbols are its interface: who executes a program reads the entries there
        archive.file("lib/linux.elf", stripped(options.personality, "--strip-debug"), 0o755)
    if options.busybox:
        if not os.path.exists(options.busybox):
            sys.exit(f"initfs.py: {options.busybox} is missing (package busybox-static)")
        archive.file("bin/busybox", contents(options.busybox), 0o755)
        applets = subprocess.run([options.busybox, "--list"], check=True, text=True, stdout=subprocess.PIPE)
        for applet in applets.stdout.split():
            if f"bin/{applet}" not in archive.members and f"sbin/{applet}" not in archive.members:
                archive.link(f"bin/{applet}", "busybox")
    archive.write(options.archive)


main()
