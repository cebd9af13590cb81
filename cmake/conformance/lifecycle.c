/* Reloads, refusals, ends and beginnings. */
#include "check.h"
#include "chunk.h"
#include "coroutine.h"
#include "host.h"
#include "scenarios.h"
#include "server.h"

#include <time.h>
#include <unistd.h>

static void deliver(struct instance *instance, int first) {
    struct chunk chunk = chunk_of(instance->host->generation->record_format, first, 20, 40);
    instance_deliver(instance, chunk.bytes, chunk.length, "kube.app");
    chunk_free(&chunk);
}

static void expect_logs(struct server *server, long logs) {
    EXPECT(server_logs(server) == logs, "%ld logs, found %ld", logs, server_logs(server));
}

/* The new configuration is registered while the old one runs; it starts when the old one's library was closed. */
void hot_reload(const char *path) {
    struct server *server = server_start();
    struct host host = host_start(path, newest, 0);
    struct instance *instance = instance_start(&host, server_dsn(server), "memory");
    int number = 0;
    for (int reload = 0; reload < 3; reload++) {
        deliver(instance, 20 * number++);
        struct host next = host_start(path, newest, 1);
        deliver(instance, 20 * number++);
        instance_stop(instance, 1);
        expect_logs(server, 20 * number);
        host_stop(&host);
        host = next;
        instance = instance_start(&host, server_dsn(server), reload % 2 ? "memory" : "ack");
        deliver(instance, 20 * number++);
    }
    instance_stop(instance, 0);
    expect_logs(server, 20 * number);
    host_stop(&host);
    server_stop(server);
}

/* The new configuration is wrong elsewhere: its registration is taken back, and the old one goes on. */
void refused_reload(const char *path) {
    struct server *server = server_start();
    struct host host = host_start(path, newest, 0);
    struct instance *instance = instance_start(&host, server_dsn(server), "memory");
    deliver(instance, 0);
    struct host next = host_start(path, newest, 1);
    host_stop(&next);
    deliver(instance, 20);
    instance_stop(instance, 0);
    expect_logs(server, 40);
    host_stop(&host);
    server_stop(server);
}

/* A thread that was joined may be listed a moment longer. */
static void expect_no_more_threads_than(int threads) {
    for (int wait = 0; wait < 200 && threads_now() > threads; wait++) {
        usleep(10 * 1000);
    }
    EXPECT(threads_now() <= threads, "%d threads, found %d", threads, threads_now());
}

static void init_in_vain(struct host *host, const char *option, const char *value) {
    struct instance *instance = instance_new(host, option, value, "proxy", "none", NULL);
    EXPECT(instance_init(instance) == OUT_SENTRY_ERROR, "ERROR of Init for %s = %s", option, value);
    EXPECT(!instance->context->remote_context, "a context as it was");
    EXPECT(instance->errors > 0, "a reason in the log");
    instance_free(instance);
}

/* There is no ExitCtx after a failed Init: what it made must be gone already. */
void failing_init(const char *path) {
    struct host host = host_start(path, newest, 0);
    init_in_vain(&host, "dsn", "nonsense");
    int threads = threads_now(), files = files_now();
    for (int round = 0; round < 5; round++) {
        init_in_vain(&host, "dsn", "nonsense");
        init_in_vain(&host, "dsn", "");
        init_in_vain(&host, "senders", "many");
        init_in_vain(&host, "tls_ca_file", "/proc/nowhere");
    }
    expect_no_more_threads_than(threads);
    EXPECT(files_now() == files, "%d files, found %d", files, files_now());
    struct server *server = server_start();
    struct instance *instance = instance_start(&host, server_dsn(server), "memory");
    deliver(instance, 0);
    instance_stop(instance, 0);
    expect_logs(server, 20);
    server_stop(server);
    host_stop(&host);
}

/* Whoever loads and closes it again and again has nothing more than before. */
void load_cycles(const char *path) {
    struct server *server = server_start();
    int threads = threads_now(), files = 0;
    for (int cycle = 0; cycle < 6; cycle++) {
        struct host host = host_start(path, newest, 0);
        struct instance *instance = instance_start(&host, server_dsn(server), "memory");
        deliver(instance, 20 * cycle);
        instance_stop(instance, 0);
        expect_logs(server, 20 * (cycle + 1));
        host_stop(&host);
        expect_no_more_threads_than(threads);
        /* The server closes its ends when it sees ours closed. */
        usleep(100 * 1000);
        if (cycle == 0) {
            files = files_now();
        }
        EXPECT(files_now() <= files, "%d files, found %d", files, files_now());
    }
    server_stop(server);
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void exit_from(const char *path, const char *dsn) {
    struct host host = host_start(path, newest, 0);
    struct instance *instance = instance_new(&host, "dsn", dsn, "delivery", "memory", "exit_timeout", "500ms", "proxy",
                                             "none", "retry_base", "20ms", "retry_max", "20ms", NULL);
    int threads = threads_now();
    EXPECT(instance_init(instance) == OUT_SENTRY_OK, "Init");
    deliver(instance, 0);
    double start = seconds();
    instance_stop(instance, 0);
    double took = seconds() - start;
    printf("    %.2f s\n", took);
    /* A second beyond exit_timeout is the promise; another one is for a machine with much to do. */
    EXPECT(took < 2.5 || watched_by_valgrind(), "1.5 s, found %.2f s", took);
    expect_no_more_threads_than(threads);
    host_stop(&host);
}

/* Chunks wait, and nobody is there or nobody answers: the host is not kept longer than it was told, and nothing is left
 * running. */
void exit_in_time(const char *path) {
    exit_from(path, dead_dsn());
    exit_from(path, silent_dsn());
}
