"""Who sits at the machine: keys pressed on the keyboard, text on the screen. What a console's shell gets is told on the serial
line (`... > /dev/ttyS0`)."""
import os
import re
import tempfile
import time

from harness import scenario

SHIFTED = {"!": "1", "@": "2", "#": "3", "$": "4", "%": "5", "^": "6", "&": "7", "*": "8", "(": "9", ")": "0", "_": "minus",
           "+": "equal", ":": "semicolon", '"': "apostrophe", "<": "comma", ">": "dot", "?": "slash", "|": "backslash"}
PLAIN = {" ": "spc", "-": "minus", "=": "equal", ";": "semicolon", "'": "apostrophe", ",": "comma", ".": "dot", "/": "slash",
         "\\": "backslash", "\n": "ret"}


def keys(vm, text):
    """Type on the keyboard, as a US one is lettered."""
    for character in text:
        if character in SHIFTED or character.isupper():
            vm.key("shift", SHIFTED.get(character, character.lower()))
        else:
            vm.key(PLAIN.get(character, character))
        time.sleep(0.02)  # QEMU holds a key for 100 ms and keeps 16 events


def tell(vm, text, want=None, deadline=30):
    """A console's shell says something on the serial line."""
    keys(vm, f"echo {text} > /dev/ttyS0\n")
    vm.expect(f"{re.escape(text if want is None else want)}\n", deadline)


@scenario("screen/typing", cpus=(1, 4))
def typing(context):
    """Keys reach the shell of the console that is shown; Alt-F1 to F4 show another; ^C, job control, key maps."""
    with context.boot() as vm:
        vm.prompt()
        type_everything(vm)


@scenario("screen/typing-virtio", cpus=(1, 4))
def typing_virtio(context):
    """The same on a virtio keyboard, with the PS/2 keyboard's driver stopped."""
    with context.boot(devices=["virtio-keyboard"]) as vm:
        vm.prompt()
        vm.shell("(/sbin/virtioinputd pci:///00:16.0 &); sleep 1; kill -STOP $(pidof kbd)")
        type_everything(vm)
        keys(vm, "echo ")
        vm.key("caps_lock")
        keys(vm, "shouted")
        vm.key("caps_lock")  # its light went on and off by the status queue
        keys(vm, " said > /dev/ttyS0\n")
        vm.expect("SHOUTED said\n", 30)
        vm.shell("kill -CONT $(pidof kbd)")
        vm.screenshot(os.path.join(context.out, "logs", "screen-typing-virtio.png"))
        for _ in range(3):  # the driver is killed while somebody types; nothing but a driver remembers keys
            keys(vm, "echo bro")
            vm.shell("kill -9 $(pidof virtioinputd)", 60)
            vm.shell("(/sbin/virtioinputd pci:///00:16.0 &); sleep 1", 60)
            keys(vm, "ken > /dev/ttyS0\n")
            vm.expect("broken\n", 60)


def type_everything(vm):
    tell(vm, "one")
    keys(vm, "tty > /dev/ttyS0; echo $TERM > /dev/ttyS0\n")
    vm.expect(r"xterm-256color\n", 30)
    vm.key("alt", "f2")
    tell(vm, "two")
    keys(vm, "sleep 1000\n")
    time.sleep(1)
    vm.key("ctrl", "c")
    tell(vm, "interrupted")
    vm.key("alt", "f1")
    keys(vm, "stty size > /dev/ttyS0\n")
    vm.expect(r"48 128\n", 30)
    # Key maps: y and z change places, a dead key, AltGr.
    keys(vm, "keymap de\n")
    time.sleep(1)
    keys(vm, "echo zy")
    vm.key("spc")
    vm.key("equal")
    vm.key("e")
    vm.key("spc")
    vm.key("alt_r", "q")
    vm.key("spc")
    vm.key("shift", "dot")  # closes the word: ":"
    keys(vm, "\n")
    time.sleep(0.5)
    vm.shell("keymap us")
    tell(vm, "back")


@scenario("screen/pictures", cpus=(2,))
def pictures(context):
    """The same on the ISO, with the framebuffer that GRUB sets up; pictures in out/logs."""
    logs = os.path.join(context.out, "logs")
    with context.boot(firmware="seabios") as vm:
        vm.prompt(120)
        tell(vm, "here", deadline=60)
        vm.screenshot(os.path.join(logs, "screen-boot.png"))
        keys(vm, "ls --color=always -l /\n")
        tell(vm, "listed")
        vm.screenshot(os.path.join(logs, "screen-ls.png"))
        keys(vm, "vi /etc/motd\n")
        time.sleep(3)
        vm.screenshot(os.path.join(logs, "screen-vi.png"))
        keys(vm, ":q!\n")
        tell(vm, "left")


@scenario("screen/survival", cpus=(1, 4))
def survival(context):
    """kbd, moused, inputd, fbd and outputd are killed while somebody types: each returns, and no letter is lost or doubled."""
    with context.boot() as vm:
        vm.prompt()
        tell(vm, "start")
        for name in ("inputd", "kbd", "fbd", "moused", "outputd", "inputd"):
            keys(vm, f"echo {name}-")
            vm.shell(f"kill -9 $(pidof {name})", 60)
            vm.shell("cat log:///status | grep -q 'ready'", 60)
            time.sleep(2)
            keys(vm, "typed > /dev/ttyS0\n")
            vm.expect(rf"{name}-typed\n", 60)


def pixel(vm, x, y, **which):
    """(width, height, red, green, blue) of what a display shows."""
    with tempfile.NamedTemporaryFile(prefix="protos-", suffix=".ppm") as file:
        vm.qmp("screendump", filename=file.name, **which)
        data = file.read()
    width, height = map(int, re.match(rb"P6\n(\d+) (\d+)\n255\n", data).groups())
    at = len(data) - 3 * (width * height - (y * width + x))
    return width, height, *data[at:at + 3]


@scenario("screen/virtio-gpu", cpus=(1, 4))
def virtio_gpu(context):
    """A display that shows only what it was told of, at its own size; fbd is killed, and it shows the same again."""
    path = os.path.join(context.out, "logs", "screen-virtio-gpu.png")
    with context.boot(devices=["virtio-gpu"], vga="none") as vm:
        vm.prompt()
        tell(vm, "one")
        keys(vm, "stty size > /dev/ttyS0\n")
        vm.expect(r"50 160\n", 30)
        keys(vm, "clear; ls --color=always -l /; echo listed > /dev/ttyS0\n")
        vm.expect("listed\n", 30)
        time.sleep(1)
        vm.screenshot(path)
        for _ in range(3):
            keys(vm, "echo bro")
            vm.shell("kill -9 $(pidof fbd)", 60)
            keys(vm, "ken > /dev/ttyS0\n")
            vm.expect("broken\n", 60)
        time.sleep(1)
        vm.screenshot(path.replace(".png", "-after.png"))


@scenario("screen/two", cpus=(2,))
def two(context):
    """Two framebuffers: the consoles stay on the first, a program draws on the second."""
    path = os.path.join(context.out, "logs", "screen-two.png")
    with context.boot(initfs=os.path.join(context.out, "test-initfs.tar.gz"), devices=["virtio-gpu"]) as vm:
        vm.prompt()
        vm.check("ls fb:///", re.compile(r"^0\s+1\s*$"))
        vm.check("/tests/tools/draw fb:///1", "1280x800\n", 60)
        vm.shell("kill -9 $(pidof fbd); cat fb:///2", 60)
        vm.check("/tests/tools/draw fb:///1", "1280x800\n", 60)
        time.sleep(1)
        vm.qmp("screendump", filename=path, format="png", device="gpu")
        for x, y, *wanted in ((4, 4, 0, 0, 255), (1275, 795, 0, 0, 255), (640, 400, 127, 127, 0)):
            if pixel(vm, x, y, device="gpu") != (1280, 800, *wanted):
                vm.fail(f"{path}: {x}, {y} is {pixel(vm, x, y, device='gpu')}")
        if pixel(vm, 640, 760) != (1024, 768, 0, 0, 0):
            vm.fail("the first display shows something else than a console")
