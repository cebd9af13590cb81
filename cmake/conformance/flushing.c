/* Chunks handed over, in every way a host does it, and counted where they arrive. */
#include "check.h"
#include "chunk.h"
#include "coroutine.h"
#include "host.h"
#include "scenarios.h"
#include "server.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void deliver_numbered(struct instance *instance, int first, int count) {
    struct chunk chunk = chunk_of(instance->host->generation->record_format, first, count, 40);
    instance_deliver(instance, chunk.bytes, chunk.length, "kube.app");
    chunk_free(&chunk);
}

static void expect_arrived(struct server *server, long logs) {
    EXPECT(server_logs(server) == logs, "%ld logs, found %ld", logs, server_logs(server));
    EXPECT(server_events(server) == logs / 10, "%ld events, found %ld", logs / 10, server_events(server));
}

/* Old hosts have a table that ends after a pointer, an unreadable page behind it, and no hooks. */
void generations_deliver(const char *path) {
    for (size_t at = 0; at < GENERATIONS; at++) {
        struct server *server = server_start();
        struct host host = host_start(path, &generations[at], 0);
        struct instance *instance = instance_start(&host, server_dsn(server), "memory");
        deliver_numbered(instance, 0, 50);
        instance_stop(instance, 0);
        expect_arrived(server, 50);
        host_stop(&host);
        server_stop(server);
    }
}

void two_instances(const char *path) {
    struct server *servers[2] = {server_start(), server_start()};
    struct host host = host_start(path, newest, 0);
    struct instance *first = instance_start(&host, server_dsn(servers[0]), "memory");
    struct instance *second = instance_start(&host, server_dsn(servers[1]), "ack");
    EXPECT(first->context->remote_context != second->context->remote_context, "a context for each");
    for (int number = 0; number < 60; number += 20) {
        deliver_numbered(first, number, 20);
        deliver_numbered(second, number, 10);
    }
    instance_stop(first, 0);
    expect_arrived(servers[0], 60);
    deliver_numbered(second, 100, 10);
    instance_stop(second, 0);
    expect_arrived(servers[1], 40);
    host_stop(&host);
    server_stop(servers[0]);
    server_stop(servers[1]);
}

#define THREADS 4
#define CHUNKS 8

struct worker {
    struct instance *instance;
    int number;
};

static void *work(void *argument) {
    struct worker *worker = argument;
    for (int chunk = 0; chunk < CHUNKS; chunk++) {
        deliver_numbered(worker->instance, 10 * (worker->number * CHUNKS + chunk), 10);
    }
    return NULL;
}

static void flush_from_threads(struct instance *instance) {
    pthread_t threads[THREADS];
    struct worker workers[THREADS];
    for (int at = 0; at < THREADS; at++) {
        workers[at] = (struct worker){instance, at};
        EXPECT(pthread_create(&threads[at], NULL, work, &workers[at]) == 0, "a thread");
    }
    for (int at = 0; at < THREADS; at++) {
        pthread_join(threads[at], NULL);
    }
}

/* With `workers` a host flushes one instance from several threads at once. */
void four_threads(const char *path) {
    static const char *const ways[] = {"memory", "ack"};
    for (size_t at = 0; at < sizeof ways / sizeof *ways; at++) {
        struct server *server = server_start();
        struct host host = host_start(path, newest, 0);
        struct instance *instance = instance_start(&host, server_dsn(server), ways[at]);
        flush_from_threads(instance);
        instance_stop(instance, 0);
        expect_arrived(server, THREADS * CHUNKS * 10);
        host_stop(&host);
        server_stop(server);
    }
}

struct small {
    struct instance *instance;
    const struct chunk *chunk;
    int answer;
};

static void flush_here(void *argument) {
    struct small *small = argument;
    small->answer = small->instance->host->library.flush_ctx(small->instance->context->remote_context,
                                                             small->chunk->bytes, small->chunk->length, "kube.app");
}

static void *flush_on_a_small_stack(void *argument) {
    size_t depth = coroutine_run(flush_here, argument);
    printf("    %zu bytes of stack\n", depth);
#if !defined(__SANITIZE_ADDRESS__)
    /* An intercepted malloc has frames of its own. */
    EXPECT(depth < COROUTINE_STACK / 2, "%d bytes of stack at most, found %zu", COROUTINE_STACK / 2, depth);
#endif
    return NULL;
}

/* On a thread that has never been in the plugin: what is made once for each thread is made on the small stack too. */
static int flush_small(struct instance *instance, const struct chunk *chunk) {
    struct small small = {instance, chunk, -1};
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, flush_on_a_small_stack, &small) == 0, "a thread");
    pthread_join(thread, NULL);
    return small.answer;
}

/* The largest chunk of a busy host, taken, waited for in vain, and refused. Nothing is to be sent: nobody is there. */
void small_stacks(const char *path) {
    struct chunk chunk = chunk_of(2, 0, 60, 60 * 1024);
    struct host host = host_start(path, newest, 0);
    static const struct {
        const char *delivery, *queue;
        int answer;
    } ways[] = {
        {"memory", "64M", OUT_SENTRY_OK},
        {"memory", "1M", OUT_SENTRY_RETRY},
        {"ack", "64M", OUT_SENTRY_RETRY},
    };
    for (size_t at = 0; at < sizeof ways / sizeof *ways; at++) {
        struct instance *instance =
            instance_new(&host, "dsn", dead_dsn(), "delivery", ways[at].delivery, "queue_max_size", ways[at].queue,
                         "ack_timeout", "100ms", "exit_timeout", "0", "proxy", "none", NULL);
        EXPECT(instance_init(instance) == OUT_SENTRY_OK, "Init");
        /* A queue fills up as fast as chunks come, and no faster than they are read. */
        int answer = -1;
        for (int flush = 0; flush < 100 && answer != ways[at].answer; flush++) {
            answer = flush_small(instance, &chunk);
        }
        EXPECT(answer == ways[at].answer, "way %zu: %d, found %d", at, ways[at].answer, answer);
        instance_stop(instance, 0);
    }
    host_stop(&host);
    chunk_free(&chunk);
}

/* What is no MessagePack, ends in the middle or claims to be longer than it is: answered, and read no further. */
void odd_bytes(const char *path) {
    struct server *server = server_start();
    struct host host = host_start(path, newest, 0);
    struct instance *instance = instance_start(&host, server_dsn(server), "ack");
    struct chunk chunk = chunk_of(2, 0, 1, 20);
    for (size_t length = 0; length < chunk.length; length += 3) {
        int answer = instance_flush(instance, chunk.bytes, length, "cut");
        EXPECT(answer >= OUT_SENTRY_ERROR && answer <= OUT_SENTRY_RETRY, "an answer, found %d", answer);
    }
    unsigned char bytes[6] = {0, 0xff, 0xff, 0xff, 0xff, 0xff};
    for (int marker = 0; marker < 256; marker++) {
        bytes[0] = (unsigned char)marker;
        int answer = instance_flush(instance, bytes, sizeof bytes, "\xff\xfe");
        EXPECT(answer >= OUT_SENTRY_ERROR && answer <= OUT_SENTRY_RETRY, "an answer, found %d", answer);
    }
    chunk_free(&chunk);
    instance_stop(instance, 0);
    host_stop(&host);
    server_stop(server);
}
