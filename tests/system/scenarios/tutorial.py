"""docs/tutorial-*.md: what is compiled from the page does what the page shows."""
import os

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
