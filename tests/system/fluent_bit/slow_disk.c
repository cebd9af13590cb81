/* Preloaded into Fluent Bit by tests: each fsync and fdatasync takes SLOW_DISK_MS milliseconds more, as on a slow disk, and is
 * noted in the file SYNCED with the length of what was synced and its path, for those who let the power fail. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void wait_for_the_disk(void)
{
    const char *text = getenv("SLOW_DISK_MS");
    long ms = text != NULL ? atol(text) : 0;
    struct timespec time = {ms / 1000, (ms % 1000) * 1000000L};

    nanosleep(&time, NULL);
}

/* What is there when the sync begins is on the disk when it ends. */
static long length_of(int fd)
{
    struct stat about;

    return fstat(fd, &about) == 0 ? (long) about.st_size : 0;
}

static void note(int fd, long length)
{
    const char *notes = getenv("SYNCED");
    char link[64], path[4096], line[4200];
    int out, size;

    if (notes == NULL) {
        return;
    }
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    size = (int) readlink(link, path, sizeof(path) - 1);
    out = open(notes, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (size > 0 && out >= 0) {
        path[size] = '\0';
        size = snprintf(line, sizeof(line), "%ld %s\n", length, path);
        if (write(out, line, (size_t) size) != size) {
            abort();
        }
    }
    close(out);
}

int fsync(int fd)
{
    int (*real)(int) = (int (*)(int)) dlsym(RTLD_NEXT, "fsync");
    long length = length_of(fd);
    int result;

    wait_for_the_disk();
    result = real(fd);
    note(fd, length);
    return result;
}

int fdatasync(int fd)
{
    int (*real)(int) = (int (*)(int)) dlsym(RTLD_NEXT, "fdatasync");
    long length = length_of(fd);
    int result;

    wait_for_the_disk();
    result = real(fd);
    note(fd, length);
    return result;
}
