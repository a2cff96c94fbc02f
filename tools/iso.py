#!/usr/bin/python3
"""Make the ISO that boots from CD or stick, on BIOS and on UEFI: the same input gives the same bytes.

    tools/iso.py KERNEL ARCHIVE ISO [MODE]

MODE is the framebuffer's, 1024x768x32 by default. What grub-mkrescue does, by hand: that program puts the time of day into its boot loaders. GRUB's modules are
in the loaders themselves; the ISO holds nothing but them, the kernel, the archive and grub.cfg.
"""
import os
import shutil
import subprocess
import sys
import tempfile

EPOCH = int(os.environ.get("SOURCE_DATE_EPOCH", "1704067200"))  # 2024-01-01
GRUB = "/usr/lib/grub"
LABEL = "PROTOS_BOOT"  # no root disk's: GRUB takes the first that has it
COMMON = "normal configfile iso9660 part_gpt part_msdos fat search search_label multiboot2 all_video video gfxterm " \
    "font echo serial terminal test boot reboot halt minicmd"
EMBEDDED = f"search --no-floppy --label {LABEL} --set=root\nset prefix=($root)/boot/grub\n" \
    "configfile ($root)/boot/grub/grub.cfg\n"
CONFIGURATION = """\
serial --unit=0 --speed=115200
terminal_input console serial
terminal_output console serial
set timeout=0
set gfxmode=MODE,auto
menuentry "protos" {
    multiboot2 /boot/protos.elf
    module2 --nounzip /boot/initfs.tar.gz initfs.tar.gz
    set gfxpayload=MODE # multiboot2 has set it to what the kernel's header asks for
}
"""


def run(*command):
    environment = dict(os.environ, SOURCE_DATE_EPOCH=str(EPOCH), MTOOLS_SKIP_CHECK="1", TZ="UTC", LC_ALL="C")
    result = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if result.returncode:
        sys.exit(f"iso.py: {' '.join(command)}\n{result.stdout}")


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def loader(work, target, name, modules):
    """A GRUB with modules and first configuration inside."""
    known = os.listdir(f"{GRUB}/{target.removesuffix('-eltorito')}")
    wanted = [module for module in f"{COMMON} {modules}".split() if f"{module}.mod" in known]
    path = f"{work}/{name}"
    run("grub-mkimage", "-d", f"{GRUB}/{target.removesuffix('-eltorito')}", "-O", target, "-p", "/boot/grub",
        "-c", f"{work}/embedded.cfg", "-o", path, *wanted)
    return path


def efi_image(work, path):
    """The EFI system partition: a FAT with the loader at the path firmware looks for."""
    program = loader(work, "x86_64-efi", "bootx64.efi", "efi_gop efi_uga")
    os.utime(program, (EPOCH, EPOCH))
    blocks = -(-os.path.getsize(program) // 1024) + 128
    with open(path, "wb") as file:
        file.truncate(blocks * 1024)
    run("mformat", "-i", path, "-N", "70726f74", "-v", LABEL, "-T", str(blocks * 2), "-h", "2", "-s", "32", "::")
    run("mmd", "-i", path, "::/EFI", "::/EFI/BOOT")
    run("mcopy", "-m", "-i", path, program, "::/EFI/BOOT/BOOTX64.EFI")


def main():
    kernel, archive, result, *mode = sys.argv[1:]
    with tempfile.TemporaryDirectory() as work:
        write(f"{work}/embedded.cfg", EMBEDDED)
        tree = f"{work}/iso"
        write(f"{tree}/boot/grub/grub.cfg", CONFIGURATION.replace("MODE", mode[0] if mode else "1024x768x32"))
        # The kernel carries its debugging information in the file only; a boot need not read it.
        run("strip", "--strip-debug", "-o", f"{tree}/boot/protos.elf", kernel)
        shutil.copy(archive, f"{tree}/boot/initfs.tar.gz")
        bios = loader(work, "i386-pc-eltorito", "bios.img", "biosdisk vbe vga")
        shutil.copy(bios, f"{tree}/boot/grub/bios.img")
        efi_image(work, f"{tree}/efi.img")
        for folder, _, files in os.walk(tree, topdown=False):
            for name in files + ["."]:
                os.utime(os.path.join(folder, name), (EPOCH, EPOCH))
                os.chmod(os.path.join(folder, name), 0o755 if name == "." else 0o644)
        run("xorriso", "-as", "mkisofs", "-quiet", "-R", "-J", "-V", LABEL, "-o", f"{work}/result.iso",
            "-b", "boot/grub/bios.img", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table",
            "--grub2-boot-info", "--grub2-mbr", f"{GRUB}/i386-pc/boot_hybrid.img", "--protective-msdos-label",
            "--efi-boot", "efi.img", "-efi-boot-part", "--efi-boot-image",
            "--gpt_disk_guid", "70726f74-6f73-4000-8000-000000000001",
            "--modification-date=2024010100000000", "--set_all_file_dates", "2024010100000000",
            "-uid", "0", "-gid", "0", tree)
        shutil.copy(f"{work}/result.iso", result)


main()
