"""Hubs: QEMU's, with devices behind them, and one made of Python for what QEMU's cannot show."""
import re

from harness import in_soak, scenario
from redirected_hub import CURRENT, POWER, Hub
from scenarios.devices import wait_log
from scenarios.screen import without_ps2
from scenarios.usb import HUB, boot, hold, listen, plug, press, unplug, wait_devices, wait_driver, wait_no_driver
from scenarios.usb_serial import redirected, until


@scenario("usb/hubs", cpus=(1, 4))
def hubs(context):
    """A keyboard behind five hubs, as many as there may be, which are pulled out from below and from above."""
    below = ("1", "2", "1", "2", "3")  # the ports of what hangs there: four hubs, the keyboard
    places = [".".join(below[:depth]) for depth in range(1, 6)]
    chain = [HUB, *(f"{HUB}.{place}" for place in places)]
    with boot(context, "xhci", "usb-hub") as vm:
        vm.prompt()
        for place in places[:-1]:
            plug(vm, "usb-hub", f"hub-{place}", f"4.{place}")
        plug(vm, "usb-kbd", "keyboard", f"4.{places[-1]}")
        wait_devices(vm, *chain)
        process = wait_driver(vm, chain[-1])
        tree = "".join(rf"{'    ' * depth}{place} .*\n" for depth, place in enumerate(chain[:-1], 1))
        vm.check("cat usb:///tree", re.compile(rf"^{tree} *{chain[-1]} .* Keyboard$", re.M))
        without_ps2(vm)
        listen(vm)
        press(vm, "a", 30)
        hold(vm, "b", 48, True)
        unplug(vm, "keyboard")
        wait_devices(vm, *chain[:-1])
        plug(vm, "usb-kbd", "keyboard", f"4.{places[-1]}")
        wait_devices(vm, *chain)
        wait_driver(vm, chain[-1], process)
        press(vm, "c", 46, "key 48 0; (.*; )?")  # nobody held the other one any more
        unplug(vm, "usb-hub")  # and all that hangs on it
        wait_devices(vm)
        wait_no_driver(vm, chain[-1])


@scenario("usb/over-current", cpus=(1, *in_soak(4)))
def over_current(context):
    """A hub at high speed: the setting with a translator for each port is taken, and each has power. Where too much of it flows the log says so, and
    there is power again when that is over."""
    device = Hub()
    with redirected(context, device) as (vm, plugged):
        wait_devices(vm, "1-5")
        until(vm, "the other setting", lambda: plugged.alternates == {0: 1})
        until(vm, "power", lambda: all(status & POWER for status in device.status[1:]))
        for port in (2, 4):
            device.current(port, True)
            wait_log(vm, f"usbd: 1-5.{port}: over-current")
            device.current(port, False)
            wait_log(vm, f"usbd: 1-5.{port}: no over-current any more")
            until(vm, "power again", lambda: device.status[port] == POWER and not device.changed[port] & CURRENT)
        plugged.pull()
        wait_devices(vm)
