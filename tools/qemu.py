"""Every QEMU flag of the project, once: tools/run and the tests build their command lines here.

    command = qemu.command(qemu.Options(machine="q35", cpus=4, ...))
"""
import dataclasses
import json
import os

OVMF_CODE = "/usr/share/OVMF/OVMF_CODE_4M.fd"
OVMF_VARS = "/usr/share/OVMF/OVMF_VARS_4M.fd"
EXIT_PORT = 0xF4
# Devices to try drivers with. Four slots apart on q35's root bus their INTA is the same line; edu's own default reaches
# only 256 MiB by DMA.
DEVICES = {
    "iommu": "intel-iommu,intremap=off",  # before all that it is to confine
    "edu": "edu,id=edu,addr=0x10,dma_mask=0xffffffff",
    "edu2": "edu,id=edu2,addr=0x14,dma_mask=0xffffffff",
    "pci-testdev": "pci-testdev,addr=0x11",
    "nvme": "nvme,serial=none,addr=0x12",  # a controller without a disk
    "virtio-rng": "virtio-rng-pci,addr=0x15",
    "virtio-rng-legacy": "virtio-rng-pci,addr=0x15,disable-modern=on,disable-legacy=off",
    "virtio-keyboard": "virtio-keyboard-pci,addr=0x16",
    "virtio-mouse": "virtio-mouse-pci,addr=0x17",
    "virtio-tablet": "virtio-tablet-pci,addr=0x18",
    "virtio-gpu": "virtio-gpu-pci,id=gpu,addr=0x19",
    # Bridges to conventional PCI: one from PCI Express with an edu behind it, and one of the old kind with two.
    "express-bridge": "pcie-pci-bridge,id=express-bridge,addr=0x0a",
    "edu-express": "edu,id=edu-express,bus=express-bridge,addr=0x3,dma_mask=0xffffffff",
    "bridge": "i82801b11-bridge,id=bridge,addr=0x0b",
    "edu-bridge1": "edu,id=edu-bridge1,bus=bridge,addr=0x3,dma_mask=0xffffffff",
    "edu-bridge2": "edu,id=edu-bridge2,bus=bridge,addr=0x5,dma_mask=0xffffffff",
    "virtio-gpu-2": "virtio-gpu-pci,id=gpu,addr=0x19,max_outputs=2",  # the second is off until a display asks for a size
    "xhci": "qemu-xhci,id=xhci,addr=0x1a",
    "nec-xhci": "nec-usb-xhci,id=xhci,addr=0x1a",
    "xhci2": "qemu-xhci,id=xhci2,addr=0x1b",
    "usb-kbd": "usb-kbd,id=usb-kbd,bus=xhci.0,port=1",
    "usb-mouse": "usb-mouse,id=usb-mouse,bus=xhci.0,port=2",
    "usb-tablet": "usb-tablet,id=usb-tablet,bus=xhci.0,port=3",
    "usb-ccid": "usb-ccid,id=usb-ccid,bus=xhci.0,port=1",
    "usb-hub": "usb-hub,id=usb-hub,bus=xhci.0,port=4",
}

USB_3_PORTS = 4  # of qemu-xhci


@dataclasses.dataclass
class Options:
    out: str = "out"
    machine: str = "q35"  # q35, pc, microvm
    firmware: str = "pvh"  # pvh (-kernel), seabios and ovmf (the ISO)
    cpus: int = 4
    memory: str = "512M"
    cpu: str = "max"
    kernel: str = ""  # default: out/protos.elf
    initfs: str = ""  # default: out/initfs.tar.gz
    iso: str = ""  # default: out/protos.iso
    stick: bool = False  # the ISO is on a USB stick, on no CD
    append: str = ""  # kernel command line (pvh)
    vga: str = "std"  # QEMU's -vga: std, none
    display: str = "none"  # none, window, vnc=..., any of QEMU's
    serial: str = "mon:stdio"  # QEMU's -serial
    qmp: str = ""  # path of a unix socket
    # FILE[,if=virtio|ahci|nvme|usb|uas|uas2][,ro][,serial=TEXT][,sector=BYTES][,keep][,unsafe][,blkdebug=FILE][,log=FILE][,legacy][,line]
    # uas2: of USB 2, without streams; keep: what is written stays, whatever `snapshot` says; unsafe: flushes do not wait for the host's disk;
    # blkdebug: rules of QEMU's, errors above all; log: of all writes; of virtio: legacy: as before virtio 1.0; line: without MSI-X
    disks: list = dataclasses.field(default_factory=list)
    devices: list = dataclasses.field(default_factory=list)  # names in DEVICES
    icount: bool = False  # the TSC counts instructions; one thread
    idle: bool = False  # with icount: when nothing runs time passes as it does here, else it jumps to the next timer
    kvm: str = "auto"  # auto, on, off
    gdb: bool = False  # wait for gdb on port 1234
    snapshot: bool = True  # writes to disks are forgotten
    extra: list = dataclasses.field(default_factory=list)


def have_kvm():
    """Nested or plain hardware virtualisation, and permission to use it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            flags = file.read().split()
    except OSError:
        return False
    return ("vmx" in flags or "svm" in flags) and os.access("/dev/kvm", os.R_OK | os.W_OK)


def machine_flags(options):
    if options.machine == "microvm":
        return ["-M", "microvm,acpi=on,pit=on,pic=on,rtc=on,isa-serial=on"]
    return ["-M", options.machine]


def accelerator_flags(options):
    if options.icount:
        return ["-accel", "tcg", "-icount", "shift=0,sleep=" + ("on" if options.idle else "off"), "-rtc", "base=2024-01-01,clock=vm"]
    if options.kvm == "on" or (options.kvm == "auto" and have_kvm()):
        return ["-accel", "kvm"]
    return ["-accel", "tcg"]


def boot_flags(options):
    if options.firmware == "pvh":
        flags = ["-kernel", options.kernel or os.path.join(options.out, "protos.elf")]
        initfs = options.initfs or os.path.join(options.out, "initfs.tar.gz")
        if initfs != "none":
            flags += ["-initrd", initfs]
        if options.append:
            flags += ["-append", options.append]
        return flags
    flags = []
    if options.firmware == "ovmf":
        flags += ["-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={OVMF_CODE}",
                  "-drive", f"if=pflash,format=raw,unit=1,snapshot=on,file={OVMF_VARS}"]
    elif options.firmware != "seabios":
        raise ValueError(f"firmware {options.firmware}: pvh, seabios or ovmf")
    iso = options.iso or os.path.join(options.out, "protos.iso")
    return flags + (stick_flags(iso) if options.stick else ["-cdrom", iso, "-boot", "d"])


def stick_flags(iso):
    """On a controller of its own: where ports run out QEMU adds a hub, and OVMF may not have found what is behind one when it looks for what to boot."""
    return ["-device", "qemu-xhci,id=stick-xhci", "-drive", f"if=none,id=stick,format=raw,readonly=on,file={iso}",
            "-device", "usb-storage,id=stick-device,drive=stick,bus=stick-xhci.0,bootindex=0"]


def disk_parse(text):
    """FILE and its options: "FILE,if=nvme,ro,sector=4096" -> (FILE, {"if": "nvme", "ro": "", "sector": "4096"})."""
    path, *words = text.split(",")
    options = dict(word.partition("=")[::2] for word in words)
    unknown = set(options) - {"if", "ro", "serial", "sector", "keep", "unsafe", "blkdebug", "log", "legacy", "line"}
    if unknown:
        raise ValueError(f"disk {path}: unknown {', '.join(sorted(unknown))}")
    return path, options


def disk_node(path, options):
    """What lies under a disk: its file, behind what injects errors (blkdebug) and writes a log of all writes (blklogwrites)."""
    node = {"driver": "file", "filename": os.path.abspath(path), "discard": "unmap"}
    if "blkdebug" in options:
        node = {"driver": "blkdebug", "config": options["blkdebug"], "image": node}
    if "log" in options:
        node = {"driver": "blklogwrites", "file": node, "log": {"driver": "file", "filename": options["log"]}}
    return {"driver": "raw", "file": node}


def disk_drive(name, path, options, snapshot):
    flags = f"if=none,id={name},discard=unmap,file=json:" + json.dumps(disk_node(path, options)).replace(",", ",,")
    if snapshot and not {"keep", "log"} & set(options):
        flags += ",snapshot=on"
    if "unsafe" in options:
        flags += ",cache=unsafe"
    return flags + (",readonly=on" if "ro" in options else "")


def disk_device(index, name, options, confined):
    kind = options.get("if", "virtio")
    device = {"virtio": "virtio-blk-pci", "nvme": "nvme", "ahci": f"ide-hd,bus=ahci.{index}", "usb": "usb-storage,bus=xhci.0",
              "uas": f"scsi-hd,bus={name}-uas.0", "uas2": f"scsi-hd,bus={name}-uas.0"}[kind]
    serial = options.get("serial", name)
    device += f",drive={name},id={name}-device,serial={serial}"
    if device.startswith("virtio") and confined:
        device += ",iommu_platform=on,disable-legacy=on"
    if "legacy" in options:
        device += ",disable-modern=on,disable-legacy=off"
    if "line" in options:
        device += ",vectors=0"
    if "sector" in options:
        device += ",logical_block_size={0},physical_block_size={0}".format(options["sector"])
    if not kind.startswith("uas"):
        return ["-device", device]
    port = f",port={USB_3_PORTS + 1 + index}" if kind == "uas2" else ""  # one that knows no SuperSpeed
    return ["-device", f"usb-uas,id={name}-uas,bus=xhci.0,serial={serial}{port}", "-device", device]


def has_xhci(options):
    return bool({"xhci", "nec-xhci"} & set(options.devices))


def disk_flags(options):
    flags = []
    disks = [disk_parse(disk) for disk in options.disks]
    used = {disk.get("if", "virtio") for _, disk in disks}
    if used & {"usb", "uas", "uas2"} and not has_xhci(options):
        flags += ["-device", "qemu-xhci,id=xhci" + (f",p2=15,p3={USB_3_PORTS}" if "uas2" in used else "")]
    if "ahci" in used:
        flags += ["-device", "ich9-ahci,id=ahci"]
    for index, (path, disk) in enumerate(disks):
        name = f"disk{index}"
        flags += ["-drive", disk_drive(name, path, disk, options.snapshot)]
        flags += disk_device(index, name, disk, "iommu" in options.devices)
    return flags


def device_flags(options):
    return [flag for name in options.devices for flag in ("-device", DEVICES[name])]


def command(options):
    flags = ["qemu-system-x86_64", "-no-user-config", "-nodefaults"]
    flags += machine_flags(options) + accelerator_flags(options)
    flags += ["-cpu", options.cpu, "-smp", str(options.cpus), "-m", options.memory]
    flags += boot_flags(options) + device_flags(options) + disk_flags(options)
    flags += ["-no-reboot", "-serial", options.serial]
    if options.machine != "microvm":
        flags += ["-vga", options.vga]
    flags += ["-device", f"isa-debug-exit,iobase={EXIT_PORT:#x},iosize=4"]
    flags += {"window": ["-display", "gtk"], "none": ["-display", "none"]}.get(
        options.display, ["-display", options.display])
    if options.qmp:
        flags += ["-qmp", f"unix:{options.qmp},server=on,wait=off"]
    if options.gdb:
        flags += ["-s", "-S"]
    return flags + options.extra


def exit_status(code):
    """What the guest wrote to the exit port; None if QEMU ended otherwise."""
    return code >> 1 if code & 1 else None
