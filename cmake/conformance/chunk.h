/* Chunks as a host hands them over: MessagePack records one after the other. */
#ifndef CHUNK_H
#define CHUNK_H

#include <stddef.h>

struct chunk {
    unsigned char *bytes;
    size_t length;
    size_t capacity;
};

/* Records `[time, body]` (format 1) or `[[time, metadata], body]` (format 2), numbered from `first` on so that no two
 * chunks are alike. One in ten is an error. Each has a message of about `message` bytes. */
struct chunk chunk_of(int format, int first, int count, size_t message);
void chunk_free(struct chunk *chunk);

#endif
