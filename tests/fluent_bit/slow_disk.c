/* Preloaded into Fluent Bit by a test: each fsync and fdatasync takes SLOW_DISK_MS milliseconds more, as on a slow disk. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

static void wait_for_the_disk(void)
{
    const char *text = getenv("SLOW_DISK_MS");
    long ms = text != NULL ? atol(text) : 0;
    struct timespec time = {ms / 1000, (ms % 1000) * 1000000L};

    nanosleep(&time, NULL);
}

int fsync(int fd)
{
    int (*real)(int) = (int (*)(int)) dlsym(RTLD_NEXT, "fsync");

    wait_for_the_disk();
    return real(fd);
}

int fdatasync(int fd)
{
    int (*real)(int) = (int (*)(int)) dlsym(RTLD_NEXT, "fdatasync");

    wait_for_the_disk();
    return real(fd);
}
