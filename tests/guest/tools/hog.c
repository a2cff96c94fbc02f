/* Take memory, a page at a time, until it is refused; then end with 0. Being ended for it is fine as well. */
#include <stdio.h>
#include <sys/mman.h>

int main(void)
{
    size_t pages = 0;
    for (;;) {
        volatile char *page =
            mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (page == MAP_FAILED)
            break;
        for (size_t offset = 0; offset < 65536; offset += 4096, pages++)
            page[offset] = 1;
    }
    printf("refused after %zu pages\n", pages);
    return 0;
}
