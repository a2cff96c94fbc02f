"""Every road to the shell: loaders, firmwares, machines, sizes; and archives that are broken."""
import os
import re

from harness import Failure, scenario


def reaches_shell(context, deadline=60, **options):
    with context.boot(**options) as vm:
        vm.prompt(deadline)
        vm.check("echo $((6*7))", "42\n")


@scenario("boot/q35", cpus=(1, 2, 4, 8))
def boot_q35(context):
    reaches_shell(context, machine="q35")


@scenario("boot/pc")
def boot_pc(context):
    reaches_shell(context, machine="pc")


@scenario("boot/microvm")
def boot_microvm(context):
    reaches_shell(context, machine="microvm")


@scenario("boot/iso-seabios", cpus=(1,))  # with more, from a disk: fat/root-seabios
def boot_seabios(context):
    reaches_shell(context, 120, firmware="seabios")


@scenario("boot/iso-ovmf", cpus=(1,))  # fat/root-ovmf
def boot_ovmf(context):
    reaches_shell(context, 180, firmware="ovmf")


@scenario("boot/64M")
def boot_small(context):
    reaches_shell(context, memory="64M")


@scenario("boot/8G")
def boot_large(context):
    reaches_shell(context, memory="8G")


@scenario("boot/old-cpu")
def boot_old_cpu(context):
    """No SMEP, SMAP, XSAVE, RDRAND, FSGSBASE: FXSAVE and the other fall-backs."""
    reaches_shell(context, cpu="qemu64")


@scenario("boot/screenshot", cpus=(2,))
def boot_screenshot(context):
    """The graphical boot: the ISO's framebuffer holds more than black."""
    path = os.path.join(context.out, "logs", "boot.png")
    with context.boot(firmware="seabios") as vm:
        vm.prompt(120)
        vm.screenshot(path)
    if os.path.getsize(path) < 1000:
        raise Failure(f"{path}: nothing on the screen")


def broken_archive(context, data):
    """A bad archive: a message that names it, and a stop by the kernel's own will, no panic."""
    with context.scratch(".tar.gz", data) as file, context.boot(initfs=file.name) as vm:
        vm.expect(r"initfs: .+\n", 60)
        vm.wait_exit(30)
        if re.search(r"\bpanic\b", vm.text):
            vm.fail("the kernel panicked")


def archive(context):
    with open(context.initfs(), "rb") as file:
        return bytearray(file.read())


@scenario("boot/initfs-truncated")
def initfs_truncated(context):
    data = archive(context)
    broken_archive(context, data[:len(data) // 2])


@scenario("boot/initfs-corrupted")
def initfs_corrupted(context):
    data = archive(context)
    middle = len(data) // 2
    data[middle:middle + 64] = bytes(byte ^ 0x55 for byte in data[middle:middle + 64])
    broken_archive(context, data)


@scenario("boot/initfs-no-archive", cpus=(1,))
def initfs_garbage(context):
    broken_archive(context, b"this is no archive\n" * 100)


@scenario("boot/initfs-missing", cpus=(1,))
def initfs_missing(context):
    with context.boot(initfs="none") as vm:
        vm.expect(r"initfs: .+\n", 60)
        vm.wait_exit(30)
