/* An output plugin that does what its options say and writes down every call, to test the companion's host with.
 *
 * Compiled with -DTRACE="file". Further switches: OVERRUN (writes event_type, which older hosts do not have),
 * REFUSE (Register answers -1), PLAIN (the exports of before 1.1: no contexts). */
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct definition { int type; int proxy; int flags; char *name; char *description; int event_type; void *config_map; };
struct context { void *remote_context; void *proxy; };
struct api {
    const char *(*output_get_property)(const char *, void *);
    const char *(*input_get_property)(const char *, void *);
    void *(*output_get_cmt_instance)(void *);
    void *(*input_get_cmt_instance)(void *);
    void (*log_print)(int, const char *, int, const char *, ...);
    int (*input_log_check)(void *, int);
    int (*output_log_check)(void *, int);
};
struct plugin { char *name; struct api *api; void *o_ins; struct context *context; };
struct instance { struct api *api; void *o_ins; char *id; char *save; int retries; int answer; int meet; int flushes; };

static int pre_registered; /* only hosts with log functions call FLBPluginPreRegister */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t met = PTHREAD_COND_INITIALIZER;
static int inside;

static void trace(const char *format, ...)
{
    char line[512];
    va_list arguments;
    int file = open(TRACE, O_CREAT | O_APPEND | O_WRONLY, 0600);
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (write(file, line, length) != length) abort();
    close(file);
}

static void say(struct instance *self, int level, const char *text)
{
    if (pre_registered && self->api->output_log_check(self->o_ins, level)) {
        self->api->log_print(level, __FILE__, __LINE__, "%s", text);
    }
}

static char *option(struct instance *self, const char *key)
{
    const char *value = self->api->output_get_property(key, self->o_ins);
    return value ? strdup(value) : NULL;
}

static int number(struct instance *self, const char *key, int otherwise)
{
    const char *value = self->api->output_get_property(key, self->o_ins);
    return value ? atoi(value) : otherwise;
}

static void destroy(struct instance *self)
{
    free(self->id);
    free(self->save);
    free(self);
}

int FLBPluginPreRegister(int hot_reloading)
{
    pre_registered = 1;
    trace("PreRegister %d\n", hot_reloading);
    return 0;
}

int FLBPluginRegister(struct definition *definition)
{
    trace("Register type=%d\n", definition->type);
#ifdef REFUSE
    return -1;
#endif
    definition->type = 2;
    definition->proxy = 11;
    definition->flags = 0;
    definition->name = "probe";
    definition->description = "a plugin to test hosts with";
#ifdef OVERRUN
    definition->event_type = 0;
#endif
    return 0;
}

int FLBPluginInit(struct plugin *plugin)
{
    struct instance *self = calloc(1, sizeof *self);
    self->api = plugin->api;
    self->o_ins = plugin->o_ins;
    self->id = option(self, "ID");
    self->save = option(self, "save");
    self->retries = number(self, "retries", 0);
    self->answer = number(self, "answer", 1);
    self->meet = number(self, "meet", 0);
    trace("Init %s of %s\n", self->id ? self->id : "-", plugin->name);
    char *problem = option(self, "problem");
    if (problem) {
        say(self, 1, problem);
        free(problem);
        destroy(self); /* the host calls no Exit after a failed Init */
        return 0;
    }
    char *shown = option(self, "show");
    char *value = shown ? option(self, shown) : NULL;
    if (shown) trace("%s=%s\n", shown, value ? value : "NULL");
    free(shown);
    free(value);
    if (pre_registered && !plugin->api->output_get_cmt_instance(plugin->o_ins)) abort();
    say(self, 3, "ready");
    say(self, 4, "ready in detail");
    plugin->context->remote_context = self;
    return 1;
}

/* Waits until so many flushes are inside at the same time. */
static int meet(struct instance *self)
{
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += 20;
    pthread_mutex_lock(&lock);
    inside++;
    pthread_cond_broadcast(&met);
    int late = 0;
    while (inside < self->meet && !late) late = pthread_cond_timedwait(&met, &lock, &end);
    pthread_mutex_unlock(&lock);
    return late ? 0 : 1;
}

static void *speak(void *self)
{
    say(self, 2, "from a thread");
    return NULL;
}

static int flush(struct instance *self, const void *data, size_t size, const char *tag)
{
    if (!data) return 0;
    trace("Flush %s %s %zu\n", self && self->id ? self->id : "-", tag, size);
    if (!self) return 1;
    pthread_t thread;
    if (pthread_create(&thread, NULL, speak, self) == 0) pthread_join(thread, NULL);
    if (self->meet && !meet(self)) return 0;
    pthread_mutex_lock(&lock);
    int flushes = self->flushes++;
    pthread_mutex_unlock(&lock);
    if (flushes < self->retries) return 2;
    if (self->answer == 1 && self->save) {
        int file = open(self->save, O_CREAT | O_APPEND | O_WRONLY, 0600);
        if (write(file, data, size) != (ssize_t) size) abort();
        close(file);
    }
    return self->answer;
}

#ifdef PLAIN
int FLBPluginFlush(const void *data, size_t size, const char *tag) { return flush(NULL, data, size, tag); }
int FLBPluginExit(void) { trace("Exit\n"); return 1; }
#else
int FLBPluginFlush(const void *data, size_t size, const char *tag)
{
    (void) data; (void) size; (void) tag;
    trace("the wrong flush\n");
    return 0;
}
int FLBPluginExit(void) { trace("the wrong exit\n"); return 1; }
int FLBPluginFlushCtx(void *self, const void *data, size_t size, const char *tag) { return flush(self, data, size, tag); }

int FLBPluginExitCtx(void *context)
{
    struct instance *self = context;
    char line[512];
    char *summary = option(self, "summary");
    trace("ExitCtx %s\n", self->id ? self->id : "-");
    if (summary) {
        snprintf(line, sizeof line, "[output:probe:%s] summary: %s", self->id ? self->id : "-", summary);
        say(self, 3, line);
    }
    free(summary);
    destroy(self);
    return 1;
}
#endif

int FLBPluginOutputPreRun(int enable_hot_reload) { trace("PreRun %d\n", enable_hot_reload); return 0; }
void FLBPluginOutputPreExit(int by_hot_reload) { trace("PreExit %d\n", by_hot_reload); }
void FLBPluginUnregister(struct definition *definition) { trace("Unregister %s\n", definition->name); }
