"""Serial adapters made of Python (redirected.py): one of the class CDC-ACM, and FTDI's chips with several lines.

Each line is a `Port`: what the machine sends goes to port.heard, port.type() is what the line receives.
"""
import struct

from redirected import FULL, INTERRUPT_TYPE, LATE, Device, endpoint, interface

STATE_CARRIER, STATE_DSR, STATE_BREAK, STATE_DAMAGED = 1, 2, 4, 0x10


class Port:
    """A line of a device, and the endpoint that brings what it received. Each packet of these begins with what head() says."""

    def __init__(self, device, address, packet, head=lambda: b""):
        self.device, self.address, self.packet, self.head = device, address, packet, head
        self.waits = bytearray()  # received, and not yet asked for
        self.told = b""
        self.heard = lambda piece: None

    def type(self, text):
        with self.device.lock:
            self.waits += text
            self.wanted()

    def wanted(self):
        while self.device.room(self.address) and (self.waits or self.told != self.head()):
            self.told = self.head()
            size = self.packet - len(self.told)
            pieces = self.device.room(self.address) // self.packet
            taken = [self.waits[at:at + size] for at in range(0, min(pieces * size, len(self.waits)), size)] or [b""]
            del self.waits[:sum(map(len, taken))]
            self.device.give(self.address, b"".join(self.told + piece for piece in taken))

    def returned(self, data):
        """It met nobody."""
        size, self.told = len(self.told), b""
        self.waits[:0] = b"".join(data[at + size:at + self.packet] for at in range(0, len(data), self.packet))


class Serial(Device):
    """A device of such lines: `ports`, by the endpoints that bring and that take."""
    ports, takers = {}, {}

    def wanted(self, address):
        if address in self.ports:
            self.ports[address].wanted()
        else:
            super().wanted(address)

    def returned(self, address, data):
        if address in self.ports:
            self.ports[address].returned(data)

    def out(self, address, data):
        self.takers[address].heard(data)


class Acm(Serial):
    """As Linux's gadget is: notifications fill a packet. What it was told is in coding, lines (each state that they had), breaks."""
    speed = FULL
    CONTROL, DATA = 0, 1
    UNION = bytes([5, 0x24, 6, CONTROL, DATA])

    def __init__(self, notifications=10, union=UNION, data=(endpoint(0x81, packet=64), endpoint(0x01, packet=64)), knows=6):
        functions = bytes([5, 0x24, 0, 0x10, 1, 5, 0x24, 1, 0, self.DATA, 4, 0x24, 2, knows]) + union
        super().__init__((0x0525, 0xa4a7, 0x100),
                         interface(self.CONTROL, (2, 2, 1), functions, endpoint(0x82, INTERRUPT_TYPE, notifications, 9)) +
                         interface(self.DATA, (10, 0, 0), *data))
        self.notifications = notifications
        self.port = Port(self, 0x81, 64)
        self.ports, self.takers = {0x81: self.port}, {0x01: self.port}
        self.coding, self.lines, self.breaks = None, [], []

    def control(self, what, request, value, index, data):
        if what & 0x7f != 0x21 or index != self.CONTROL:
            return super().control(what, request, value, index, data)
        if (what, request, len(data)) == (0x21, 0x20, 7):
            self.coding = struct.unpack("<IBBB", data)
        elif (what, request) == (0xa1, 0x21) and self.coding:
            return struct.pack("<IBBB", *self.coding)
        elif (what, request) == (0x21, 0x22):
            self.lines.append(value)
        elif (what, request) == (0x21, 0x23):
            self.breaks.append(value)
        else:
            return None
        return b""

    def notify(self, message):
        for at in range(0, len(message), self.notifications):
            self.say(0x82, message[at:at + self.notifications])

    def state(self, state):
        self.notify(struct.pack("<BBHHHH", 0xa1, 0x20, 0, self.CONTROL, 2, state))


class RefusingAcm(Acm):
    """That does not take its line coding: it does not answer the first time, and then says so."""

    def __init__(self):
        super().__init__(notifications=8)
        self.refused = 0

    def control(self, what, request, value, index, data):
        if (what, request) == (0x21, 0x20):
            self.refused += 1
            return LATE if self.refused == 1 else None
        return super().control(what, request, value, index, data)


class FtdiPort(Port):
    """Of a chip: what it was told, decoded."""

    def __init__(self, device, number):
        self.carrier = 0
        super().__init__(device, 0x81 + 2 * number, 512, lambda: bytes([0x31 | self.carrier, 0x60]))
        self.bauds, self.format, self.flow, self.lines = None, None, None, 0

    def asked(self, request, value, high):
        """high: the upper half of the index."""
        if request == 1:
            self.lines = self.lines & ~(value >> 8) | value & value >> 8
        elif request == 2:
            self.flow = high
        elif request == 3:
            eighths = (value & 0x3fff) * 8 + (0, 4, 2, 1, 3, 5, 6, 7)[value >> 14 | (high & 1) << 2]
            self.bauds = (96000000 if high & 2 else 24000000) // {0: 8, 8: 12}.get(eighths, eighths)
        elif request == 4:
            self.format = value


class Ftdi(Serial):
    """A chip of the kind H with several lines, whose numbers, from 1 on, are in the lower half of each request's index. `astray`: requests that
    were for no line, or for the chip as a whole."""

    def __init__(self, lines=2):
        self.lines = [FtdiPort(self, number) for number in range(lines)]
        super().__init__((0x0403, {2: 0x6010, 4: 0x6011}[lines], {2: 0x700, 4: 0x800}[lines]),
                         b"".join(interface(number, (0xff, 0xff, 0xff), endpoint(0x81 + 2 * number), endpoint(0x02 + 2 * number))
                                  for number in range(lines)))
        self.ports = {port.address: port for port in self.lines}
        self.takers = {port.address - 0x7f: port for port in self.lines}
        self.astray = []

    def control(self, what, request, value, index, data):
        if what & 0x60 != 0x40:
            return super().control(what, request, value, index, data)
        if what & 0x1f or request > 0x0c or not 1 <= index & 0xff <= len(self.lines):
            self.astray.append((what, request, value, index))
            return None
        self.lines[(index & 0xff) - 1].asked(request, value, index >> 8)
        return b""
