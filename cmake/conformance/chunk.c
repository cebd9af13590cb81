#include "chunk.h"

#include "check.h"

#include <stdint.h>
#include <string.h>
#include <time.h>

static void put(struct chunk *chunk, const void *bytes, size_t length) {
    if (chunk->length + length > chunk->capacity) {
        chunk->capacity = 2 * chunk->capacity + length;
        chunk->bytes = realloc(chunk->bytes, chunk->capacity);
        EXPECT(chunk->bytes, "memory");
    }
    memcpy(chunk->bytes + chunk->length, bytes, length);
    chunk->length += length;
}

static void put_number(struct chunk *chunk, unsigned char marker, uint32_t number) {
    unsigned char bytes[5] = {marker, number >> 24, number >> 16, number >> 8, number};
    put(chunk, bytes, sizeof bytes);
}

static void put_text(struct chunk *chunk, const char *text, size_t length) {
    put_number(chunk, 0xdb, (uint32_t)length);
    put(chunk, text, length);
}

/* A time is an extension of type 0: seconds and nanoseconds. */
static void put_time(struct chunk *chunk, int number) {
    uint32_t seconds = (uint32_t)time(NULL), nanoseconds = (uint32_t)number * 1000u % 1000000000u;
    put(chunk, "\xd7\x00", 2);
    unsigned char bytes[8] = {seconds >> 24,     seconds >> 16,     seconds >> 8,     seconds,
                              nanoseconds >> 24, nanoseconds >> 16, nanoseconds >> 8, nanoseconds};
    put(chunk, bytes, sizeof bytes);
}

static void put_record(struct chunk *chunk, int format, int number, const char *padding, size_t message) {
    put(chunk, "\x92\x92", (size_t)format);
    put_time(chunk, number);
    put(chunk, "\x80", format == 2);
    /* Three fields, with the long marker that hosts write. */
    put_number(chunk, 0xdf, 3);
    put_text(chunk, "message", 7);
    put_text(chunk, padding, message);
    put_text(chunk, "level", 5);
    put_text(chunk, number % 10 ? "info" : "error", number % 10 ? 4 : 5);
    put_text(chunk, "n", 1);
    put_number(chunk, 0xce, (uint32_t)number);
}

struct chunk chunk_of(int format, int first, int count, size_t message) {
    struct chunk chunk = {0};
    char *padding = malloc(message + 1);
    EXPECT(padding, "memory");
    memset(padding, 'x', message);
    for (int number = first; number < first + count; number++) {
        put_record(&chunk, format, number, padding, message);
    }
    free(padding);
    return chunk;
}

void chunk_free(struct chunk *chunk) {
    free(chunk->bytes);
    *chunk = (struct chunk){0};
}
