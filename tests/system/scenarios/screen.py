"""Who sits at the machine: keys pressed on the keyboard, text on the screen. What a console's shell gets is told on the serial
line (`... > /dev/ttyS0`)."""
import os
import re
import socket
import struct
import subprocess
import tempfile
import time

from harness import in_soak, scenario
from machine import SCALE
from scenarios.virtio import click, move, pid_of

SHIFTED = {"!": "1", "@": "2", "#": "3", "$": "4", "%": "5", "^": "6", "&": "7", "*": "8", "(": "9", ")": "0", "_": "minus",
           "+": "equal", ":": "semicolon", '"': "apostrophe", "<": "comma", ">": "dot", "?": "slash", "|": "backslash"}
PLAIN = {" ": "spc", "-": "minus", "=": "equal", ";": "semicolon", "'": "apostrophe", ",": "comma", ".": "dot", "/": "slash",
         "\\": "backslash", "[": "bracket_left", "]": "bracket_right", "\n": "ret"}


def keys(vm, text):
    """Type on the keyboard, as a US one is lettered."""
    for character in text:
        if character in SHIFTED or character.isupper():
            vm.key("shift", SHIFTED.get(character, character.lower()))
        else:
            vm.key(PLAIN.get(character, character))


def without_ps2(vm):
    """Keys go to another keyboard, and could go nowhere else: the PS/2 keyboard's driver is stopped."""
    vm.ps2_keyboard = False
    vm.shell("kill -STOP $(pidof kbd)")


def tell(vm, text, want=None, deadline=30):
    """A console's shell says something on the serial line."""
    keys(vm, f"echo {text} > /dev/ttyS0\n")
    vm.expect(f"{re.escape(text if want is None else want)}\n", deadline)


def console_job(vm):
    """A job in the console's foreground: its shell has given it the terminal when this returns."""
    keys(vm, "sh -c 'echo job > /dev/ttyS0; exec sleep 1000'\n")
    vm.expect(r"^job\n", 30)


def pixel(vm, x, y, **which):
    """(width, height, red, green, blue) of what a display shows."""
    with tempfile.NamedTemporaryFile(prefix="protos-", suffix=".ppm") as file:
        vm.qmp("screendump", filename=file.name, **which)
        data = file.read()
    width, height = map(int, re.match(rb"P6\n(\d+) (\d+)\n255\n", data).groups())
    at = len(data) - 3 * (width * height - (y * width + x))
    return width, height, *data[at:at + 3]


WIDTH, HEIGHT, CELL = 1024, 768, (8, 16)


def point(vm, row, column):
    """The tablet's pen over the middle of a cell."""
    def scaled(cell, size, whole):
        return (cell * size + size // 2) * 32767 // whole + 1

    move(vm, absolute=True, x=scaled(column, CELL[0], WIDTH), y=scaled(row, CELL[1], HEIGHT))


def wait_pixel(vm, row, column, bright):
    """Wait until the left upper corner of a blank cell is ink, or is paper."""
    for _ in range(300):
        red = pixel(vm, column * CELL[0], row * CELL[1])[2]
        if (red > 100) == bright:
            return
        time.sleep(0.1 * SCALE)
    vm.fail(f"the cell {row}, {column} does not become {'bright' if bright else 'dark'}")


def ask(vm, row, question, answer):
    """Answer when the cursor stands behind the question."""
    wait_pixel(vm, row, len(question), True)
    keys(vm, answer + "\n")


def log_in(vm):
    """root on a console that was not used before."""
    ask(vm, 0, "protos login: ", "root")
    wait_pixel(vm, 0, len("protos login: "), False)


@scenario("screen/typing", cpus=(1, 4))
def typing(context):
    """Keys reach the shell of the console that is shown; Alt-F1 to F4 show another; ^C, ^Z, stty, reset."""
    with context.boot() as vm:
        vm.prompt()
        type_everything(vm)


@scenario("screen/typing-virtio", cpus=(4, *in_soak(1)))
def typing_virtio(context):
    """The same on a virtio keyboard, with the PS/2 keyboard's driver stopped."""
    with context.boot(devices=["virtio-keyboard"]) as vm:
        vm.prompt()
        wait_keyboard(vm, 1)
        without_ps2(vm)
        type_everything(vm)
        keys(vm, "echo ")
        vm.key("caps_lock")
        keys(vm, "shouted")
        vm.key("caps_lock")  # its light went on and off by the status queue
        keys(vm, " said > /dev/ttyS0\n")
        vm.expect("SHOUTED said\n", 30)
        vm.shell("kill -CONT $(pidof kbd)")
        vm.screenshot(os.path.join(context.out, "logs", "screen-typing-virtio.png"))
        for life in (2, 3, 4):  # the driver is killed while somebody types; nothing but a driver remembers keys
            keys(vm, "echo bro")
            vm.shell(f"kill -9 {pid_of(vm, 'virtioinputd@00:16.0')}", 60)
            wait_keyboard(vm, life)
            keys(vm, "ken > /dev/ttyS0\n")
            vm.expect("broken\n", 60)


def wait_keyboard(vm, life):
    """Wait until the driver of the virtio keyboard has started for that many times."""
    for _ in range(300):
        if vm.shell("grep -c 'QEMU Virtio Keyboard' log:///", 60)[0] == f"{life}\n":
            return
        vm.shell("sleep 0.1")
    vm.fail(f"the keyboard's driver has not started {life} times")


def type_everything(vm):
    tell(vm, "one")
    keys(vm, "tty > /dev/ttyS0; echo $TERM > /dev/ttyS0\n")
    vm.expect(r"xterm-256color\n", 30)
    vm.key("alt", "f2")
    log_in(vm)
    tell(vm, "two")
    console_job(vm)
    vm.key("ctrl", "c")
    tell(vm, "interrupted")
    console_job(vm)
    vm.key("ctrl", "z")
    keys(vm, "jobs > /dev/ttyS0\n")
    vm.expect(r"Stopped.*sh -c", 30)
    keys(vm, "kill %1\n")
    vm.key("alt", "f1")
    keys(vm, "stty size > /dev/ttyS0\n")
    vm.expect(r"48 128\n", 30)
    keys(vm, "stty -a > /dev/ttyS0\n")
    vm.expect(r"speed 115200 baud; rows 48; columns 128;(.*\n)+.*-parmrk.*(.*\n)+.*icanon", 30)
    keys(vm, "stty raw -echo; reset\n")
    # busybox takes "ESC [ 1 ; 3 R", where the cursor is behind "# " in the first row, for the beginning of a key and eats what is typed
    # next without a pause.
    time.sleep(SCALE)
    keys(vm, "\n")
    time.sleep(SCALE)
    keys(vm, "stty -a > /dev/ttyS0\n")
    vm.expect(r"[^-]icanon.* [^-]?echo ", 30)
    tell(vm, "reset")


@scenario("screen/login", cpus=(1, 4))
def login(context):
    """A name and a password; a wrong one; whom the shell runs for; root, who has none; and the next one after all."""
    crypted = subprocess.run(["busybox", "mkpasswd", "-m", "sha512", "secret", "saltsalt"], text=True, check=True,
                             stdout=subprocess.PIPE).stdout.strip()
    files = {"etc/passwd": b"root:x:0:0:root:/:/bin/sh\nann:x:1000:1000:Ann:/tmp:/bin/sh\n",
             "etc/shadow": f"root::19690:0:99999:7:::\nann:{crypted}:19690:0:99999:7:::\n".encode()}
    who = """echo "$(id -un) $(id -g) $(tty) $(pwd) $HOME" > /dev/ttyS0\n"""
    with context.archive(files, base="initfs.tar.gz") as initfs, context.boot(initfs=initfs.name) as vm:
        vm.prompt()
        vm.key("alt", "f2")
        ask(vm, 0, "protos login: ", "ann")
        ask(vm, 1, "Password: ", "wrong")
        vm.expect("invalid password for 'ann'", 60)
        ask(vm, 3, "protos login: ", "ann")
        ask(vm, 4, "Password: ", "secret")
        wait_pixel(vm, 4, len("Password: "), False)
        keys(vm, who)
        vm.expect(r"ann +1000 +/dev/tty2 +/tmp +/tmp\n", 60)
        picture(vm, context, "ann")
        keys(vm, "kill -9 1; echo killed: $? > /dev/ttyS0\n")
        vm.expect("killed: 1\n", 60)
        keys(vm, "exit\n")
        vm.shell("while ps | grep -q ' ann '; do sleep 0.1; done", 60)
        vm.shell("until [ $(ps | grep -c ' [l]ogin') = 3 ]; do sleep 0.1; done", 60)  # one on each console, again
        vm.key("alt", "f3")
        log_in(vm)
        keys(vm, who)
        vm.expect(r"root +0 +/dev/tty3 +/ +/\n", 60)


def kill_service(vm, name="nulld"):
    """initd says that it ended, and that it is ready again."""
    vm.shell(f"kill -9 $(pidof {name})", 60)
    vm.shell(f"until grep -q '^{name} .*ready' log:///status; do sleep 0.1; done", 60)


def line_comes(vm):
    """A line of the log takes the cursor from behind the prompt."""
    keys(vm, "clear; echo cleared > /dev/ttyS0\n")
    vm.expect("cleared\n", 60)
    wait_pixel(vm, 0, len("# "), True)
    kill_service(vm)
    wait_pixel(vm, 0, len("# "), False)


@scenario("screen/log", cpus=(1, 4))
def log(context):
    """What goes to a console comes to the first as it is said, between what programs write; while vi has the screen it waits. initd, who
    hands it on, may end."""
    with context.boot(append="log=info") as vm:
        vm.prompt()
        tell(vm, "one")
        line_comes(vm)
        vi_started(vm)
        keys(vm, "typ")
        kill_service(vm)
        keys(vm, "ed")
        picture(vm, context, "vi")
        vm.key("esc")
        time.sleep(0.5 * SCALE)  # else it is the beginning of another key's sequence
        keys(vm, ":w! /dev/ttyS0\n")
        vm.expect("typed\n", 60)
        keys(vm, ":q!\n")
        tell(vm, "left")
        picture(vm, context, "left")
        vm.shell("kill -9 1", 60)
        line_comes(vm)


# Keys by the place they have on a US keyboard, and what they mean in each map: every letter of the alphabet that moved, shift,
# AltGr, dead keys before a letter and before a space, and the compose key.
MAPS = {
    "us": ([("z",), ("y",), ("q",), ("shift", "2"), ("minus",), ("compose", "apostrophe", "e")], "zyq@-\u00e9"),
    "de": ([("z",), ("y",), ("shift", "minus"), ("minus",), ("semicolon",), ("apostrophe",), ("alt_r", "q"), ("alt_r", "e"),
            ("grave_accent",), ("a",), ("equal",), ("e",), ("grave_accent",), ("spc",), ("compose", "o", "a")],
           "yz?\u00df\u00f6\u00e4@\u20ac\u00e2\u00e9^\u00e5"),
    "fr": ([("q",), ("w",), ("a",), ("semicolon",), ("2",), ("shift", "2"), ("alt_r", "0"), ("bracket_left",), ("e",),
            ("shift", "bracket_left"), ("i",), ("alt_r", "e")], "azqm\u00e92@\u00ea\u00ef\u20ac"),
}


def press(vm, strokes):
    for stroke in strokes:
        if stroke[0] == "compose":
            for key in stroke:
                vm.key(key)
        else:
            vm.key(*stroke)


@scenario("screen/keymaps", cpus=(4,))
def keymaps(context):
    """us, de and fr: the same keys mean other letters; levels, dead keys, the compose key."""
    with context.boot() as vm:
        vm.prompt()
        for name, (strokes, text) in MAPS.items():
            keys(vm, "cat > /dev/ttyS0\n")
            time.sleep(0.5 * SCALE)
            vm.shell(f"keymap {name}")
            press(vm, strokes)
            vm.shell("keymap us")
            vm.key("ret")
            vm.expect(rf"{re.escape(text)}\n", 30)
            vm.key("ctrl", "d")
            time.sleep(0.5 * SCALE)


def picture(vm, context, name):
    time.sleep(0.5 * SCALE)  # what was typed is drawn
    vm.screenshot(os.path.join(context.out, "logs", f"screen-{context.name.split('/')[-2]}-{name}.png"))


def show(vm, command):
    """A command's output alone on the screen."""
    keys(vm, f"clear; {command}; echo shown > /dev/ttyS0\n")
    vm.expect(r"^shown\n", 60)


def pictures(context, firmware):
    """The ISO, with the framebuffer that GRUB sets up; pictures in out/logs, for people to look at."""
    with context.boot(firmware=firmware) as vm:
        vm.expect(r"screen: 1024x768", 240)
        vm.screenshot(os.path.join(context.out, "logs", f"screen-{context.name.split('/')[-2]}-splash.png"))
        vm.prompt(240)
        tell(vm, "here", deadline=60)
        picture(vm, context, "shell")
        show(vm, "ls --color=always -l / /dev")
        picture(vm, context, "ls")
        keys(vm, "vi /etc/ttys\n")
        time.sleep(1 * SCALE)
        picture(vm, context, "vi")
        keys(vm, ":q!\n")
        show(vm, "cat /usr/share/utf8.txt")
        picture(vm, context, "utf8")
        show(vm, "seq 1 200")
        vm.key("shift", "pgup")
        vm.key("shift", "pgup")
        picture(vm, context, "scrollback")
        keys(vm, "top\n")
        time.sleep(1 * SCALE)
        picture(vm, context, "top")
        keys(vm, "q")
        tell(vm, "left")


@scenario("screen/pictures-seabios", cpus=(2,))
def pictures_seabios(context):
    pictures(context, "seabios")


@scenario("screen/pictures-ovmf", cpus=in_soak(2))
def pictures_ovmf(context):
    pictures(context, "ovmf")


@scenario("screen/16-bits", cpus=(2,))
def sixteen_bits(context):
    """A framebuffer of 16 bits a pixel, as GRUB sets it up where it is told to: colours are theirs, as far as five bits go."""
    path = os.path.join(context.out, "logs", "screen-16-bits.png")
    with tempfile.TemporaryDirectory(prefix="protos-") as folder:
        iso = os.path.join(folder, "protos.iso")
        subprocess.run(["tools/iso.py", os.path.join(context.out, "protos.elf"), context.initfs(), iso, "1024x768x16"],
                       check=True)
        with context.boot(firmware="seabios", iso=iso) as vm:
            vm.expect(r"screen: 1024x768, 16 bits", 240)
            vm.prompt(240)
            tell(vm, "here", deadline=60)
            keys(vm, "clear; for i in '255;0' '0;128' '0;0'; do printf \"\\033[48;2;$i;248m    \"; done; echo; "
                 "ls --color=always -l /; echo shown > /dev/ttyS0\n")
            vm.expect("shown\n", 60)
            time.sleep(0.5 * SCALE)
            vm.screenshot(path)
            for column, wanted in ((1, (255, 0, 248)), (5, (0, 128, 248)), (9, (0, 0, 248))):
                got = pixel(vm, column * CELL[0], 4)[2:]
                if any(abs(one - other) > 8 for one, other in zip(got, wanted)):
                    vm.fail(f"{path}: column {column} is {got}, not {wanted}")


def vi_started(vm):
    keys(vm, "vi\n")
    time.sleep(1 * SCALE)
    keys(vm, "i")


@scenario("screen/survival", cpus=(1, 4))
def survival(context):
    """Whoever stands between the keyboard and vi is killed while somebody types: each returns, and the text is what was typed."""
    victims = ("inputd", "kbd", "fbd", "moused", "outputd", "pcid", "timed", "inputd")
    with context.boot() as vm:
        vm.prompt()
        tell(vm, "start")
        vi_started(vm)
        for name in victims:
            keys(vm, f"{name}-")
            vm.shell(f"kill -9 $(pidof {name})", 60)
            vm.shell(f"until grep -q '^{name} .*ready' log:///status; do sleep 0.1; done", 60)
            keys(vm, "typed\n")
        vm.key("esc")
        time.sleep(0.5 * SCALE)  # else it is the beginning of another key's sequence
        keys(vm, ":w! /dev/ttyS0\n")
        vm.expect("".join(f"{name}-typed\n" for name in victims), 60)
        keys(vm, ":q!\n")
        tell(vm, "left")


@scenario("screen/mouse", cpus=(1, 4))
def mouse(context):
    """What the PS/2 mouse does arrives whole and in order while programs take all there is of the CPUs."""
    with context.boot(initfs=os.path.join(context.out, "test-initfs.tar.gz")) as vm:
        vm.prompt()
        vm.shell("for i in 1 2 3 4 5 6 7 8; do yes > /dev/null & done", 60)
        vm.send("/tests/tools/input_events 121\n")
        vm.expect("^listening\n", 60)
        buttons = ("left", 272), ("right", 273), ("middle", 274), ("side", 275), ("extra", 276)
        for turn in range(30):  # four packets at once: QEMU keeps no more of them
            button, code = buttons[turn % len(buttons)]
            move(vm, x=turn + 1, y=-turn - 1)
            click(vm, button)
            move(vm, x=-turn - 1)
            vm.expect(rf"^rel 0 {turn + 1}; rel 1 -{turn + 1}\nkey {code} 1\nkey {code} 0\nrel 0 -{turn + 1}\n", 60)
        click(vm, "wheel-up")
        vm.expect("^rel 8 1\n", 60)


@scenario("screen/vi-hung-up", cpus=(4,))
def hung_up(context):
    """A shell that ends takes its console's foreground with it, and the next one has the terminal for itself."""
    with context.boot() as vm:
        vm.prompt()
        tell(vm, "first")
        keys(vm, "sh -c 'trap \"echo hup > /dev/ttyS0; exit\" HUP; kill -9 $PPID; while :; do sleep 1; done'\n")
        vm.expect(r"^hup\n", 60)
        tell(vm, "second", deadline=60)


def button(vm, name, down):
    vm.qmp("input-send-event", events=[{"type": "btn", "data": {"down": down, "button": name}}])


@scenario("screen/pointer", cpus=(1, 4))
def pointer(context):
    """The mouse is shown until somebody types; it selects and pastes, looks back, and programs that ask are told of it."""
    path = os.path.join(context.out, "logs", "screen-pointer.png")
    with context.boot(devices=["virtio-tablet"]) as vm:
        vm.prompt()
        tell(vm, "one")
        for _ in range(300):
            if vm.shell("grep -c 'QEMU Virtio Tablet' log:///", 60)[0] == "1\n":
                break
            vm.shell("sleep 0.1")
        keys(vm, "clear; echo 'echo words > /dev/ttyS0'; echo shown > /dev/ttyS0\n")
        vm.expect("shown\n", 60)
        point(vm, 30, 60)
        wait_pixel(vm, 30, 60, True)
        move(vm, x=8 * CELL[0], y=-4 * CELL[1])  # the PS/2 mouse, from there
        wait_pixel(vm, 26, 68, True)
        wait_pixel(vm, 30, 60, False)
        vm.key("spc")
        wait_pixel(vm, 26, 68, False)
        point(vm, 0, 0)
        button(vm, "left", True)
        point(vm, 0, len("echo words > /dev/ttyS0") - 1)
        wait_pixel(vm, 0, len("echo"), True)  # the blank between the words
        vm.screenshot(path)
        button(vm, "left", False)
        click(vm, "middle")
        vm.key("ret")
        vm.expect("words\n", 60)
        show(vm, "seq 1 200")
        click(vm, "wheel-up")
        time.sleep(0.5 * SCALE)
        vm.screenshot(path.replace(".png", "-wheel.png"))
        keys(vm, "printf '\\033[?1000;1006h'; cat -v > /dev/ttyS0\n")
        time.sleep(1 * SCALE)
        point(vm, 3, 5)
        click(vm, "left")
        time.sleep(1 * SCALE)
        vm.key("ret")
        vm.expect(re.escape("^[[<0;6;4M^[[<0;6;4m\n"), 60)
        vm.key("ctrl", "c")
        keys(vm, "reset\n")
        time.sleep(SCALE)
        keys(vm, "\n")
        tell(vm, "left")


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


def receive(connection, count):
    data = b""
    while len(data) < count:
        piece = connection.recv(count - len(data))
        if not piece:
            raise ConnectionError("the display has closed the connection")
        data += piece
    return data


def plug_in(path, width, height):
    """A display of that size, by way of QEMU's VNC server: RFB 3.8 (RFC 6143) and SetDesktopSize. It is there as long as its socket."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(20 * SCALE)
    connection.connect(path)
    connection.sendall(receive(connection, 12))  # the version that the server speaks
    receive(connection, receive(connection, 1)[0])
    connection.sendall(b"\x01")  # no authentication
    receive(connection, 4)
    connection.sendall(b"\x01")  # shared
    receive(connection, struct.unpack(">20xI", receive(connection, 24))[0])
    connection.sendall(struct.pack(">BxHii", 2, 2, 0, -308))  # encodings: raw, ExtendedDesktopSize
    connection.sendall(struct.pack(">BxHHBx", 251, width, height, 1) + struct.pack(">IHHHHI", 0, 0, 0, width, height, 0))
    return connection


@scenario("screen/outputs", cpus=(2,))
def outputs(context):
    """Both outputs of one virtio-gpu: the consoles are on the first, a program draws on the second, and fbd is killed between."""
    with tempfile.TemporaryDirectory(prefix="protos-") as folder:
        display = os.path.join(folder, "vnc")
        with context.boot(initfs=os.path.join(context.out, "test-initfs.tar.gz"), devices=["virtio-gpu-2"], vga="none",
                          display=f"vnc=unix:{display},display=gpu,head=1", extra=["-S"]) as vm:
            wait_file(vm, display)
            with plug_in(display, 800, 608):
                time.sleep(1)  # QEMU tells its device before the machine looks
                vm.qmp("cont")
                vm.prompt()
                vm.check("ls fb:///", re.compile(r"^0\s+1\s*$"))
                vm.check("/tests/tools/draw fb:///1", "800x608\n", 60)
                vm.shell("kill -9 $(pidof fbd); cat fb:///2", 60)
                vm.check("/tests/tools/draw fb:///1", "800x608\n", 60)
                time.sleep(1)
                vm.qmp("screendump", filename=os.path.join(context.out, "logs", "screen-outputs.png"), format="png", device="gpu",
                       head=1)
                for x, y, *wanted in ((4, 4, 0, 0, 255), (795, 603, 0, 0, 255), (400, 304, 127, 127, 0)):
                    got = pixel(vm, x, y, device="gpu", head=1)
                    if got != (800, 608, *wanted):
                        vm.fail(f"the second output: {x}, {y} is {got}")
                if pixel(vm, 640, 790, device="gpu", head=0) != (1280, 800, 0, 0, 0):
                    vm.fail("the first output shows something else than a console")


def wait_file(vm, path):
    for _ in range(100):
        if os.path.exists(path):
            return
        time.sleep(0.1 * SCALE)
    vm.fail(f"QEMU does not make {path}")
