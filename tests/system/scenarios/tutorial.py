"""docs/tutorial-*.md: what is compiled from the page does what the page shows."""
import os
import struct
import tempfile

from harness import scenario
import tutorial  # tools/


def follow(context, name, **options):
    page = f"docs/tutorial-{name}.md"
    with context.boot(initfs=os.path.join(context.out, f"tutorial-{name}.tar.gz"), **options) as vm:
        vm.prompt()
        for command, wanted in tutorial.typed(page):
            printed, _ = vm.shell(command, 60)
            if printed != wanted:
                vm.fail(f"{page} shows that `{command}` prints {wanted!r}, but it prints {printed!r}")


@scenario("tutorial/service")
def service(context):
    follow(context, "service")


@scenario("tutorial/driver")
def driver(context):
    follow(context, "driver", devices=["edu"])


@scenario("tutorial/usb-driver")
def usb_driver(context):
    """What card is in the reader says a program beside QEMU (libcacard's protocol): here a file, by which one is put in."""
    answer_to_reset = bytes.fromhex("3b021450")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "card")
        for suffix, data in ((".in", struct.pack(">III", 5, 0, len(answer_to_reset)) + answer_to_reset), (".out", b"")):
            with open(path + suffix, "wb") as file:
                file.write(data)
        follow(context, "usb-driver", devices=["xhci", "usb-ccid"],
               extra=["-chardev", f"pipe,id=card,path={path}", "-device", "ccid-card-passthru,chardev=card"])
