"""USB devices made of Python, plugged into QEMU by its usb-redir (usbredir protocol 0.7): for what QEMU has no device, and for devices that misbehave.

    with Redirected(DeviceOfBothTransports(data)) as device:
        context.boot(devices=["xhci"], extra=device.flags(port=2))

A device has `descriptors` ((type, index) -> bytes), `speed`, `settings` (interface's alternate -> (class, subclass, protocol, addresses of its bulk
endpoints)), and answers to control(), out(), wanted() and reset(); it sends by device.give(address, bytes). It is pulled out by leave() and
back by come().
"""
import os
import random
import socket
import struct
import tempfile
import threading

HELLO, CONNECT, DISCONNECT, RESET, INTERFACES, ENDPOINTS = 0, 1, 2, 3, 4, 5
SET_CONFIGURATION, GET_CONFIGURATION, CONFIGURATION_STATUS, SET_ALTERNATE, GET_ALTERNATE, ALTERNATE_STATUS = 6, 7, 8, 9, 10, 11
CANCEL, CONTROL, BULK = 21, 100, 101
CAPABILITIES = 1 << 4 | 1 << 5 | 1 << 6  # packet sizes of endpoints, ids of 64 bits, bulk transfers of more than 64 KiB
OK, CANCELLED, STALL = 0, 1, 4


class Redirected:
    def __init__(self, device):
        self.device, self.alternate = device, 0
        self.lock = threading.Lock()  # of all that is said and known
        self.there = False
        self.wanted = {}  # endpoint -> [(id, length, stream)]
        self.folder = tempfile.TemporaryDirectory(prefix="protos-usb-")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(os.path.join(self.folder.name, "socket"))
        self.listener.listen(1)
        self.peer = None
        device.give = self.give
        self.thread = threading.Thread(target=self.serve, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.listener.close()
        self.folder.cleanup()

    def flags(self, port):
        return ["-chardev", f"socket,id=redirected,path={self.listener.getsockname()}",
                "-device", f"usb-redir,id=redirected-device,chardev=redirected,bus=xhci.0,port={port}"]

    def come(self):
        with self.lock:
            self.there, self.alternate, self.wanted = True, 0, {}
            self.device.reset()
            self.say_settings()
            self.send(CONNECT, 0, struct.pack("<BBBBHH", self.device.speed, 0, 0, 0, 0x46f4, 0x7000))

    def leave(self):
        """As it is: nothing that is under way is answered."""
        with self.lock:
            self.there = False
            self.send(DISCONNECT, 0, b"")

    # --- packets ---

    def send(self, kind, number, body):
        self.peer.sendall(struct.pack("<IIQ", kind, len(body), number) + body)

    def receive(self, length):
        data = b""
        while len(data) < length:
            more = self.peer.recv(length - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def say_settings(self):
        code, subclass, protocol, addresses = self.device.settings[self.alternate]
        self.send(INTERFACES, 0, struct.pack("<I", 1) + b"".join(bytes([value]).ljust(32, b"\0") for value in (0, code, subclass, protocol)))
        kinds, sizes = [0xff] * 32, [0] * 32
        for address in [0, 0x80] + addresses:
            index = (address & 0x80) >> 3 | (address & 15)
            kinds[index], sizes[index] = (2, 512) if address & 15 else (0, 64)
        self.send(ENDPOINTS, 0, bytes(kinds) + bytes(64) + struct.pack("<32H", *sizes))

    def serve(self):
        try:
            self.peer, _ = self.listener.accept()
            hello = b"protos".ljust(64, b"\0") + struct.pack("<I", CAPABILITIES)
            self.peer.sendall(struct.pack("<III", HELLO, len(hello), 0) + hello)  # whose id has 32 bits
            self.receive(struct.unpack("<III", self.receive(12))[1])
            self.come()
            while True:
                kind, length, number = struct.unpack("<IIQ", self.receive(16))
                body = self.receive(length)
                with self.lock:
                    if self.there:
                        self.take(kind, number, body)
        except (EOFError, OSError):
            pass

    def take(self, kind, number, body):
        if kind == RESET:
            self.alternate, self.wanted = 0, {}
            self.device.reset()
        elif kind in (SET_CONFIGURATION, GET_CONFIGURATION):
            self.say_settings()
            self.send(CONFIGURATION_STATUS, number, bytes([OK, 1]))
        elif kind in (SET_ALTERNATE, GET_ALTERNATE):
            self.alternate = body[1] if kind == SET_ALTERNATE else self.alternate
            self.say_settings()
            self.send(ALTERNATE_STATUS, number, bytes([OK, body[0], self.alternate]))
        elif kind == CANCEL:
            self.cancel(number)
        elif kind == CONTROL:
            self.control(number, body)
        elif kind == BULK:
            self.bulk(number, body)

    def control(self, number, body):
        endpoint, request, what, _, value, index, length = struct.unpack("<BBBBHHH", body[:10])
        answer = self.device.control(what, request, value, index)
        status, answer = (STALL, b"") if answer is None else (OK, answer[:length])
        sent = len(answer) if what & 0x80 else len(body) - 10
        self.send(CONTROL, number, struct.pack("<BBBBHHH", endpoint, request, what, status, value, index, sent) + answer)

    def bulk_say(self, number, endpoint, status, length, stream, data=b""):
        self.send(BULK, number, struct.pack("<BBHIH", endpoint, status, length & 0xffff, stream, length >> 16) + data)

    def bulk(self, number, body):
        endpoint, _, low, stream, high = struct.unpack("<BBHIH", body[:10])
        if endpoint & 0x80:
            self.wanted.setdefault(endpoint, []).append((number, high << 16 | low, stream))
            self.device.wanted(endpoint)
        else:
            self.bulk_say(number, endpoint, OK, len(body) - 10, stream)
            self.device.out(self.alternate, endpoint, body[10:])

    def cancel(self, number):
        for endpoint, waiting in self.wanted.items():
            for one in list(waiting):
                if one[0] == number:
                    waiting.remove(one)
                    self.bulk_say(number, endpoint, CANCELLED, 0, one[2])

    def give(self, endpoint, data):
        """To who waits there; False: nobody does. data None: the endpoint stalls."""
        if not self.wanted.get(endpoint):
            return False
        number, length, stream = self.wanted[endpoint].pop(0)
        status, data = (STALL, b"") if data is None else (OK, data[:length])
        self.bulk_say(number, endpoint, status, len(data), stream, data)
        return True


def interface(alternate, protocol, endpoints):
    """endpoints: (address, pipe's id or None)"""
    text = bytes([9, 4, 0, alternate, len(endpoints), 8, 6, protocol, 0])
    for address, pipe in endpoints:
        text += bytes([7, 5, address, 2, 0, 2, 0]) + (b"" if pipe is None else bytes([4, 0x24, pipe, 0]))
    return text


def status_wrapper(tag, residue, status, signature=b"USBS"):
    return struct.pack("<4sIIB", signature, tag, residue, status)


class DiskOfBoth:
    """A disk of USB 2 with the bulk-only transport and, in setting 1, UAS, which is what attached(disk, information unit) does; None: without."""
    speed = 2
    settings = {0: (8, 6, 0x50, [0x81, 0x02]), 1: (8, 6, 0x62, [0x81, 0x02, 0x83, 0x04])}

    def __init__(self, data, attached):
        self.data, self.attached = data, attached
        self.commands = 0  # information units of UAS
        body = interface(0, 0x50, [(0x81, None), (0x02, None)])
        if attached:
            body += interface(1, 0x62, [(0x04, 1), (0x83, 2), (0x81, 3), (0x02, 4)])
        self.descriptors = {1: struct.pack("<BBHBBBBHHHBBBB", 18, 1, 0x200, 0, 0, 0, 64, 0x46f4, 0x7000, 0x100, 0, 0, 0, 1),
                            2: struct.pack("<BBHBBBBB", 9, 2, 9 + len(body), 1, 1, 0, 0x80, 50) + body}
        self.reset()

    def reset(self):
        self.queues = {0x81: [], 0x83: []}
        self.status = None

    def control(self, what, request, value, _index):
        if (what, request) == (0x80, 6):
            return self.descriptors.get(value >> 8)
        if what & 0x60 == 0x20:  # Get Max LUN, Bulk-Only Mass Storage Reset
            self.reset()
            return b"\0"
        return b"" if (what, request) == (0x02, 1) else None

    def wanted(self, endpoint):
        queue = self.queues[endpoint]
        while queue and self.give(endpoint, queue[0]):
            queue.pop(0)
        if self.status and not self.queues[0x81]:
            status, self.status = self.status, None
            self.say(0x83, status)

    def end(self, status):
        """Of a command of UAS: not before its data have been taken."""
        self.status = status
        self.wanted(0x81)

    def say(self, endpoint, data):
        """Now or when it is asked for."""
        self.queues[endpoint].append(data)
        self.wanted(endpoint)

    def out(self, alternate, endpoint, data):
        if alternate == 1:
            self.commands += 1
            self.attached(self, data)
        elif len(data) == 31 and data[:4] == b"USBC":
            tag, length = struct.unpack("<II", data[4:12])
            for said in self.answers(data[15:31], tag, length):
                self.say(0x81, said)

    def answers(self, command, tag, length):
        """What is sent of the bulk-only transport: data, status; None: a stall."""
        answer = self.scsi(command)
        failed, answer = answer is None, (answer or b"")[:length]
        return ([answer] if length else []) + [status_wrapper(tag, length - len(answer), failed)]

    SENSE = bytes([0x70, 0, 5, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x20]) + bytes(5)  # no such command

    def scsi(self, command):
        """None: it fails."""
        code = command[0]
        if code in (0x00, 0x35):
            return b""
        if code == 0x03:
            return self.SENSE
        if code == 0x12:
            return b"\0\0\4\2\37\0\0\0" + b"PYTHON  BOTH TRANSPORTS 1.0 "
        if code == 0x25:
            return struct.pack(">II", len(self.data) // 512 - 1, 512)
        if code == 0x28:
            block, _, count = struct.unpack(">IBH", command[2:9])
            return self.data[block * 512:(block + count) * 512]
        return None


# Of a READ: (data, tag) -> what is sent in place of the data and a status that says so.
SHORT = {
    "short, and the status says so": lambda data, tag: [data[:700], status_wrapper(tag, len(data) - 700, 0)],
    "short, and the status does not": lambda data, tag: [data[:1536], status_wrapper(tag, 0, 0)],
    "all there, and the status says not": lambda data, tag: [data, status_wrapper(tag, 512, 0)],
    "no data": lambda data, tag: [b"", status_wrapper(tag, len(data), 0)],
    "a status in place of data": lambda data, tag: [status_wrapper(tag, len(data), 1)],
    "a status in place of data, which stall": lambda data, tag: [None, status_wrapper(tag, len(data), 1)],
    "two stalls": lambda data, tag: [None, None, status_wrapper(tag, len(data), 1)],
    "another's tag": lambda data, tag: [data, status_wrapper(tag + 1, 0, 0)],
    "no status's signature": lambda data, tag: [data, status_wrapper(tag, 0, 0, b"USBC")],
    "a short status": lambda data, tag: [data, status_wrapper(tag, 0, 0)[:12]],
    "an empty packet in front of the status": lambda data, tag: [data, b"", status_wrapper(tag, 0, 0)],
    "a residue beyond all": lambda data, tag: [data, status_wrapper(tag, len(data) + 1, 0)],
    "a phase error": lambda data, tag: [data, status_wrapper(tag, 0, 2)],
}


class ShortDisk(DiskOfBoth):
    """Each `every`th READ is answered in the next way of SHORT; why one failed it does not know: aborted."""
    SENSE = bytes([0x70, 0, 0xb, 0, 0, 0, 0, 10]) + bytes(10)

    def __init__(self, data, every):
        super().__init__(data, None)
        self.every, self.reads, self.seen = every, 0, set()

    def answers(self, command, tag, length):
        sent = super().answers(command, tag, length)
        if command[0] != 0x28 or length < 4096:
            return sent
        self.reads += 1
        if not self.every or self.reads % self.every:
            return sent
        way = list(SHORT)[self.reads // self.every % len(SHORT)]
        self.seen.add(way)
        return SHORT[way](sent[0], tag)


def silence(_disk, _unit):
    """UAS that says nothing."""


class Rubbish:
    """Answers of any kind and length, some of them with the right tag."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def __call__(self, disk, unit):
        answer = bytearray(self.random.randbytes(self.random.randrange(200)))
        if self.random.random() < 0.5 and len(answer) >= 4:
            answer[0] = self.random.choice((1, 4, 6, 7, 0x55))
            answer[2:4] = unit[2:4]
        if self.random.random() < 0.9:
            disk.give(0x83, bytes(answer))


class Attached:
    """UAS as it is to be, but that a READ may come to a standstill: after so many steps (ready, data, status) as fate(number) says; None: not."""

    def __init__(self, fate=lambda _number: None):
        self.fate, self.reads, self.aborts = fate, 0, 0

    def __call__(self, disk, unit):
        head = b"\0" + unit[2:4]
        if unit[0] == 5:
            self.aborts += unit[4] == 1
            disk.say(0x83, b"\4" + head + bytes(4))
            return
        answer, steps = disk.scsi(unit[16:32]), None
        if unit[16] == 0x28:
            self.reads += 1
            steps = self.fate(self.reads)
        if answer and steps != 0:
            disk.say(0x83, b"\6" + head)
        if answer and steps not in (0, 1):
            disk.say(0x81, answer)
        sense = disk.SENSE if answer is None else b""
        if steps is None:
            disk.end(b"\3" + head + bytes([0, 0, 2 if sense else 0]) + bytes(7) + struct.pack(">H", len(sense)) + sense)


def forgetful(*forgets):
    """It forgets READs of these numbers: who waits too long has them aborted."""
    return Attached(lambda number: 0 if number in forgets else None)
