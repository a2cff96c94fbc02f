"""USB devices made of Python, plugged into QEMU by its usb-redir (usbredir protocol 0.7): for what QEMU has no device, and for devices that misbehave.

    with Redirected(DiskOfBoth(data, silence)) as redirected:    # redirected_disk.py, redirected_serial.py
        context.boot(devices=["xhci"], extra=redirected.flags(port=2))
        redirected.pull(), redirected.plug()

A device has `descriptors` (type -> bytes; what interfaces and endpoints it has is read there), `speed`, and answers to control(), out(), wanted() and
reset(), one at a time, by the lock. It sends by give(address, bytes), as much as room(address), or has its queues send (`Device`).
"""
import os
import socket
import struct
import tempfile
import threading

HELLO, CONNECT, DISCONNECT, RESET, INTERFACES, ENDPOINTS = 0, 1, 2, 3, 4, 5
SET_CONFIGURATION, GET_CONFIGURATION, CONFIGURATION_STATUS, SET_ALTERNATE, GET_ALTERNATE, ALTERNATE_STATUS = 6, 7, 8, 9, 10, 11
START_INTERRUPTS, STOP_INTERRUPTS, INTERRUPTS_STATUS = 15, 16, 17
CANCEL, CONTROL, BULK, INTERRUPT = 21, 100, 101, 103
CAPABILITIES = 1 << 4 | 1 << 5 | 1 << 6  # packet sizes of endpoints, ids of 64 bits, bulk transfers of more than 64 KiB
OK, CANCELLED, STALL = 0, 1, 4
BULK_TYPE, INTERRUPT_TYPE = 2, 3
LOW, FULL, HIGH = 0, 1, 2  # speeds
FIRST_PACKET = {LOW: 8, FULL: 64, HIGH: 64}  # of endpoint 0
LATE = object()  # of control(): there is no answer


def settings(configuration, alternates):
    """Of a configuration's bytes, interfaces being in these settings (0 where none is named): ({number: class, subclass, protocol},
    {address: (type, interval, interface, packet)})."""
    interfaces, endpoints, number, at = {}, {}, None, 0
    while at < len(configuration):
        one = configuration[at:at + configuration[at]]
        if one[1] == 4:
            number = one[2] if alternates.get(one[2], 0) == one[3] else None
            if number is not None:
                interfaces[number] = one[5:8]
        elif one[1] == 5 and number is not None:
            endpoints[one[2]] = (one[3] & 3, one[6], number, struct.unpack("<H", one[4:6])[0])
        at += len(one)
    return interfaces, endpoints


class Redirected:
    def __init__(self, device):
        self.device, self.alternates = device, {}
        self.there = False
        self.asked = {}  # endpoint -> [(id, length, stream)]
        self.interrupts = set()  # endpoints that are listened to
        self.answered = (None, 0, b"")  # id, endpoint, data: what was given last
        self.folder = tempfile.TemporaryDirectory(prefix="protos-usb-")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(os.path.join(self.folder.name, "socket"))
        self.listener.listen(1)
        self.peer = None
        self.lock = threading.RLock()
        device.give, device.room, device.lock = self.give, self.room, self.lock
        self.thread = threading.Thread(target=self.serve, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.listener.close()
        self.folder.cleanup()

    def flags(self, port):
        return ["-chardev", f"socket,id=redirected{port},path={self.listener.getsockname()}",
                "-device", f"usb-redir,id=redirected-device{port},chardev=redirected{port},bus=xhci.0,port={port}"]

    def plug(self):
        with self.lock:
            self.there = True
            self.device.reset()
            self.say_settings()
            device = self.device.descriptors[1]
            self.send(CONNECT, 0, struct.pack("<B3s4s", self.device.speed, device[4:7], device[8:12]))

    def pull(self):
        """As it is: nothing that is under way is answered."""
        with self.lock:
            self.there = False
            self.forget()
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
        interfaces, endpoints = settings(self.device.descriptors[2], self.alternates)
        self.send(INTERFACES, 0, struct.pack("<I", len(interfaces)) + bytes(interfaces).ljust(32, b"\0") +
                  b"".join(bytes(codes[i] for codes in interfaces.values()).ljust(32, b"\0") for i in range(3)))
        kinds, intervals, owners, sizes = [0xff] * 32, [0] * 32, [0] * 32, [0] * 32
        first = (0, 0, 0, FIRST_PACKET[self.device.speed])
        for address, one in {0: first, 0x80: first, **endpoints}.items():
            index = (address & 0x80) >> 3 | (address & 15)
            kinds[index], intervals[index], owners[index], sizes[index] = one
        self.send(ENDPOINTS, 0, bytes(kinds + intervals + owners) + struct.pack("<32H", *sizes))

    def forget(self):
        self.alternates, self.asked, self.interrupts = {}, {}, set()

    def serve(self):
        try:
            self.peer, _ = self.listener.accept()
            hello = b"protos".ljust(64, b"\0") + struct.pack("<I", CAPABILITIES)
            self.peer.sendall(struct.pack("<III", HELLO, len(hello), 0) + hello)  # whose id has 32 bits
            self.receive(struct.unpack("<III", self.receive(12))[1])
            self.plug()
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
            self.forget()
            self.device.reset()
        elif kind in (SET_CONFIGURATION, GET_CONFIGURATION):
            self.say_settings()
            self.send(CONFIGURATION_STATUS, number, bytes([OK, 1]))
        elif kind in (SET_ALTERNATE, GET_ALTERNATE):
            if kind == SET_ALTERNATE:
                self.alternates[body[0]] = body[1]
            self.say_settings()
            self.send(ALTERNATE_STATUS, number, bytes([OK, body[0], self.alternates.get(body[0], 0)]))
        elif kind == CANCEL:
            self.cancel(number)
        elif kind == CONTROL:
            self.control(number, body)
        elif kind == BULK:
            self.bulk(number, body)
        elif kind == START_INTERRUPTS:
            self.interrupts.add(body[0])
            self.send(INTERRUPTS_STATUS, number, bytes([OK, body[0]]))
            if body[0] in self.device.stalls:  # whose end drops what QEMU had, and begins anew
                self.device.stalls.remove(body[0])
                self.give(body[0], None)
            self.device.wanted(body[0])
        elif kind == STOP_INTERRUPTS:
            self.interrupts.discard(body[0])
            self.send(INTERRUPTS_STATUS, number, bytes([OK, body[0]]))

    def control(self, number, body):
        endpoint, request, what, _, value, index, length = struct.unpack("<BBBBHHH", body[:10])
        answer = self.device.control(what, request, value, index, body[10:])
        if answer is LATE:
            return
        status, answer = (STALL, b"") if answer is None else (OK, answer[:length])
        sent = len(answer) if what & 0x80 else len(body) - 10
        self.send(CONTROL, number, struct.pack("<BBBBHHH", endpoint, request, what, status, value, index, sent) + answer)

    def bulk_say(self, number, endpoint, status, length, stream, data=b""):
        self.send(BULK, number, struct.pack("<BBHIH", endpoint, status, length & 0xffff, stream, length >> 16) + data)

    def bulk(self, number, body):
        endpoint, _, low, stream, high = struct.unpack("<BBHIH", body[:10])
        if endpoint in self.device.stalls:
            self.device.stalls.remove(endpoint)
            self.bulk_say(number, endpoint, STALL, 0, stream)
        elif endpoint & 0x80:
            self.asked.setdefault(endpoint, []).append((number, high << 16 | low, stream))
            self.device.wanted(endpoint)
        else:
            self.bulk_say(number, endpoint, OK, len(body) - 10, stream)
            self.device.out(endpoint, body[10:])

    def cancel(self, number):
        """What was given meanwhile has met nobody."""
        if number == self.answered[0]:
            self.device.returned(*self.answered[1:])
        for endpoint, waiting in self.asked.items():
            for one in list(waiting):
                if one[0] == number:
                    waiting.remove(one)
                    self.bulk_say(number, endpoint, CANCELLED, 0, one[2])

    def room(self, endpoint):
        """How many bytes are asked for there; 0: nobody asks."""
        if endpoint in self.interrupts:
            return settings(self.device.descriptors[2], self.alternates)[1][endpoint][3]
        return self.asked[endpoint][0][1] if self.asked.get(endpoint) else 0

    def give(self, endpoint, data):
        """To who waits there; None is a stall. False: nobody does."""
        status, data = (STALL, b"") if data is None else (OK, data)
        if endpoint in self.interrupts:
            self.send(INTERRUPT, 0, struct.pack("<BBH", endpoint, status, len(data)) + data)
            return True
        if not self.asked.get(endpoint):
            return False
        number, length, stream = self.asked[endpoint].pop(0)
        data = data[:length]
        self.answered = (number, endpoint, data)
        self.bulk_say(number, endpoint, status, len(data), stream, data)
        return True


def endpoint(address, kind=BULK_TYPE, packet=512, interval=0):
    return struct.pack("<BBBBHB", 7, 5, address, kind, packet, interval)


def interface(number, codes, *parts, alternate=0):
    """parts: its descriptors' bytes."""
    return struct.pack("<BBBBB3sB", 9, 4, number, alternate, sum(part[1] == 5 for part in parts), bytes(codes), 0) + b"".join(parts)


class Device:
    """Descriptors, and a queue for each endpoint that says something."""
    speed = HIGH

    def __init__(self, identity, interfaces, codes=(0, 0, 0)):
        """identity: vendor, product, release; interfaces: their bytes; codes: its class, where that is not the interfaces'."""
        count = len(settings(interfaces, {})[0])
        self.descriptors = {1: struct.pack("<BBHBBBBHHHBBBB", 18, 1, 0x200, *codes, FIRST_PACKET[self.speed], *identity, 0, 0, 0, 1),
                            2: struct.pack("<BBHBBBBB", 9, 2, 9 + len(interfaces), count, 1, 0, 0x80, 50) + interfaces}
        self.queues = {}
        self.stalls = []  # endpoints whose next transfer is to, once for each time that they stand here

    def reset(self):
        pass

    def control(self, what, request, value, _index, _data):
        """b"..." or b"": the answer; None: a stall; LATE: none yet."""
        if (what, request) == (0x80, 6):
            return self.descriptors.get(value >> 8)
        return b"" if (what, request) == (0x02, 1) else None

    def wanted(self, address):
        queue = self.queues.setdefault(address, [])
        while queue and self.give(address, queue[0]):
            queue.pop(0)

    def returned(self, address, data):
        self.queues.setdefault(address, []).insert(0, data)

    def say(self, address, data):
        """Now or when it is asked for."""
        with self.lock:
            self.queues.setdefault(address, []).append(data)
            self.wanted(address)


class Sensor(Device):
    """A device of the class HID that has nothing of a keyboard or pointer: one byte of its maker's own kind. As slow as mice are."""
    speed = LOW
    REPORTS = bytes.fromhex("0600ff0901a10109021500257f750895018102c0")

    def __init__(self, reports=REPORTS):
        super().__init__((0x46f4, 0x7001, 0x100),
                         interface(0, (3, 0, 0), bytes([9, 0x21, 0x11, 1, 0, 1, 0x22, len(reports), 0]), endpoint(0x81, INTERRUPT_TYPE, 8, 10)))
        self.reports = reports

    def control(self, what, request, value, index, data):
        if (what, request, value) == (0x81, 6, 0x2200):
            return self.reports
        return super().control(what, request, value, index, data)
