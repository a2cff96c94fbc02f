"""USB keyboards and pointers beside others of their kind, in numbers, and over many deaths."""
import os
import random
import re

from harness import scenario
from machine import LOG_LINE
from scenarios.devices import wait_log
from scenarios.screen import keys, move, tell, wait_pixel
from scenarios.usb import KEYBOARD, TABLET, boot, listen, press, wait_driver

ROUNDS = int(os.environ.get("USB_ROUNDS", "6"))  # make soak: as many as asked for


@scenario("usb/pixels", cpus=(4,))
def pixels(context):
    """The tablet's pointer is where it was put, to the pixel: on either side of a cell's edge it is in either cell."""
    with boot(context, "xhci", "usb-tablet") as vm:
        vm.prompt()
        wait_driver(vm, TABLET)
        tell(vm, "one")
        keys(vm, "clear; echo cleared > /dev/ttyS0\n")
        vm.expect("^cleared\n", 60)
        for x, y in ((0, 160), (7, 160), (8, 160), (8, 175), (8, 176), (511, 383), (512, 383), (511, 384), (512, 384), (1015, 751),
                     (1016, 751), (1016, 752), (1023, 767)):
            move(vm, absolute=True, x=x * 32 + 16, y=(y * 2 + 1) * 32768 // 1536)
            wait_pixel(vm, y // 16, x // 8, True)
        vm.screenshot(os.path.join(context.out, "logs", "usb-pixels.png"))


@scenario("usb/iommu", cpus=(1, 4))
def iommu(context):
    """A controller behind an IOMMU reaches usbd's memory and no other, over usbd's death, too; and nothing is refused that it needs."""
    with boot(context, "iommu", "xhci", "usb-kbd") as vm:
        vm.prompt()
        wait_log(vm, "pcid: IOMMU at 0xfed90000: DMA is confined")
        process = wait_driver(vm, KEYBOARD)
        vm.check("lspci -v -s 00:1a.0", re.compile("DMA: confined"), 60)
        for _ in range(3):
            vm.shell("kill -9 $(pidof usbd)", 60)
            process = wait_driver(vm, KEYBOARD, process)
        vm.shell("kill -STOP $(pidof kbd)")
        listen(vm)
        for key, code in (("a", 30), ("z", 44), ("f12", 88)):
            press(vm, key, code)
        vm.send("\x03")
        vm.prompt()
        vm.check("grep -c 'is refused' log:///; true", "0\n", 60)


@scenario("usb/kills", cpus=(1, 4))
def kills(context):
    """usbd and the keyboard's driver are killed again and again while somebody types: the text is right. USB_ROUNDS for longer."""
    chance = random.Random(28)
    with boot(context, "xhci", "usb-kbd") as vm:
        vm.prompt()
        process = wait_driver(vm, KEYBOARD)
        vm.shell("kill -STOP $(pidof kbd)")
        keys(vm, "while read -r -n 1 c; do echo \"<$c>\"; done > /dev/ttyS0\n")
        begin, typed, hid = vm.position, "", f"usb.hid@{KEYBOARD}:0"
        for _ in range(ROUNDS):
            for letter in chance.sample("abcdefghijklmnopqrstuvwxyz", chance.randint(1, 4)):
                vm.key(letter)
                vm.expect(f"<{letter}>", 60)
                typed += letter
            victims = chance.choice(((hid,), ("usbd",), ("usbd", hid)))
            vm.shell("; ".join(f"kill -9 $(pidof {victim})" for victim in victims), 90)
            process = wait_driver(vm, KEYBOARD, process)
        seen = "".join(re.findall("<([a-z])>", LOG_LINE.sub("", vm.text[begin:])))
        if seen != typed:
            vm.fail(f"typed {typed}, seen {seen}")
