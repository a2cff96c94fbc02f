"""Disks made of Python (redirected.py): of both transports, and those that misbehave in either."""
import random
import struct

from redirected import Device, endpoint, interface


def status_wrapper(tag, residue, status, signature=b"USBS"):
    return struct.pack("<4sIIB", signature, tag, residue, status)


class DiskOfBoth(Device):
    """A disk of USB 2 with the bulk-only transport and, in setting 1, UAS, which is what attached(disk, information unit) does; None: without."""

    def __init__(self, data, attached):
        def piped(address, pipe):
            return endpoint(address) + bytes([4, 0x24, pipe, 0])

        interfaces = interface(0, (8, 6, 0x50), endpoint(0x81), endpoint(0x02))
        if attached:
            interfaces += interface(0, (8, 6, 0x62), piped(0x04, 1), piped(0x83, 2), piped(0x81, 3), piped(0x02, 4), alternate=1)
        super().__init__((0x46f4, 0x7000, 0x100), interfaces)
        self.data, self.attached = data, attached
        self.commands = 0  # information units of UAS
        self.reset()

    def reset(self):
        self.queues = {}
        self.status = None

    def returned(self, address, data):
        """Whoever asked has given the command up."""

    def control(self, what, request, value, index, data):
        if what & 0x60 == 0x20:  # Get Max LUN, Bulk-Only Mass Storage Reset
            self.reset()
            return b"\0"
        return super().control(what, request, value, index, data)

    def wanted(self, address):
        super().wanted(address)
        if self.status and not self.queues.get(0x81):
            status, self.status = self.status, None
            self.say(0x83, status)

    def end(self, status):
        """Of a command of UAS: not before its data have been taken."""
        self.status = status
        self.wanted(0x81)

    def out(self, address, data):
        if address == 0x04:
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
