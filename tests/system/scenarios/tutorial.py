"""docs/tutorial-service.md: its service and its client, compiled from the page, do what the page shows."""
import os

from harness import scenario
import tutorial  # tools/

PAGE = "docs/tutorial-service.md"


@scenario("tutorial/service")
def service(context):
    with context.boot(initfs=os.path.join(context.out, "tutorial-initfs.tar.gz")) as vm:
        vm.prompt()
        for command, wanted in tutorial.typed(PAGE):
            printed, _ = vm.shell(command, 60)
            if printed != wanted:
                vm.fail(f"{PAGE} shows that `{command}` prints {wanted!r}, but it prints {printed!r}")
