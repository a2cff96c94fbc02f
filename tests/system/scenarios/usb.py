"""USB: controllers, hubs, keyboards and pointers. QEMU's first port of USB 2 is the controller's fifth."""
import os
import re

from harness import in_soak, scenario
from redirected import Redirected
from redirected_serial import Ftdi
from scenarios.devices import wait_log
from scenarios.screen import keys, type_everything, without_ps2
from scenarios.virtio import click, move

KEYBOARD, MOUSE, TABLET, HUB = (f"1-{port}" for port in (5, 6, 7, 8))


def boot(context, *devices, **options):
    return context.boot(initfs=os.path.join(context.out, "test-initfs.tar.gz"), devices=devices, **options)


def figures(text):
    """For who asks for them: FIGURES=1."""
    if "FIGURES" in os.environ:
        print("    " + text, flush=True)


def devices_of(vm):
    """{name of an interface: number of its connection}"""
    text = vm.shell("cat usb:///devices", 60)[0]
    return {name: int(number) for name, number in re.findall(r"^(\S+:\d+) \w{6} \w{4}:\w{4} (\d+) ", text, re.M)}


def wait_devices(vm, *names):
    """Until these devices, and no others, are there."""
    for _ in range(300):
        found = devices_of(vm)
        if found.keys() == {name + ":0" for name in names}:
            return found
        vm.shell("sleep 0.1")
    vm.fail(f"there are {sorted(found)}, wanted: {names}")


def driver_state(vm, name):
    """What the supervisor says of its driver; None: there is none."""
    match = re.search(rf"^usb.hid@{re.escape(name)}:0 +(\w+)", vm.shell("cat log:///status", 60)[0], re.M)
    return match and match[1]


def wait_driver(vm, name, before=None):
    """Until a driver, another than `before`, has claimed the device, and a little longer: to QEMU a keyboard is one when somebody
    asks it for keys. Which process it is."""
    for _ in range(300):
        process = re.search(r"driver: process (\d+)", vm.shell(f"cat usb:///{name}/info", 60)[0])
        if process and process[1] != before and driver_state(vm, name) == "ready":
            vm.shell("sleep 0.5", 60)
            return process[1]
        vm.shell("sleep 0.1")
    vm.fail(f"the driver of {name} is {driver_state(vm, name)}, process {process and process[1]}")


def wait_no_driver(vm, name):
    for _ in range(300):
        if driver_state(vm, name) is None:
            return
        vm.shell("sleep 0.1")
    vm.fail(f"{name} is gone, and its driver is {driver_state(vm, name)}")


def plug(vm, kind, name, port):
    vm.qmp("device_add", driver=kind, id=name, bus="xhci.0", port=port)


def unplug(vm, name):
    vm.qmp("device_del", id=name)


def listen(vm):
    """Events of input:// are printed from now on, whatever else the shell is told."""
    vm.send("/tests/tools/input_events 100000 &\n")
    vm.expect("listening\n", 60)


def hold(vm, key, code, down, first=""):
    """A key goes down or up, and is seen to, what else is to be told in the same packet before it. (What is held repeats, and a busy
    host may hold it for long: that is not looked at.)"""
    vm.qmp("input-send-event", events=[{"type": "key", "data": {"down": down, "key": {"type": "qcode", "data": key}}}])
    if code:
        vm.expect(rf"{first}key {code} {int(down)}\n", 60)


def press(vm, key, code, first=""):
    hold(vm, key, code, True, first)
    hold(vm, key, code, False)


def check_typing(vm):
    """On the USB keyboard: the other one's driver is stopped. QEMU gives keys to the last keyboard that was plugged in."""
    wait_driver(vm, KEYBOARD)
    without_ps2(vm)
    type_everything(vm)
    keys(vm, "echo ")
    vm.key("caps_lock")
    keys(vm, "shouted")
    vm.key("caps_lock")
    keys(vm, " said > /dev/ttyS0\n")
    vm.expect("SHOUTED said\n", 30)


@scenario("usb/devices")
def devices(context):
    """What there is, for people and programs; names, errors, and who may do what."""
    with boot(context, "xhci", "xhci2", "usb-kbd", "usb-mouse", "usb-tablet", "usb-hub") as vm:
        vm.prompt()
        wait_devices(vm, KEYBOARD, MOUSE, TABLET, HUB)
        vm.check("cat usb:///devices", re.compile(r"^1-5:0 030101 0627:0001 \d+ Keyboard: QEMU USB Keyboard\n"
                                                  r"1-6:0 030102 0627:0001 \d+ Mouse: QEMU USB Mouse\n"
                                                  r"1-7:0 030000 0627:0001 \d+ .*: QEMU USB Tablet\n"
                                                  r"1-8:0 090000 0409:55aa \d+ Hub: QEMU USB Hub$"))
        vm.check("cat usb:///tree", re.compile(r"^1 pci:///00:1a.0 8 ports\n    1-5 0627:0001 480 Mbit/s .*\n(.*\n)*"
                                               r"    1-8 0409:55aa 12 Mbit/s QEMU USB Hub\n2 pci:///00:1b.0 8 ports$"))
        vm.check("ls usb:/// | cat", "1-5\n1-5:0\n1-6\n1-6:0\n1-7\n1-7:0\n1-8\n1-8:0\ndevices\ntree\n")
        vm.check("ls usb:///1-5:0 usb:///1-5 | cat", "usb:///1-5:\ndescriptors\ninfo\n\nusb:///1-5:0:\n81\ninterface\n")
        vm.check("cat usb:///1-5/info", re.compile(r"interface 0.0: 030101 Keyboard, driver: process \d+\n"
                                                   r"  endpoint 81: interrupt, 8 bytes every 8000 us"))
        vm.check("hexdump -n 4 -e '1/4 \"%08x\\n\"' usb:///1-5/descriptors", "02000112\n")
        vm.check("cat usb:///1-9/info usb:///1-5:1/interface usb:///1-5:0/82 usb:///1-5/infos; true", re.compile("(.*No such file.*\n){4}"))
        vm.check("cat usb:///1-5:0/81; echo > usb:///devices; cat usb:///1-8:0/interface; true",
                 re.compile("not permitted.*\n.*Read-only.*\n.*denied", re.I))
        vm.check("/sbin/usb.hid usb:///1-5:0; /sbin/usb.hid usb:///1-8:0; true", re.compile("in use\n(.*\n)*.*in use"))


@scenario("usb/typing", cpus=(1, *in_soak(4)))
def typing(context):
    with context.boot(devices=["xhci", "usb-kbd"]) as vm:
        vm.prompt()
        check_typing(vm)


@scenario("usb/pc", cpus=(1, 4))
def pc(context):
    """Another chip set, another controller."""
    with boot(context, "nec-xhci", "usb-kbd", machine="pc") as vm:
        vm.prompt()
        wait_driver(vm, KEYBOARD)
        without_ps2(vm)
        listen(vm)
        for key, code in (("a", 30), ("z", 44), ("kp_5", 76), ("f12", 88), ("shift", 42), ("alt_r", 100), ("up", 103)):
            press(vm, key, code)


@scenario("usb/pointers", cpus=(1, 4))
def pointers(context):
    """A mouse and a tablet: movements, buttons, the wheel and positions arrive in order."""
    with boot(context, "xhci", "usb-mouse", "usb-tablet") as vm:
        vm.prompt()
        wait_driver(vm, MOUSE)
        wait_driver(vm, TABLET)
        vm.send("/tests/tools/input_events 25\n")
        vm.expect("^listening\n", 30)
        for distance in range(1, 21):
            move(vm, x=distance, y=-distance)
            vm.expect(rf"^rel 0 {distance}; rel 1 -{distance}\n", 30)
        for where, seen in ((16384, "3276\\d"), (32767, "65535")):
            move(vm, absolute=True, x=where, y=32767 - where)
            vm.expect(rf"^abs 0 {seen}; abs 1 \d+\n", 30)
        click(vm, "right")  # QEMU's pointers of the kind that moved last have the buttons
        vm.expect("^key 273 1\nkey 273 0\n", 30)
        click(vm, "wheel-up")
        vm.expect("^rel 8 1\n", 30)


@scenario("usb/wacom", cpus=(1, 4))
def wacom(context):
    """A tablet that is a mouse until it is told, and does not say what its reports mean; its next driver has to tell it again."""
    def seen(value, most):
        """What becomes of QEMU's positions (0 to 32767) by way of the tablet's."""
        return value * most // 32767 * 65535 // most

    with boot(context, "xhci") as vm:
        vm.prompt()
        plug(vm, "usb-wacom-tablet", "wacom", "3")
        process = wait_driver(vm, TABLET)
        for turn in range(3):
            listen(vm)
            for x, y in ((32767, 1000), (16384, 32767), (100, 8000)):
                move(vm, absolute=True, x=x, y=y)
                vm.expect(rf"abs 0 {seen(x, 5040)}; abs 1 {seen(y, 3780)}\n", 60)
            for button, code in (("left", 272), ("right", 273), ("middle", 274)):
                for down in (True, False):  # the device has no queue: what was let go of before it is asked was never pressed
                    vm.qmp("input-send-event", events=[{"type": "btn", "data": {"down": down, "button": button}}])
                    vm.expect(rf"key {code} {int(down)}\n", 60)
            vm.shell(f"kill -9 $!; kill -9 $(pidof {('usb.hid@' + TABLET + ':0', 'usbd')[turn % 2]})", 60)
            process = wait_driver(vm, TABLET, process)


def settled_handles(vm):
    """Handles, bindings and ports; the least of a few looks: drivers that were ended are still being taken apart."""
    def look():
        vm.shell("sleep 0.5", 60)
        counters = dict(re.findall(r"^(\w+) (\d+)$", vm.shell("/tests/tools/counters", 60)[0], re.M))
        return [int(counters[name]) for name in ("handles", "bindings", "objects_4")]

    return [min(counts) for counts in zip(*(look() for _ in range(5)))]


@scenario("usb/survival", cpus=(1, 4))
def survival(context):
    """usbd, the keyboard's driver and both are killed while a key is held: it is let go of, and the next one comes."""
    with boot(context, "xhci", "usb-kbd") as vm:
        vm.prompt()
        process = wait_driver(vm, KEYBOARD)
        without_ps2(vm)
        listen(vm)
        connection = devices_of(vm)[f"{KEYBOARD}:0"]
        hid = f"usb.hid@{KEYBOARD}:0"
        for victims in ((hid,), ("usbd",), ("usbd", hid), ("usbd", "usbd")):
            hold(vm, "a", 30, True)
            for victim in victims:
                vm.shell(f"kill -9 $(pidof {victim})", 60)  # without usbd there are no devices, and soon no drivers
            process = wait_driver(vm, KEYBOARD, process)
            hold(vm, "a", None, False)
            press(vm, "b", 48, "key 30 0; (.*; )?")
            before, connection = connection, devices_of(vm)[f"{KEYBOARD}:0"]
            if (connection != before) != ("usbd" in victims):
                vm.fail(f"connection {before}, then {connection}")


@scenario("usb/drivers", cpus=(1, 4))
def drivers(context):
    """What a driver is promised: transfers copied and not, stalls, deadlines, memory; and what is left of one that is killed."""
    blocks = b"".join(number.to_bytes(4, "little") * 128 for number in range(128))
    chip = Ftdi(4)
    with context.scratch(".img", blocks) as image, context.archive({"etc/drivers": b""}) as archive, Redirected(chip) as redirected, \
            context.boot(initfs=archive.name, devices=["xhci", "usb-kbd"], disks=[f"{image.name},if=usb"], extra=redirected.flags(port=4)) as vm:
        vm.prompt()
        found = vm.check("until grep ' 080650 ' usb:///devices; do sleep 0.1; done", re.compile(" 080650 "), 60)
        disk = re.match(r"\S+", found)[0]
        vm.check(f"/tests/tools/usb_probe disk usb:///{disk}", re.compile("^QEMU +QEMU HARDDISK *\n(.*\n)*ok\n$"), 60)
        vm.check(f"/tests/tools/usb_probe disk usb:///{disk}", re.compile("ok\n$"), 60)
        before = devices_of(vm)
        vm.check(f"/tests/tools/usb_probe reset usb:///{disk}", "ok\n", 60)
        after = devices_of(vm)
        if after.keys() != before.keys() or after[disk] <= before[disk]:
            vm.fail(f"{before}, and after a reset {after}")
        vm.check(f"/tests/tools/usb_probe disk usb:///{disk}", re.compile("ok\n$"), 60)
        vm.check(f"/tests/tools/usb_probe idle usb:///{KEYBOARD}:0", "ok\n", 60)
        for _ in range(3):
            vm.send(f"/tests/tools/usb_probe hold usb:///{KEYBOARD}:0 & read -r line; kill -9 $!; wait; echo re''ady\n")
            vm.expect("held\n", 60)
            vm.send("\n")
            vm.expect("ready\n", 60)
        vm.check(f"/tests/tools/usb_probe idle usb:///{KEYBOARD}:0", "ok\n", 60)
        for number in range(4):
            vm.check(f"/tests/tools/usb_probe line usb:///{HUB}:{number}", "ok\n", 60)
        if chip.astray:
            vm.fail(f"requests for no line: {chip.astray}")
        vm.send(f"/tests/tools/usb_probe hold usb:///{KEYBOARD}:0\n")
        vm.expect("held\n", 60)
        unplug(vm, "usb-kbd")
        vm.expect("the other side is gone\n", 60)
