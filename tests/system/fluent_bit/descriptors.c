/* Preloaded into Fluent Bit by a test: while the file EAT_DESCRIPTORS exists, no descriptor below the limit is free, but
 * for those that the process closes after they were counted. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static int eaten[65536];

static void *eat(void *path)
{
    struct timespec pause = {0, 10000000L};
    int count = 0;

    for (;;) {
        int there = access(path, F_OK) == 0;

        if (there && count == 0) {
            int fd;

            while (count < 65536 && (fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0) {
                eaten[count++] = fd;
            }
        }
        while (!there && count > 0) {
            close(eaten[--count]);
        }
        nanosleep(&pause, NULL);
    }
    return NULL;
}

__attribute__((constructor)) static void begin(void)
{
    char *path = getenv("EAT_DESCRIPTORS");
    pthread_t thread;

    if (path != NULL) {
        pthread_create(&thread, NULL, eat, path);
    }
}
