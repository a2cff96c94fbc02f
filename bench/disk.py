"""The disks of the figures fat-*, virtio-*, usb-* and uas-*: an image with a FAT32 volume as mkfs.fat makes it for a disk of this size.

    bus = disk.bus_of("usb-read-sequential")        None: the figure wants no disk
    with disk.image() as image:
        context.boot(**disk.machine(image.name, bus), ...)
"""
import subprocess
import tempfile

# What the figures' names begin with, by the disk's `if=` of tools/qemu.py; bench/disk_*.c
FIGURES = {"virtio": ("fat-", "virtio-"), "usb": ("usb-",), "uas": ("uas-",)}
SIZE_MIB = 512  # of which little is ever written: 4 KiB clusters


def bus_of(figure):
    return next((bus for bus, names in FIGURES.items() if figure.startswith(names)), None)


def image():
    """A file of the host, removed by leaving `with`."""
    file = tempfile.NamedTemporaryFile(prefix="protos-bench-", suffix=".img")
    file.truncate(SIZE_MIB << 20)
    subprocess.run(["mkfs.fat", "-F", "32", "--invariant", file.name], check=True, stdout=subprocess.DEVNULL,
                   env={"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"})
    return file


def machine(path, bus):
    """Options of the machine: whoever waits for the disk must not find that all his deadlines have passed."""
    return {"disks": [f"{path},if={bus},keep"], "idle": True}
