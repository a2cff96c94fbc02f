"""usb.serial: a terminal on an adapter, whose other end is QEMU's character device (it is plugged in as long as that has a client), or Python."""
import contextlib
import os
import random
import re
import socket
import struct
import tempfile
import threading
import time

from harness import in_soak, scenario
from machine import SCALE
from redirected import Redirected, Sensor
from redirected_serial import STATE_BREAK, STATE_CARRIER, STATE_DSR, Acm, Ftdi, RefusingAcm
from scenarios.devices import wait_log
from scenarios.usb import boot, wait_devices

PLACE = "1-5"  # QEMU's first port of USB 2
DRIVER = f"usb.serial@{PLACE}:0"


class Line:
    """The other end of a cable. heard() is told what comes out of it; send() is by whoever has it."""

    def __init__(self, vm):
        self.vm, self.text, self.changed = vm, b"", threading.Condition()
        self.position = 0

    def heard(self, piece):
        with self.changed:
            self.text += piece
            self.changed.notify_all()

    def expect(self, pattern, deadline=60):
        """Bytes on the line that fit, behind those that did before."""
        until = time.monotonic() + deadline * SCALE
        with self.changed:
            while True:
                match = re.compile(pattern, re.M).search(self.text, self.position)
                if match:
                    self.position = match.end()
                    return match
                left = until - time.monotonic()
                if left <= 0:
                    self.vm.fail(f"{pattern!r} did not come on the USB line, but {self.text[self.position:][-400:]!r}")
                self.changed.wait(left)

    def type(self, text):
        """The echo of each character is seen before the next."""
        for character in text:
            self.send(character)
            self.expect(re.escape(character.encode()))


class Cable(Line):
    """Of QEMU's adapter."""

    def __init__(self, vm, path):
        super().__init__(vm)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        piece = True
        while piece:
            try:
                piece = self.socket.recv(65536)
            except OSError:
                piece = b""
            self.heard(piece)

    def send(self, text):
        self.socket.sendall(text.encode() if isinstance(text, str) else text)

    def pull(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


class Wire(Line):
    """Of an adapter made of Python."""

    def __init__(self, vm, port):
        super().__init__(vm)
        self.port, port.heard = port, self.heard

    def send(self, text):
        self.port.type(text.encode() if isinstance(text, str) else text)


@contextlib.contextmanager
def adapter(context, *devices, **options):
    """A machine with an adapter, plugged in, and its line."""
    with tempfile.TemporaryDirectory(prefix="protos-") as folder:  # others run beside this one
        path = os.path.join(folder, "line")
        extra = ["-chardev", f"socket,id=line,path={path},server=on,wait=off",
                 "-device", "usb-serial,id=usb-serial,bus=xhci.0,port=1,chardev=line"]
        with boot(context, "xhci", *devices, extra=extra, **options) as vm:
            vm.prompt()
            line = Cable(vm, path)
            wait_terminal(vm)
            yield vm, line, path


def wait_terminal(vm, there=True, number=0):
    state = f"test -c tty:///usb{number}" if there else f"! test -c tty:///usb{number}"
    vm.check(f"until {state}; do sleep 0.1; done", "", 90)


def shell_on(vm, line, number=0):
    """A shell with job control on the line, beside the one that the test types to."""
    vm.shell(f"setsid -c env PS1='usb> ' sh < /dev/ttyUSB{number} > /dev/ttyUSB{number} 2>&1 &", 60)
    line.expect(rb"usb> ")


DATA = bytes(range(256)) * 64  # more than any queue holds


def check_data(vm, line):
    """Bytes of all values, both ways."""
    vm.check("stty -F /dev/ttyUSB0 raw -echo 9600 && stty -F /dev/ttyUSB0", re.compile("^speed 9600 baud"), 60)
    vm.send(f"head -c {len(DATA)} /dev/ttyUSB0 | tee /tmp/got | md5sum; cat /tmp/got > /dev/ttyUSB0; echo do''ne\n")
    line.send(DATA)
    line.expect(re.escape(DATA), 120)
    vm.expect("^done\n", 60)


def check_interrupted(line, cause):
    """What is in the foreground of a shell is."""
    line.send("sh -c 'echo re\"\"ady; exec sleep 1000'\r")
    line.expect(rb"ready\r\n")
    cause()
    line.expect(rb"usb> ")


def check_break(line, break_line):
    line.send("stty brkint -ignbrk\r")
    line.expect(rb"usb> ")
    check_interrupted(line, break_line)


def check_session(vm, line, break_line):
    """A session with job control, ended by nothing here."""
    shell_on(vm, line)
    line.send("tty; echo $((6*7))\r")
    line.expect(rb"^/tty:/usb0\r\n42\r\nusb> ")
    check_interrupted(line, lambda: line.send("\x03"))
    check_break(line, break_line)


def wait_hang_up(vm, line, cause):
    """The session ends, and who uses the terminal is told."""
    line.send("sh -c 'trap \"echo hung up > /dev/ttyS0; exit\" HUP; echo re\"\"ady; while :; do sleep 1; done'\r")
    line.expect(rb"ready\r\n")
    cause()
    vm.expect("hung up\n", 60)


@scenario("usb/serial", cpus=(1, 4))
def serial(context):
    """Text both ways, sessions and job control, modes, breaks; pulled out and plugged in."""
    with adapter(context) as (vm, line, path):
        wait_devices(vm, PLACE)
        check_data(vm, line)
        # A speed that the chip has not got, and a size: what it had stays.
        vm.check("stty -F /dev/ttyUSB0 50 2> null:///; sleep 0.5; stty -F /dev/ttyUSB0", re.compile("^speed 9600 baud"), 60)
        vm.check("stty -F /dev/ttyUSB0 19200 cs7 parenb crtscts; sleep 0.5; stty -a -F /dev/ttyUSB0",
                 re.compile("^speed 19200 baud(.*\n)*.*parenb -parodd .*cs7 .*crtscts"), 60)
        vm.check("stty -F /dev/ttyUSB0 sane 115200 cs8 -parenb -crtscts", "", 60)

        def break_line():
            vm.qmp("chardev-send-break", id="line")
            line.send(" ")  # QEMU's device tells of a break when there is something else to be told

        check_session(vm, line, break_line)
        wait_hang_up(vm, line, line.pull)
        wait_terminal(vm, False)
        vm.check("cat /dev/ttyUSB0; true", re.compile("No such file"), 60)
        # In again: the same name, a new terminal.
        line = Cable(vm, path)
        wait_terminal(vm)
        shell_on(vm, line)
        line.type("echo once mo")
        line.send("re\r")
        line.expect(rb"\r\nonce more\r\n")
        vm.qmp("device_del", id="usb-serial")
        wait_terminal(vm, False)


def wait_driver(vm, before):
    """Another process than `before` has the device."""
    for _ in range(300):
        process = re.search(r"driver: process (\d+)", vm.shell(f"cat usb:///{PLACE}/info", 60)[0])
        if process and process[1] != before:
            return process[1]
        vm.shell("sleep 0.1")
    vm.fail(f"no driver but {before} came")


def check_survival(vm, line, *rounds):
    """Those of a round are killed while a line is typed to a shell: it goes on, and the session lives."""
    process = wait_driver(vm, None)
    shells = set()
    for count, victims in enumerate(rounds):
        line.type(f"echo round {count}, sh")
        vm.shell("; ".join(f"kill -9 $(pidof {victim})" for victim in victims), 90)
        if victims != ("outputd",):
            process = wait_driver(vm, process)
        line.type("ell $$ says")
        line.send("\r")
        shells.add(line.expect(rb"\r\nround %d, shell (\d+) says\r\nusb> " % count)[1])
    if len(shells) != 1:
        vm.fail(f"not one shell, but {shells}")


@scenario("usb/serial-survival", cpus=(1, 4))
def serial_survival(context):
    with adapter(context) as (vm, line, _):
        shell_on(vm, line)
        check_survival(vm, line, (DRIVER,), ("usbd",), ("outputd",), (DRIVER, "outputd"))


# --- made of Python ---

@contextlib.contextmanager
def redirected(context, *devices, **options):
    """A machine with these devices, one on each port."""
    with contextlib.ExitStack() as stack:
        all_ = [stack.enter_context(Redirected(device)) for device in devices]
        extra = [flag for number, one in enumerate(all_) for flag in one.flags(number + 1)]
        vm = stack.enter_context(boot(context, "xhci", extra=extra, **options))
        vm.prompt()
        yield (vm, *all_)


def until(vm, what, look):
    """What the device was told is seen there soon."""
    end = time.monotonic() + 60 * SCALE
    while not look():
        if time.monotonic() > end:
            vm.fail(f"the device was not told: {what}")
        time.sleep(0.05)


@scenario("usb/acm", cpus=(1, 4))
def acm(context):
    """The class: what usb/serial does, and that the device is told what it is to be told; a carrier that falls; who is killed."""
    device = Acm()
    with redirected(context, device) as (vm, plugged):
        line = Wire(vm, device.port)
        wait_terminal(vm)
        until(vm, "DTR, RTS", lambda: device.lines == [3])
        check_data(vm, line)
        until(vm, "9600 8N1", lambda: device.coding == (9600, 0, 0, 8))
        vm.check("stty -F /dev/ttyUSB0 19200 cs7 parenb parodd cstopb", "", 60)
        until(vm, "19200 7O2", lambda: device.coding == (19200, 2, 1, 7))
        vm.check("stty -F /dev/ttyUSB0 crtscts; sleep 0.5; stty -a -F /dev/ttyUSB0", re.compile("-crtscts"), 60)  # not in the class
        vm.shell("stty -F /dev/ttyUSB0 0", 60)  # which busybox says it cannot do: glibc marks such a speed in the flags
        until(vm, "B0", lambda: device.lines == [3, 0])
        vm.check("stty -F /dev/ttyUSB0 sane 115200 cs8 -parenb -cstopb", "", 60)
        until(vm, "115200 8N1, DTR, RTS", lambda: (device.coding, device.lines) == ((115200, 0, 0, 8), [3, 0, 3]))
        check_session(vm, line, lambda: device.state(STATE_BREAK))
        check_survival(vm, line, (DRIVER,), ("usbd",), (DRIVER, "usbd"))
        line.send("stty -clocal\r")
        line.expect(rb"usb> ")
        device.state(STATE_CARRIER | STATE_DSR)
        wait_hang_up(vm, line, lambda: device.state(STATE_DSR))
        shell_on(vm, line)
        wait_hang_up(vm, line, plugged.pull)
        wait_terminal(vm, False)
        plugged.plug()
        wait_terminal(vm)
        shell_on(vm, line)
        line.type("echo once mo")
        line.send("re\r")
        line.expect(rb"\r\nonce more\r\n")


def terminals_of(vm, *lines):
    """Which terminal each of them is: their drivers begin at the same time."""
    numbers = range(len(lines))
    for number in numbers:
        wait_terminal(vm, number=number)
        vm.check(f"stty -F /dev/ttyUSB{number} raw -echo; echo 'number {number}.' > /dev/ttyUSB{number}", "", 60)
    return [int(line.expect(rb"number (\d)\.")[1]) for line in lines]


@scenario("usb/acm-misbehaving", cpus=(4, *in_soak(1)))
def acm_misbehaving(context):
    """Notifications of any kind and length, and stalls of all endpoints; a line coding that is not answered, and then refused; no notifications at last:
    text goes on, and so do the lines."""
    chance = random.Random(3)
    noisy, refusing = Acm(notifications=16), RefusingAcm()
    with redirected(context, noisy, refusing) as (vm, *_):
        lines = [Wire(vm, device.port) for device in (noisy, refusing)]
        terminals = terminals_of(vm, *lines)
        wait_log(vm, "usb:///1-6:0: the deadline passed")
        wait_log(vm, "usb:///1-6:0: does not take these settings ([0-9]* bauds)")
        until(vm, "DTR, RTS", lambda: refusing.lines and refusing.lines[-1] == 3)
        for _ in range(40):
            time.sleep(0.05)  # QEMU drops what is behind a failure
            noisy.say(0x82, chance.choice((b"", None, b"\xa1\x20", struct.pack("<BBHHH", 0xa1, 0x20, 0, 0, 0xffff), b"\xa1\x20".ljust(64, b"\2"),
                                           chance.randbytes(chance.randrange(1, 64)))))
        refusing.stalls += [0x82] * 20
        refusing.say(0x82, None)
        wait_log(vm, "usb:///1-6:0: tells nothing of lines any more")
        noisy.stalls += [0x81] * 3 + [0x01] * 3
        for line, terminal in zip(lines, terminals):
            vm.send(f"head -c 3000 /dev/ttyUSB{terminal} > /tmp/got; cat /tmp/got > /dev/ttyUSB{terminal}; echo do''ne\n")
            line.send(DATA[:3000])
            line.expect(re.escape(DATA[:3000]), 60)
            vm.expect("^done\n", 60)
        if noisy.stalls:
            vm.fail(f"not asked for: {noisy.stalls}")
        vm.shell(f"stty -F /dev/ttyUSB{terminals[0]} sane", 60)
        shell_on(vm, lines[0], terminals[0])
        check_break(lines[0], lambda: noisy.state(STATE_BREAK))


@scenario("usb/ftdi-two-lines", cpus=(1, 4))
def ftdi_two_lines(context):
    """A chip with two lines is two terminals, and what one is told the other does not hear."""
    chip = Ftdi(2)
    with redirected(context, chip) as (vm, plugged):
        lines = [Wire(vm, port) for port in chip.lines]
        terminals = terminals_of(vm, *lines)
        first, second = (f"/dev/ttyUSB{terminal}" for terminal in terminals)
        vm.check(f"stty -F {first} 9600; stty -F {second} 3000000 cs7 parenb crtscts", "", 60)
        until(vm, "9600 8N1, and 3000000 7E1 with RTS/CTS", lambda: [(port.bauds, port.format, port.flow, port.lines) for port in chip.lines] ==
              [(9600, 8, 0, 3), (3000000, 0x207, 1, 3)])
        vm.shell(f"stty -F {first} 600; stty -F {second} 0", 60)
        until(vm, "600, and B0", lambda: [(port.bauds, port.lines) for port in chip.lines] == [(600, 3), (3000000, 0)])
        vm.check(f"stty -F {second} 115200 cs8 -parenb -crtscts", "", 60)
        vm.send("for i in 0 1; do (head -c 16384 /dev/ttyUSB$i > /tmp/got$i; cat /tmp/got$i > /dev/ttyUSB$i) & done; wait; echo do''ne\n")
        data = [DATA, DATA[::-1]]
        for piece in range(0, len(DATA), 1000):
            for line, each in zip(lines, data):
                line.send(each[piece:piece + 1000])
        for line, each in zip(lines, data):
            line.expect(re.escape(each), 120)
        vm.expect("^done\n", 60)
        # The driver of one is killed: the other one's goes on, whatever the one before had sent.
        other = vm.shell(f"pidof usb.serial@{PLACE}:1", 60)[0]
        vm.shell(f"kill -9 $(pidof usb.serial@{PLACE}:0)", 60)
        vm.check(f"echo more > {first}; echo more > {second}", "", 60)
        for line in lines:
            line.expect(rb"more\n")
        vm.check(f"pidof usb.serial@{PLACE}:1", other, 60)
        if chip.astray:
            vm.fail(f"requests for no line: {chip.astray}")
        plugged.pull()
        for number in terminals:
            wait_terminal(vm, False, number)


@scenario("usb/at-rest", cpus=(1, 4))
def at_rest(context):
    """Devices that are none for their drivers are named in the log, and left alone until they go; their drivers hear of that."""
    nowhere = bytes([5, 0x24, 6, Acm.CONTROL, 7])
    with redirected(context, Sensor(), Acm(union=nowhere), Acm(data=()), Sensor(b"\5")) as (vm, *plugged):
        def named(times):
            for place, text in (("1-5", "nothing for input://"), ("1-6", "no adapter for us"), ("1-7", "no adapter for us"), ("1-8", "nothing for input://")):
                vm.check(f"until [ $(cat log:/// | grep -c 'usb:///{place}:0: {text}') = {times} ]; do sleep 0.1; done", "", 60)

        named(1)
        vm.check("grep 1-5 usb:///tree", re.compile(r" 1-5 46f4:7001 1.5 Mbit/s "), 60)
        for one in plugged:
            one.pull()
        wait_devices(vm)
        vm.check("while grep '^usb[.][a-z]*@' log:///status; do sleep 0.1; done", re.compile(""), 60)
        for one in plugged:
            one.plug()
        named(2)
        vm.shell("kill -9 $(pidof usbd)", 60)
        named(3)
        vm.check("cat log:/// | grep -c 'not ended after'; true", "0\n", 60)
