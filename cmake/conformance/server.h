/* A server on the loopback interface that takes every envelope and counts what is in it. */
#ifndef SERVER_H
#define SERVER_H

struct server;

struct server *server_start(void);
/* Where to send; valid as long as the server. */
const char *server_dsn(const struct server *server);
/* Logs in envelopes so far. */
long server_logs(struct server *server);
/* Events in envelopes so far. */
long server_events(struct server *server);
void server_stop(struct server *server);

/* A DSN at which nobody answers. */
const char *dead_dsn(void);
/* One at which connections are taken, and nothing is ever answered. */
const char *silent_dsn(void);

#endif
