"""The disk of the figures fat-*: a FAT32 volume as mkfs.fat makes it for a disk of this size, on virtio-blk.

    with disk.image() as path:
        context.boot(**disk.machine(path), ...)
"""
import subprocess
import tempfile

FIGURES = "fat-"  # names that begin so; bench/disk_*.c
SIZE_MIB = 512  # of which little is ever written: 4 KiB clusters


def image():
    """A file of the host, removed by leaving `with`."""
    file = tempfile.NamedTemporaryFile(prefix="protos-bench-", suffix=".img")
    file.truncate(SIZE_MIB << 20)
    subprocess.run(["mkfs.fat", "-F", "32", "--invariant", file.name], check=True, stdout=subprocess.DEVNULL,
                   env={"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"})
    return file


def machine(path):
    """Options of the machine: whoever waits for the disk must not find that all his deadlines have passed."""
    return {"disks": [path + ",keep"], "idle": True}
