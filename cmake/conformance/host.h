/* A host as the plugin meets it: the loaded library, definitions, function tables and instances, each exactly as long as
 * a host of the generation would have it, and nothing readable behind it where that can be had. */
#ifndef HOST_H
#define HOST_H

#include "out_sentry.h"

#include <stdatomic.h>

/* A release of Fluent Bit, as far as a plugin can tell one from another. */
struct generation {
    const char *name;
    size_t definition_size;
    size_t api_size;
    int record_format;
    int hooks;  /* PreRegister, OutputPreRun and OutputPreExit are called */
    int zeroed; /* the definition is cleared before Register */
};

#define GENERATIONS 6
extern const struct generation generations[GENERATIONS];
extern const struct generation *const oldest;
extern const struct generation *const newest;

/* The library with what dlsym found in it. */
struct library {
    void *handle;
    int (*pre_register)(int);
    int (*register_)(struct out_sentry_definition *);
    int (*init)(const struct out_sentry_plugin *);
    int (*flush_ctx)(void *, const void *, size_t, const char *);
    int (*flush)(const void *, size_t, const char *);
    int (*exit_ctx)(void *);
    int (*exit)(void);
    void (*unregister)(struct out_sentry_definition *);
    int (*pre_run)(int);
    void (*pre_exit)(int);
};

struct library library_open(const char *path);
void library_close(struct library *library);

/* Bytes on pages of their own, ending where an unreadable page begins. Filled with garbage. */
void *guarded_new(size_t size);
void guarded_free(void *at, size_t size);

/* A plugin registered in a host of a generation: what all its instances share. */
struct host {
    const struct generation *generation;
    struct library library;
    struct out_sentry_definition *definition;
    void *api;
    struct out_sentry_plugin *shared; /* as long as its first four fields */
};

/* A definition in memory of the heap, filled with this byte, as long as a host of the generation has it and no longer: the
 * plugin asks the allocator how much room there is. To be freed. */
struct out_sentry_definition *definition_new(size_t size, unsigned char before);
/* How many options the definition declares; fails on one that is not as a host wants it. 0 where it declares none. */
int declared_options(const struct out_sentry_definition *definition, size_t size);

/* dlopen, PreRegister, Register. */
struct host host_start(const char *path, const struct generation *generation, int hot_reloading);
/* Unregister, dlclose. */
void host_stop(struct host *host);

#define OPTIONS_MAX 16

/* One [OUTPUT] section. */
struct instance {
    unsigned magic;
    struct host *host;
    const char *options[2 * OPTIONS_MAX]; /* name, value, ... NULL */
    struct out_sentry_context *context;
    atomic_int errors; /* lines logged, by level */
    atomic_int warnings;
    atomic_int lines;
};

/* Names and values in turn, then NULL. Nothing is told to the plugin yet. */
struct instance *instance_new(struct host *host, ...);
/* Init; what it answered. */
int instance_init(struct instance *instance);
/* new, Init, OutputPreRun; fails the scenario if Init does. Options that every scenario wants are added. */
struct instance *instance_start(struct host *host, const char *dsn, const char *delivery);
/* FlushCtx on copies of bytes and tag that are gone when it returns, as in a host. */
int instance_flush(struct instance *instance, const void *chunk, size_t length, const char *tag);
/* Brings the chunk again as long as the answer is RETRY. */
void instance_deliver(struct instance *instance, const void *chunk, size_t length, const char *tag);
/* OutputPreExit, ExitCtx, and the instance is gone. */
void instance_stop(struct instance *instance, int hot_reloading);
/* The instance is gone, without a call: what the host does after a failed Init. */
void instance_free(struct instance *instance);

/* How many threads and open files this process has. */
int threads_now(void);
int files_now(void);

#endif
