#include "server.h"

#include "check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS 64
#define KEY "0123456789abcdef0123456789abcdef"

struct connection {
    int socket;
    char *bytes; /* what came and is not answered yet, and a NUL */
    size_t length;
};

struct server {
    int listener;
    char dsn[96];
    pthread_t thread;
    atomic_bool stopping;
    atomic_long logs;
    atomic_long events;
    struct connection connections[CONNECTIONS];
};

static int bind_on_loopback(unsigned short *port) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    EXPECT(listener >= 0, "a socket");
    EXPECT(bind(listener, (struct sockaddr *)&address, length) == 0, "a port");
    EXPECT(getsockname(listener, (struct sockaddr *)&address, &length) == 0, "its number");
    *port = ntohs(address.sin_port);
    return listener;
}

/* Sums the numbers behind each `key`; without a number it counts as one. */
static long sum(const char *body, const char *key) {
    long total = 0;
    for (const char *at = strstr(body, key); at; at = strstr(at + 1, key)) {
        char *end;
        const char *number = at + strlen(key);
        long value = strtol(number, &end, 10);
        total += end == number ? 1 : value;
    }
    return total;
}

static void take(struct server *server, const char *body) {
    atomic_fetch_add(&server->logs, sum(body, "\"item_count\":"));
    atomic_fetch_add(&server->events, sum(body, "{\"type\":\"event\""));
}

/* The length of the first request in the buffer; 0 as long as it is not complete. */
static size_t request_length(const struct connection *connection, const char **body) {
    const char *head_end = strstr(connection->bytes, "\r\n\r\n");
    if (!head_end) {
        return 0;
    }
    /* The question at the start, whether anybody is there, has no body and says so by not naming one. */
    const char *field = strcasestr(connection->bytes, "\r\ncontent-length:");
    int has_body = strncmp(connection->bytes, "OPTIONS ", strlen("OPTIONS ")) != 0;
    EXPECT(!has_body || (field && field < head_end), "a Content-Length");
    size_t length = has_body ? strtoul(field + strlen("\r\ncontent-length:"), NULL, 10) : 0;
    *body = head_end + 4;
    size_t total = (size_t)(*body - connection->bytes) + length;
    return total <= connection->length ? total : 0;
}

static void drop(struct connection *connection) {
    close(connection->socket);
    free(connection->bytes);
    *connection = (struct connection){.socket = -1};
}

static void answer(struct server *server, struct connection *connection) {
    static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
    const char *body;
    for (size_t length; (length = request_length(connection, &body));) {
        char kept = connection->bytes[length];
        connection->bytes[length] = '\0';
        take(server, body);
        connection->bytes[length] = kept;
        connection->length -= length;
        memmove(connection->bytes, connection->bytes + length, connection->length + 1);
        if (send(connection->socket, ok, sizeof ok - 1, MSG_NOSIGNAL) < 0) {
            return;
        }
    }
}

static void hear(struct server *server, struct connection *connection) {
    char part[65536];
    ssize_t length = recv(connection->socket, part, sizeof part, 0);
    if (length <= 0) {
        drop(connection);
        return;
    }
    connection->bytes = realloc(connection->bytes, connection->length + (size_t)length + 1);
    EXPECT(connection->bytes, "memory");
    memcpy(connection->bytes + connection->length, part, (size_t)length);
    connection->length += (size_t)length;
    connection->bytes[connection->length] = '\0';
    answer(server, connection);
}

static void meet(struct server *server) {
    int socket = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
    for (int at = 0; socket >= 0 && at < CONNECTIONS; at++) {
        if (server->connections[at].socket < 0) {
            server->connections[at].socket = socket;
            return;
        }
    }
    EXPECT(socket < 0, "fewer than %d connections", CONNECTIONS);
}

static void *serve(void *argument) {
    struct server *server = argument;
    while (!atomic_load(&server->stopping)) {
        struct pollfd polled[CONNECTIONS + 1] = {{.fd = server->listener, .events = POLLIN}};
        for (int at = 0; at < CONNECTIONS; at++) {
            polled[at + 1] = (struct pollfd){.fd = server->connections[at].socket, .events = POLLIN};
        }
        EXPECT(poll(polled, CONNECTIONS + 1, 20) >= 0 || errno == EINTR, "poll");
        for (int at = 0; at < CONNECTIONS; at++) {
            if (polled[at + 1].revents) {
                hear(server, &server->connections[at]);
            }
        }
        if (polled[0].revents) {
            meet(server);
        }
    }
    return NULL;
}

struct server *server_start(void) {
    struct server *server = calloc(1, sizeof *server);
    EXPECT(server, "memory");
    unsigned short port;
    server->listener = bind_on_loopback(&port);
    EXPECT(listen(server->listener, CONNECTIONS) == 0, "to listen");
    snprintf(server->dsn, sizeof server->dsn, "http://" KEY "@127.0.0.1:%u/1", port);
    for (int at = 0; at < CONNECTIONS; at++) {
        server->connections[at].socket = -1;
    }
    EXPECT(pthread_create(&server->thread, NULL, serve, server) == 0, "a thread");
    return server;
}

const char *server_dsn(const struct server *server) {
    return server->dsn;
}

long server_logs(struct server *server) {
    return atomic_load(&server->logs);
}

long server_events(struct server *server) {
    return atomic_load(&server->events);
}

void server_stop(struct server *server) {
    atomic_store(&server->stopping, 1);
    pthread_join(server->thread, NULL);
    for (int at = 0; at < CONNECTIONS; at++) {
        if (server->connections[at].socket >= 0) {
            drop(&server->connections[at]);
        }
    }
    close(server->listener);
    free(server);
}

/* Held until the process ends, so that nobody else can have the port. */
static const char *lonely_dsn(char *dsn, size_t size, int listening) {
    if (!dsn[0]) {
        unsigned short port;
        int socket = bind_on_loopback(&port);
        EXPECT(!listening || listen(socket, CONNECTIONS) == 0, "to listen");
        snprintf(dsn, size, "http://" KEY "@127.0.0.1:%u/1", port);
    }
    return dsn;
}

const char *dead_dsn(void) {
    static char dsn[96];
    return lonely_dsn(dsn, sizeof dsn, 0);
}

const char *silent_dsn(void) {
    static char dsn[96];
    return lonely_dsn(dsn, sizeof dsn, 1);
}
