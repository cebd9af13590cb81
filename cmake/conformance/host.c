#include "host.h"

#include "check.h"

#include <dirent.h>
#include <dlfcn.h>
#include <malloc.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAGIC 0x5e27a9u
/* What memory holds where nobody wrote: no pointer, no zero, no length. */
#define GARBAGE 0xa5

const struct generation generations[GENERATIONS] = {
    {"1.9", sizeof(struct out_sentry_definition), sizeof(struct out_sentry_api_1_9), 1, 0, 0},
    {"2.0", sizeof(struct out_sentry_definition), sizeof(struct out_sentry_api_2_0), 1, 0, 0},
    {"2.2", sizeof(struct out_sentry_definition), sizeof(struct out_sentry_api_2_0), 2, 1, 0},
    {"4.0.3", sizeof(struct out_sentry_definition), sizeof(struct out_sentry_api), 2, 1, 0},
    {"4.2.3", sizeof(struct out_sentry_definition_4_2), sizeof(struct out_sentry_api), 2, 1, 1},
    {"5.1.1", sizeof(struct out_sentry_definition_5_1), sizeof(struct out_sentry_api), 2, 1, 1},
};
const struct generation *const oldest = &generations[0];
const struct generation *const newest = &generations[GENERATIONS - 1];

/* --- The library --- */

static void *symbol(void *handle, const char *name) {
    void *found = dlsym(handle, name);
    EXPECT(found, "%s in the library", name);
    return found;
}

/* ISO C has no conversion from an object's address to a function's; POSIX has it. */
#define LOOK_UP(field, name)                                                                                          \
    do {                                                                                                              \
        void *address = symbol(library.handle, name);                                                                 \
        memcpy(&library.field, &address, sizeof address);                                                             \
    } while (0)

struct library library_open(const char *path) {
    struct library library;
    library.handle = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
    EXPECT(library.handle, "%s", dlerror());
    LOOK_UP(pre_register, "FLBPluginPreRegister");
    LOOK_UP(register_, "FLBPluginRegister");
    LOOK_UP(init, "FLBPluginInit");
    LOOK_UP(flush_ctx, "FLBPluginFlushCtx");
    LOOK_UP(flush, "FLBPluginFlush");
    LOOK_UP(exit_ctx, "FLBPluginExitCtx");
    LOOK_UP(exit, "FLBPluginExit");
    LOOK_UP(unregister, "FLBPluginUnregister");
    LOOK_UP(pre_run, "FLBPluginOutputPreRun");
    LOOK_UP(pre_exit, "FLBPluginOutputPreExit");
    return library;
}

void library_close(struct library *library) {
    EXPECT(dlclose(library->handle) == 0, "%s", dlerror());
    memset(library, 0, sizeof *library);
}

/* --- Memory with an end --- */

static size_t pages_for(size_t size) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (size + page - 1) / page * page;
}

void *guarded_new(size_t size) {
    size_t readable = pages_for(size), page = (size_t)sysconf(_SC_PAGESIZE);
    char *map = mmap(NULL, readable + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT(map != MAP_FAILED, "memory");
    memset(map, GARBAGE, readable);
    EXPECT(mprotect(map + readable, page, PROT_NONE) == 0, "a guard page");
    return map + readable - size;
}

void guarded_free(void *at, size_t size) {
    size_t readable = pages_for(size), page = (size_t)sysconf(_SC_PAGESIZE);
    munmap((char *)at + size - readable, readable + page);
}

/* --- The function table --- */

static struct instance *checked(void *address) {
    struct instance *instance = address;
    EXPECT(instance && instance->magic == MAGIC, "an instance that lives, found %p", address);
    return instance;
}

/* An empty value counts as none, and the first of a name wins. */
static const char *get_property(const char *name, void *address) {
    struct instance *instance = checked(address);
    for (const char **option = instance->options; *option; option += 2) {
        if (strcasecmp(option[0], name) == 0) {
            return option[1][0] ? option[1] : NULL;
        }
    }
    return NULL;
}

/* As a host that was built without metrics. */
static void *get_metrics(void *address) {
    checked(address);
    return NULL;
}

static int log_check(void *address, int level) {
    struct instance *instance = checked(address);
    EXPECT(level >= OUT_SENTRY_LOG_ERROR && level <= OUT_SENTRY_LOG_TRACE, "a level, found %d", level);
    atomic_fetch_add(&instance->lines, 1);
    atomic_fetch_add(&instance->errors, level == OUT_SENTRY_LOG_ERROR);
    atomic_fetch_add(&instance->warnings, level == OUT_SENTRY_LOG_WARN);
    return level <= OUT_SENTRY_LOG_INFO;
}

static void log_print(int level, const char *file, int line, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    EXPECT(file && strcmp(format, "%s") == 0, "text that is no format, found %s", format);
    printf("    [%d] ", level);
    vprintf(format, arguments);
    putchar('\n');
    (void)line;
    va_end(arguments);
}

static void never(void) {
    EXPECT(0, "the plugin called a function of the table that is not for it");
}

static const char *no_property(const char *name, void *address) {
    (void)name, (void)address;
    never();
    return NULL;
}

static void *no_metrics(void *address) {
    (void)address;
    never();
    return NULL;
}

static int no_check(void *address, int level) {
    (void)address, (void)level;
    never();
    return 0;
}

static void no_print(int level, const char *file, int line, const char *format, ...) {
    (void)level, (void)file, (void)line, (void)format;
    never();
}

/* A host without hooks has shown nothing of its age: the plugin may not call what it might not have. */
static void *api_new(const struct generation *generation) {
    int known = generation->hooks;
    struct out_sentry_api full = {
        .base = {
            .output_get_property = get_property,
            .input_get_property = no_property,
            .output_get_cmt_instance = known ? get_metrics : no_metrics,
            .input_get_cmt_instance = no_metrics,
            .log_print = known ? log_print : no_print,
            .input_log_check = no_check,
            .output_log_check = known ? log_check : no_check,
        },
        .custom_get_property = no_property,
        .custom_log_check = no_check,
    };
    void *api = guarded_new(generation->api_size);
    memcpy(api, &full, generation->api_size);
    return api;
}

/* --- A registered plugin --- */

struct out_sentry_definition *definition_new(size_t size, unsigned char before) {
    struct out_sentry_definition *definition = malloc(size);
    EXPECT(definition, "memory");
    memset(definition, before, malloc_usable_size(definition));
    return definition;
}

int declared_options(const struct out_sentry_definition *definition, size_t size) {
    if (size < sizeof(struct out_sentry_definition_5_1)) {
        return 0;
    }
    const struct out_sentry_config_map *option = ((const struct out_sentry_definition_5_1 *)definition)->config_map;
    int count = 0;
    for (; option && option->name; option++, count++) {
        EXPECT(strlen(option->name) > 0 && option->description && strlen(option->description) > 0, "%d", count);
        EXPECT(!option->default_value || !strstr(option->default_value, "${"), "a plain default of %s", option->name);
        EXPECT(option->flags == 0 && option->set_property == 0 && option->offset == 0, "no more of %s", option->name);
        EXPECT(option->type == 0 || option->type == 30 || (option->type > 1 && option->type < 7), "%s", option->name);
    }
    return count;
}

/* As long as the first four fields: all that the plugin may read. */
#define SHARED_SIZE offsetof(struct out_sentry_plugin, callbacks)

struct host host_start(const char *path, const struct generation *generation, int hot_reloading) {
    struct host host = {.generation = generation, .library = library_open(path)};
    if (generation->hooks) {
        EXPECT(host.library.pre_register(hot_reloading) == 0, "PreRegister");
    }
    host.definition = definition_new(generation->definition_size, generation->zeroed ? 0 : GARBAGE);
    EXPECT(host.library.register_(host.definition) == 0, "Register");
    int options = declared_options(host.definition, generation->definition_size);
    EXPECT(generation == newest ? options > 50 : options == 0, "options of the newest only, found %d", options);
    EXPECT(strcmp(host.definition->name, "sentry") == 0, "found %s", host.definition->name);
    host.api = api_new(generation);
    host.shared = guarded_new(SHARED_SIZE);
    return host;
}

void host_stop(struct host *host) {
    /* What was declared is read until here, whatever other registrations have come and gone. */
    declared_options(host->definition, host->generation->definition_size);
    host->library.unregister(host->definition);
    free(host->definition);
    guarded_free(host->api, host->generation->api_size);
    guarded_free(host->shared, SHARED_SIZE);
    library_close(&host->library);
}

/* --- Instances --- */

static struct instance *instance_of(struct host *host, va_list options) {
    struct instance *instance = calloc(1, sizeof *instance);
    EXPECT(instance, "memory");
    instance->magic = MAGIC;
    instance->host = host;
    for (size_t at = 0; at < 2 * OPTIONS_MAX - 1; at++) {
        instance->options[at] = va_arg(options, const char *);
        if (!instance->options[at]) {
            break;
        }
    }
    instance->context = calloc(1, sizeof *instance->context);
    EXPECT(instance->context, "memory");
    return instance;
}

struct instance *instance_new(struct host *host, ...) {
    va_list options;
    va_start(options, host);
    struct instance *instance = instance_of(host, options);
    va_end(options);
    return instance;
}

int instance_init(struct instance *instance) {
    struct host *host = instance->host;
    host->shared->name = "sentry";
    host->shared->api = host->api;
    host->shared->instance = instance;
    host->shared->context = instance->context;
    int answer = host->library.init(host->shared);
    /* The next instance's values come in here: nothing may be read of it any more. */
    memset(host->shared, GARBAGE, SHARED_SIZE);
    return answer;
}

struct instance *instance_start(struct host *host, const char *dsn, const char *delivery) {
    struct instance *instance =
        instance_new(host, "dsn", dsn, "delivery", delivery, "proxy", "none", "compress", "none", "batch_timeout", "20ms",
                     "retry_base", "20ms", "retry_max", "100ms", "ack_timeout", "5s", "exit_timeout", "20s", "logs_level",
                     "trace", "queue_max_size", "64M", "storm_burst", "0", "event_rate", "0", NULL);
    EXPECT(instance_init(instance) == OUT_SENTRY_OK, "Init");
    EXPECT(instance->context->remote_context, "a context");
    if (host->generation->hooks) {
        EXPECT(host->library.pre_run(0) == 0, "OutputPreRun");
    }
    return instance;
}

static void *copy_of(const void *bytes, size_t length) {
    void *copy = malloc(length ? length : 1);
    EXPECT(copy, "memory");
    memcpy(copy, bytes, length);
    return copy;
}

int instance_flush(struct instance *instance, const void *chunk, size_t length, const char *tag) {
    size_t tag_length = strlen(tag) + 1;
    char *chunk_copy = copy_of(chunk, length), *tag_copy = copy_of(tag, tag_length);
    int answer = instance->host->library.flush_ctx(instance->context->remote_context, chunk_copy, length, tag_copy);
    memset(chunk_copy, GARBAGE, length);
    memset(tag_copy, GARBAGE, tag_length);
    free(chunk_copy);
    free(tag_copy);
    return answer;
}

void instance_deliver(struct instance *instance, const void *chunk, size_t length, const char *tag) {
    int answer = OUT_SENTRY_RETRY;
    for (int attempt = 0; attempt < 2000 && answer == OUT_SENTRY_RETRY; attempt++) {
        answer = instance_flush(instance, chunk, length, tag);
        if (answer == OUT_SENTRY_RETRY) {
            usleep(10 * 1000);
        }
    }
    EXPECT(answer == OUT_SENTRY_OK, "OK, found %d", answer);
}

void instance_stop(struct instance *instance, int hot_reloading) {
    struct library *library = &instance->host->library;
    if (instance->host->generation->hooks) {
        library->pre_exit(hot_reloading);
    }
    EXPECT(library->exit_ctx(instance->context->remote_context) == OUT_SENTRY_OK, "ExitCtx");
    instance_free(instance);
}

void instance_free(struct instance *instance) {
    instance->magic = 0;
    free(instance->context);
    free(instance);
}

/* --- This process --- */

static int entries(const char *path) {
    DIR *directory = opendir(path);
    EXPECT(directory, "%s", path);
    int count = 0;
    for (struct dirent *entry = readdir(directory); entry; entry = readdir(directory)) {
        count += entry->d_name[0] != '.';
    }
    closedir(directory);
    return count;
}

int threads_now(void) {
    return entries("/proc/self/task");
}

int files_now(void) {
    return entries("/proc/self/fd");
}
