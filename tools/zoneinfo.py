#!/usr/bin/python3
"""Make the time zones' files of the distribution's tzdata: tools/zoneinfo.py FOLDER. The same input gives the same files.

Compiled anew from tzdata.zi, in zic's short form (rules that go on for ever are said once): half the size of the
distribution's own files. Other names of a zone are links, as tzdata.zi lists them.
"""
import os
import shutil
import subprocess
import sys

SOURCE = "/usr/share/zoneinfo/tzdata.zi"
ZIC = "/usr/sbin/zic"


def main():
    folder = sys.argv[1]
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([ZIC, "-b", "slim", "-d", folder, SOURCE], check=True)
    with open(SOURCE, encoding="utf-8") as source:
        links = [line.split()[1:3] for line in source if line.startswith("L ")]
    for target, name in links:
        path = os.path.join(folder, name)
        os.remove(path)
        os.symlink(os.path.relpath(target, os.path.dirname(name) or "."), path)


main()
