/* What linux_processes executes. */
#include <stdio.h>

int main(void)
{
    return puts("hello, world") < 0;
}
