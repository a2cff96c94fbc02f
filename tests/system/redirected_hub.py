"""A hub made of Python (redirected.py): of USB 2, with a transaction translator, power and a fuse for each port. Nothing can be plugged into it."""
import struct

from redirected import INTERRUPT_TYPE, Device, endpoint, interface

CURRENT, POWER = 1 << 3, 1 << 8  # of a port's status; the first one of its changes, too
FEATURE_POWER, FEATURE_C_CURRENT = 8, 19


class Hub(Device):
    PORTS = 4

    def __init__(self):
        changes = endpoint(0x81, INTERRUPT_TYPE, 1, 12)
        super().__init__((0x46f4, 0x7002, 0x100), interface(0, (9, 0, 1), changes) + interface(0, (9, 0, 2), changes, alternate=1), (9, 0, 2))
        self.reset()

    def reset(self):
        self.status, self.changed = [0] * (self.PORTS + 1), [0] * (self.PORTS + 1)

    def current(self, port, over):
        """Too much of it flows: the hub takes the port's power away, and gives none before it is told to."""
        with self.lock:
            self.status[port] = self.status[port] & ~(CURRENT | POWER) | CURRENT * over
            self.changed[port] |= CURRENT
            self.say(0x81, bytes([1 << port]))

    def control(self, what, request, value, index, data):
        if (what, request, value) == (0xa0, 6, 0x2900):
            return struct.pack("<BBBHBBBB", 9, 0x29, self.PORTS, 1 | 1 << 3, 10, 0, 0, 0xff)
        if (what, request) == (0xa0, 0):
            return bytes(4)
        if not 0 < index <= self.PORTS or what & 0x7f != 0x23:
            return super().control(what, request, value, index, data)
        if request == 0:
            return struct.pack("<HH", self.status[index], self.changed[index])
        if (request, value) == (3, FEATURE_POWER):
            self.status[index] |= POWER
        elif (request, value) == (1, FEATURE_C_CURRENT):
            self.changed[index] &= ~CURRENT
        else:
            return None
        return b""
