"""usb.serial: a terminal on an adapter, whose other end is QEMU's character device. It is plugged in as long as that has a client."""
import contextlib
import os
import re
import socket
import tempfile
import threading
import time

from harness import scenario
from machine import SCALE
from scenarios.usb import boot, wait_devices

PLACE = "1-5"  # QEMU's first port of USB 2
DRIVER = f"usb.serial@{PLACE}:0"


class Line:
    """The other end of the cable."""

    def __init__(self, vm, path):
        self.vm, self.text, self.changed = vm, b"", threading.Condition()
        self.position = 0
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while True:
            try:
                piece = self.socket.recv(65536)
            except OSError:
                piece = b""
            with self.changed:
                self.text += piece
                self.changed.notify_all()
            if not piece:
                return

    def send(self, text):
        self.socket.sendall(text.encode() if isinstance(text, str) else text)

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

    def pull(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


@contextlib.contextmanager
def adapter(context, *devices, **options):
    """A machine with an adapter, plugged in, and its line."""
    with tempfile.TemporaryDirectory(prefix="protos-") as folder:  # others run beside this one
        path = os.path.join(folder, "line")
        extra = ["-chardev", f"socket,id=line,path={path},server=on,wait=off",
                 "-device", "usb-serial,id=usb-serial,bus=xhci.0,port=1,chardev=line"]
        with boot(context, "xhci", *devices, extra=extra, **options) as vm:
            vm.prompt()
            line = Line(vm, path)
            wait_terminal(vm)
            yield vm, line, path


def wait_terminal(vm, there=True):
    state = "test -c tty:///usb0" if there else "! test -c tty:///usb0"
    vm.check(f"until {state}; do sleep 0.1; done", "", 90)


def shell_on(vm, line):
    """A shell with job control on the line, beside the one that the test types to."""
    vm.shell("setsid -c env PS1='usb> ' sh < /dev/ttyUSB0 > /dev/ttyUSB0 2>&1 &", 60)
    line.expect(rb"usb> ")


@scenario("usb/serial", cpus=(1, 4))
def serial(context):
    """Text both ways, sessions and job control, modes, breaks; pulled out and plugged in."""
    with adapter(context) as (vm, line, path):
        wait_devices(vm, PLACE)
        vm.check("stty -F /dev/ttyUSB0 raw -echo 9600 && stty -F /dev/ttyUSB0", re.compile("^speed 9600 baud"), 60)
        data = bytes(range(256)) * 64  # both ways, more than any queue holds
        vm.send(f"head -c {len(data)} /dev/ttyUSB0 | tee /tmp/got | md5sum; cat /tmp/got > /dev/ttyUSB0; echo do''ne\n")
        line.send(data)
        line.expect(re.escape(data), 120)
        vm.expect("^done\n", 60)
        # A speed that the chip has not got, and a size: what it had stays.
        vm.check("stty -F /dev/ttyUSB0 50 2> null:///; sleep 0.5; stty -F /dev/ttyUSB0", re.compile("^speed 9600 baud"), 60)
        vm.check("stty -F /dev/ttyUSB0 19200 cs7 parenb crtscts; sleep 0.5; stty -a -F /dev/ttyUSB0",
                 re.compile("^speed 19200 baud(.*\n)*.*parenb -parodd .*cs7 .*crtscts"), 60)
        vm.check("stty -F /dev/ttyUSB0 sane 115200 cs8 -parenb -crtscts", "", 60)
        shell_on(vm, line)
        line.send("tty; echo $((6*7))\r")
        line.expect(rb"^/tty:/usb0\r\n42\r\nusb> ")
        line.send("sh -c 'echo re\"\"ady; exec sleep 1000'\r")
        line.expect(rb"ready\r\n")
        line.send("\x03")
        line.expect(rb"usb> ")
        line.send("stty brkint -ignbrk; sh -c 'echo re\"\"ady; exec sleep 1000'\r")
        line.expect(rb"ready\r\n")
        vm.qmp("chardev-send-break", id="line")
        line.send(" ")  # QEMU's device tells of a break when there is something else to be told
        line.expect(rb"usb> ")
        # Pulled out: the session ends, and who reads is told.
        line.send("sh -c 'trap \"echo hung up > /dev/ttyS0; exit\" HUP; echo re\"\"ady; while :; do sleep 1; done'\r")
        line.expect(rb"ready\r\n")
        line.pull()
        vm.expect("hung up\n", 60)
        wait_terminal(vm, False)
        vm.check("cat /dev/ttyUSB0; true", re.compile("No such file"), 60)
        # In again: the same name, a new terminal.
        line = Line(vm, path)
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


@scenario("usb/serial-survival", cpus=(1, 4))
def serial_survival(context):
    """The driver, usbd, and outputd are killed while a line is typed: it goes on, and the session lives."""
    with adapter(context) as (vm, line, _):
        shell_on(vm, line)
        process = wait_driver(vm, None)
        for count, victims in enumerate(((DRIVER,), ("usbd",), ("outputd",), (DRIVER, "outputd"))):
            line.type(f"echo round {count}, sh")
            vm.shell("; ".join(f"kill -9 $(pidof {victim})" for victim in victims), 90)
            if victims != ("outputd",):
                process = wait_driver(vm, process)
            line.type("ell $$ says")
            line.send("\r")
            said = line.expect(rb"\r\nround %d, shell (\d+) says\r\nusb> " % count)[1]
            if count and said != shell:
                vm.fail(f"shell {shell}, then {said}")
            shell = said
