"""USB keyboards and pointers beside others of their kind, in numbers, and over many deaths."""
import os
import random
import re

from harness import in_soak, scenario
from machine import LOG_LINE
from scenarios.devices import wait_log
from scenarios.screen import keys, move, tell, wait_pixel, without_ps2
from scenarios.survival import cpu_seconds
from scenarios.usb import KEYBOARD, TABLET, boot, figures, listen, press, unplug, wait_driver, wait_no_driver

ROUNDS = int(os.environ.get("USB_ROUNDS", "6"))  # make soak: as many as asked for

# By QEMU's names. The first print something.
LETTERS = ["grave_accent", *"1234567890", "minus", "equal", *"qwertyuiop", "bracket_left", "bracket_right", *"asdfghjkl", "semicolon",
           "apostrophe", "backslash", "less", *"zxcvbnm", "comma", "dot", "slash", "spc"]
OTHERS = ["esc", "tab", "ret", "backspace", *(f"f{number}" for number in range(1, 13)), *(f"kp_{digit}" for digit in range(10)),
          "kp_add", "kp_subtract", "kp_multiply", "kp_divide", "kp_decimal", "kp_enter", "insert", "delete", "home", "end", "pgup",
          "pgdn", "up", "down", "left", "right", "meta_l", "meta_r", "ctrl", "ctrl_r", "alt", "alt_r", "shift", "shift_r", "caps_lock",
          "caps_lock", "num_lock", "num_lock", "scroll_lock"]

# Pressed and let go of, a key is 3 bytes from a PS/2 keyboard, of which QEMU keeps 16, and one of these 5.
LONG = {"kp_divide", "kp_enter", "insert", "delete", "home", "end", "pgup", "pgdn", "up", "down", "left", "right", "meta_l", "meta_r",
        "ctrl_r", "alt_r"}
KEPT = 16


def pressed(vm, modifier, names):
    """The events of keys that are pressed one after the other, a modifier held down all the while: (code, value, symbol/modifiers)."""
    def event(name, down):
        return {"type": "key", "data": {"down": down, "key": {"type": "qcode", "data": name}}}

    events = [event(name, down) for name in names for down in (True, False)]
    if modifier:
        events = [event(modifier, True), *events, event(modifier, False)]
    vm.qmp("input-send-event", events=events)
    found = []
    while len(found) < len(events):
        match = vm.expect(r"key (\d+) (\d) ([0-9a-f]+/[0-9a-f]+)[;\n]", 60)  # whole: the rest of a line may come later
        if match[2] != "2":  # a busy host holds keys for long: they repeat
            found.append(match.groups())
    return found


def packets(modifier, names):
    """The names, as many at a time as QEMU keeps."""
    def length(name):
        return 5 if name in LONG else 3

    packet = []
    for name in names:
        if sum(map(length, filter(None, [modifier, *packet, name]))) > KEPT:
            yield packet
            packet = []
        packet.append(name)
    yield packet


def all_keys(vm, maps):
    """{map: events} of everything there is to press, in each key map."""
    found = {}
    for name in maps:
        vm.check(f"keymap {name}", "", 60)
        vm.send("/tests/tools/input_events 100000 symbols &\n")
        vm.expect("listening\n", 60)
        events = found[name] = []
        for modifier in (None, "shift", "alt_r"):
            for packet in packets(modifier, LETTERS):
                events += pressed(vm, modifier, packet)
        if name == maps[0]:
            for packet in packets(None, OTHERS):
                events += pressed(vm, None, packet)
        vm.shell("kill -9 $!", 60)
    return found


@scenario("usb/keymaps", cpus=(4,))
def keymaps(context):
    """Every key, alone, with shift and with AltGr: the events are the same from USB and from PS/2, in a key map and, in soak, in all there are."""
    with boot(context, "xhci", "usb-kbd") as vm:
        vm.prompt()
        maps = ["de"]
        if "SOAK_ROUND" in os.environ or "USB_ROUNDS" in os.environ:
            maps = vm.shell("ls /etc/keymaps", 60)[0].split()
        wait_driver(vm, KEYBOARD)
        usb = all_keys(vm, maps)
        unplug(vm, "usb-kbd")  # QEMU gives keys to the other one now
        wait_no_driver(vm, KEYBOARD)
        ps2 = all_keys(vm, maps)
        for name in maps:
            different = [pair for pair in zip(usb[name], ps2[name]) if pair[0] != pair[1]]
            if different:
                vm.fail(f"{name}: USB and PS/2 differ in {len(different)} events: {different[:8]}")
        if len(maps) > 1 and len({tuple(usb[name]) for name in maps}) < len(maps) // 2:  # Finns and Swedes have one
            vm.fail("key maps are the same")


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


def proc_stat(vm):
    """(busy, idle) in hundredths of a second, interrupts, changes of threads."""
    text = vm.check("cat /proc/stat", re.compile("ctxt"), 60)
    return [int(number) for number in re.search(r"cpu +(\d+) 0 0 (\d+) .*\nintr (\d+)\nctxt (\d+)", text).groups()]


def counted(vm, seconds):
    """... what came to be in that time."""
    before = proc_stat(vm)
    vm.shell(f"sleep {seconds}", 60)
    return list(map(int.__sub__, proc_stat(vm), before))


@scenario("usb/idle", cpus=(4, *in_soak(1)))
def idle(context):
    """With devices attached and nothing to do nobody looks for anything: CPUs halt. Counted in the guest, and on the host by CPU time."""
    with boot(context, "xhci", "usb-kbd", "usb-mouse", "usb-tablet", "usb-hub") as vm:
        vm.prompt()
        wait_driver(vm, KEYBOARD)
        wait_driver(vm, TABLET)
        vm.shell("sleep 3", 60)
        asking = counted(vm, 0)  # what is counted is also whoever asks
        used = cpu_seconds(vm)
        busy, halted, interrupts, switches = map(int.__sub__, counted(vm, 10), asking)
        used = cpu_seconds(vm) - used
        figures(f"idle {halted / (busy + halted):.2%}, {interrupts} interrupts, {switches} switches, host CPU {used:.2f} s of 10 s")
        if halted < 9 * busy or switches > 200 or interrupts > 200 or used > 2.5:
            vm.fail(f"in 10 s: busy {busy / 100} s, {interrupts} interrupts, {switches} switches, {used} s of the host")


@scenario("usb/kills", cpus=(1, 4))
def kills(context):
    """usbd and the keyboard's driver are killed again and again while somebody types: the text is right. USB_ROUNDS for longer."""
    chance = random.Random(28)
    with boot(context, "xhci", "usb-kbd") as vm:
        vm.prompt()
        process = wait_driver(vm, KEYBOARD)
        without_ps2(vm)
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
