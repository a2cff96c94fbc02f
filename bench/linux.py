"""Debian's Linux for the comparison: its kernel, unpacked into the build's directory and nowhere else, and an initramfs
that runs programs of bench/ and prints what the shell of protos would.

    image = linux.kernel(out, linux.CLOUD)
    archive = linux.initramfs(out, linux.CLOUD, ["linux_calls", ...], ["/bench/linux_calls"])
    options = qemu.Options(kernel=image, initfs=archive, append=linux.COMMAND_LINE)
"""
import dataclasses
import glob
import gzip
import os
import re
import shutil
import stat
import subprocess
import tempfile

BUSYBOX = "/bin/busybox"
# Without what costs time for safety's sake or for nobody's: Linux at its best (DESIGN 10).
COMMAND_LINE = ("mitigations=off nokaslr init_on_alloc=0 hardened_usercopy=off randomize_kstack_offset=off "
                "cgroup_disable=memory apparmor=0 lsm=none audit=0 preempt=none console=ttyS0 quiet")

# The files lie in the archive's own file system at first: a tmpfs is what the design compares with.
INIT = """#!/bin/sh
mount -t proc proc /proc
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /bench
mount -t tmpfs tmp /tmp
cp -a /packed/. /bench/
uname -r
"""


@dataclasses.dataclass(frozen=True)
class Kernel:
    package: str  # names the newest; 6.1 in Debian 12
    place: str  # in the build's directory
    modules: tuple  # in the order of their dependencies; of some `name argument=value`


# A FAT32 volume on virtio-blk, with the volume's code page and character set.
CLOUD = Kernel("linux-image-cloud-amd64", "linux", (
    "virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "virtio_blk",
    "fat", "vfat", "nls_cp437", "nls_ascii"))
# A USB disk, of which the former kernel, built for clouds, knows nothing: the same version with all that Debian has.
GENERIC = Kernel("linux-image-amd64", "linux-generic", (
    "usb-common", "usbcore", "xhci-hcd", "xhci-pci", "scsi_common", "scsi_mod", "crct10dif_common", "crct10dif_generic",
    "crc-t10dif", "crc64", "crc64-rocksoft", "t10-pi", "sd_mod", "usb-storage delay_use=0", "uas"))


class Unavailable(Exception):
    """There is no such kernel to be had on this machine."""


def run(*command, cwd=None):
    result = subprocess.run(command, cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if result.returncode:
        raise Unavailable(f"{' '.join(command)}: {result.stdout.strip()[-300:]}")
    return result.stdout


def download(package, folder):
    """The package itself, into folder. It is not installed: nothing of this machine's boot changes."""
    depends = run("apt-cache", "depends", package)
    match = re.search(r"Depends: (linux-image-\S+)", depends)
    if not match:
        raise Unavailable(f"apt-cache depends {package} names no kernel")
    run("apt-get", "download", match[1], cwd=folder)
    return glob.glob(os.path.join(folder, "*.deb"))[0]


def module_names(which):
    return [module.partition(" ")[0] for module in which.modules]


def kernel(out, which):
    """The path of the kernel's image. LINUX_KERNEL in the environment names another."""
    given = os.environ.get("LINUX_KERNEL")
    if given:
        return given
    folder = os.path.join(out, which.place)
    found = glob.glob(os.path.join(folder, "vmlinuz-*"))
    if found and all(os.path.exists(os.path.join(folder, name + ".ko")) for name in module_names(which)):
        return found[0]
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise Unavailable(f"no apt-get here: give a kernel of Linux 6.1 as LINUX_KERNEL=file (Debian's {which.package})")
    os.makedirs(folder, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        try:
            package = download(which.package, scratch)
        except Unavailable:
            if os.geteuid() != 0:
                raise
            run("apt-get", "update", "-qq")
            package = download(which.package, scratch)
        run("dpkg-deb", "--extract", package, scratch)
        image = glob.glob(os.path.join(scratch, "boot", "vmlinuz-*"))[0]
        for name in module_names(which):
            for path in glob.glob(os.path.join(scratch, "lib", "modules", "*", "kernel", "**", name + ".ko"), recursive=True):
                os.replace(path, os.path.join(folder, name + ".ko"))
        os.replace(image, os.path.join(folder, os.path.basename(image)))
    return glob.glob(os.path.join(folder, "vmlinuz-*"))[0]


class Cpio:
    """The "newc" archive of an initramfs (Linux, Documentation/driver-api/early-userspace/buffer-format.rst)."""

    def __init__(self):
        self.data = bytearray()
        self.inode = 0

    def add(self, name, mode, data=b"", device=(0, 0)):
        self.inode += 1
        path = name.encode() + b"\0"
        fields = (self.inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(path), 0)
        self.data += b"070701" + b"".join(b"%08x" % field for field in fields) + path
        self._align()
        self.data += data
        self._align()

    def _align(self):
        self.data += bytes(-len(self.data) % 4)

    def finish(self):
        self.add("TRAILER!!!", 0)
        return bytes(self.data)


def contents(path):
    with open(path, "rb") as file:
        return file.read()


def initramfs(out, which, files, commands, name="initramfs"):
    """An archive for this kernel with these files of out/bench, whose init runs the commands; its last line of output is =END=."""
    archive = Cpio()
    for folder in ("bin", "dev", "proc", "tmp", "mnt", "bench", "packed", "packed/tools"):
        archive.add(folder, stat.S_IFDIR | 0o755)
    archive.add("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    archive.add("bin/busybox", stat.S_IFREG | 0o755, contents(BUSYBOX))
    for applet in ("sh", "mount", "cp", "uname", "sleep", "insmod"):
        archive.add(f"bin/{applet}", stat.S_IFLNK | 0o777, b"busybox")
    for file in files:
        archive.add(f"packed/{file}", stat.S_IFREG | 0o755, contents(os.path.join(out, "bench", file)))
    script = INIT
    for module, arguments in (module.partition(" ")[::2] for module in which.modules):
        path = os.path.join(out, which.place, module + ".ko")
        if os.path.exists(path):  # what is built in has no file
            archive.add(module + ".ko", stat.S_IFREG | 0o644, contents(path))
            script += f"insmod /{module}.ko {arguments}\n"
    script += "".join(f"{command}\necho status $?\n" for command in commands) + "echo =END=\nsleep 1000000\n"
    archive.add("init", stat.S_IFREG | 0o755, script.encode())
    path = os.path.join(out, which.place, name + ".cpio.gz")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(gzip.compress(archive.finish(), 1, mtime=0))
    return path
