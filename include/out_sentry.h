/*
 * out_sentry.h: what passes between Fluent Bit and its output plugin `sentry`.
 *
 * Fluent Bit loads the plugin through the interface it made for plugins written in Go: it looks up symbols that begin with
 * `FLBPlugin`, and hands over a few structures of its own. This header describes both, for hosts, for test programs and for
 * packagers who want to know what they ship. It needs no header of Fluent Bit, and can be included together with them:
 * every name here begins with `out_sentry_` or is a symbol of the plugin.
 *
 * The structures grew over the years and carry neither a version nor a length. What is described for a generation is there
 * from that release of Fluent Bit on:
 *
 *     release    definition          function table      record                        calls
 *     1.9        32 bytes            1 function          [time, body]                  Register ... Unregister
 *     2.0                            7 functions
 *     2.1                                                [[time, metadata], body]
 *     2.2                                                                              PreRegister, OutputPreRun, OutputPreExit
 *     4.0.3                          9 functions
 *     4.2.3      40 bytes, zeroed
 *     5.1.1      48 bytes
 *
 * Sizes and offsets are asserted below for hosts of 64 bits, and by the plugin's own sources for the same fields; a test
 * compiles this file and compares the two.
 *
 * Licence: Apache-2.0.
 */
#ifndef OUT_SENTRY_H
#define OUT_SENTRY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#define OUT_SENTRY_ASSERT(condition, what) static_assert(condition, what)
#else
#define OUT_SENTRY_ASSERT(condition, what) _Static_assert(condition, what)
#endif

/* --- Numbers ------------------------------------------------------------------------------------------------------ */

/* What the plugin says it is, in `type` and `proxy` of its definition. */
#define OUT_SENTRY_TYPE_OUTPUT 2
#define OUT_SENTRY_PROXY_GOLANG 11

/* What Init and a flush answer. The host takes any other answer of a flush for ERROR. */
#define OUT_SENTRY_ERROR 0 /* flush: drop the chunk; Init: the options cannot work, and the log says why */
#define OUT_SENTRY_OK 1    /* flush: the chunk is the plugin's now; Init: the instance is there */
#define OUT_SENTRY_RETRY 2 /* flush: keep the chunk and bring it again */

/* Levels of the host's log. */
#define OUT_SENTRY_LOG_ERROR 1
#define OUT_SENTRY_LOG_WARN 2
#define OUT_SENTRY_LOG_INFO 3
#define OUT_SENTRY_LOG_DEBUG 4
#define OUT_SENTRY_LOG_TRACE 5

/* --- The definition: filled in by Register ------------------------------------------------------------------------ */

/*
 * As far as every host has it. The plugin writes these fields always.
 *
 * The host allocates exactly what its own release knows and, before 4.2.3, does not clear it. A plugin that writes a
 * later field on an older host writes over the heap. The host has to allocate it with the malloc or calloc whose
 * malloc_usable_size the plugin finds: that is how the plugin learns what it may write.
 */
struct out_sentry_definition {
    int type;                /* OUT_SENTRY_TYPE_OUTPUT */
    int proxy;               /* OUT_SENTRY_PROXY_GOLANG */
    int flags;               /* 0: the host's network layer is not used */
    const char *name;        /* "sentry"; static, valid as long as the process */
    const char *description; /* static too */
};

/* From 4.2.3 on. The host reads 0 as "logs", which is what the plugin leaves there. */
struct out_sentry_definition_4_2 {
    struct out_sentry_definition base;
    int event_type;
};

/*
 * An option of a plugin, from 5.1.1 on: struct flb_config_map. The plugin fills in the fields up to `description`; the host
 * uses the others in copies of its own.
 */
struct out_sentry_config_map {
    int type;                  /* FLB_CONFIG_MAP_*: 0 string, 2 int, 3 bool, 4 double, 5 size, 6 time, 30 comma list */
    const char *name;          /* NULL in the element that ends the array */
    const char *default_value; /* or NULL */
    int flags;                 /* 0: may be given once */
    int set_property;          /* 0: the plugin reads its values through output_get_property */
    uintptr_t offset;
    const char *description;
    void *value[5];
    void *list[2];
};

/*
 * From 5.1.1 on. An array that the plugin owns, valid as long as the process: with it the host refuses unknown options and
 * lists the known ones. Written only where malloc_usable_size(definition) is 48 or more and the host has called
 * FLBPluginPreRegister.
 */
struct out_sentry_definition_5_1 {
    struct out_sentry_definition_4_2 base;
    const struct out_sentry_config_map *config_map;
};

/* --- The host's function table ------------------------------------------------------------------------------------ */

/*
 * A property of an output by name, in any case; NULL if it is not set, is empty, or is one of those the host keeps for
 * itself (`Match`, `Alias`, `Workers`, `tls`, ...). The text belongs to the instance.
 */
typedef const char *(*out_sentry_get_property)(const char *name, void *instance);
/* The metrics context of an instance, or NULL. */
typedef void *(*out_sentry_get_metrics)(void *instance);
/* Prints a line as the host prints its own. Prints every level: ask the level's check first. */
typedef void (*out_sentry_log_print)(int level, const char *file, int line, const char *format, ...);
/* Whether lines of this level are wanted for an instance: 0 or 1. */
typedef int (*out_sentry_log_check)(void *instance, int level);

/* 1.9: the table ends after one pointer. */
struct out_sentry_api_1_9 {
    out_sentry_get_property output_get_property;
};

/*
 * From 2.0 on. The plugin reads behind the first field only in a host that has called FLBPluginPreRegister, which those
 * from 2.2 on do; before them it logs to standard error.
 */
struct out_sentry_api_2_0 {
    out_sentry_get_property output_get_property;
    out_sentry_get_property input_get_property;
    out_sentry_get_metrics output_get_cmt_instance;
    out_sentry_get_metrics input_get_cmt_instance;
    out_sentry_log_print log_print;
    out_sentry_log_check input_log_check;
    out_sentry_log_check output_log_check;
};

/* From 4.0.3 on. The plugin uses none of the additions. */
struct out_sentry_api {
    struct out_sentry_api_2_0 base;
    out_sentry_get_property custom_get_property;
    out_sentry_log_check custom_log_check;
};

/* --- What Init is given ------------------------------------------------------------------------------------------- */

/* One per instance, of the host's. Init stores in it what the host passes to each flush and to the exit. */
struct out_sentry_context {
    void *remote_context;
    void *proxy; /* the host's own */
};

/*
 * One per loaded plugin and shared by all its instances: before each Init the host rewrites `instance` and `context`. The
 * plugin reads the first four fields during Init, and keeps none of their addresses but `api` and `instance`.
 */
struct out_sentry_plugin {
    char *name;
    const void *api;                    /* one of the tables above; nothing here says which */
    void *instance;                     /* the host's output instance; valid until ExitCtx returns */
    struct out_sentry_context *context; /* valid until ExitCtx returns */
    void *callbacks[5];                 /* the host's own: what it found of Init, Flush, FlushCtx, Exit, ExitCtx */
};

/* --- Symbols of the plugin: these ten and no other ---------------------------------------------------------------- */

/*
 * The order of calls:
 *
 *     PreRegister(0)  Register                             main thread
 *     Init, once per [OUTPUT] section                      engine thread
 *     OutputPreRun, once per instance
 *     FlushCtx ...                                         engine or worker threads, several at once for one instance
 *     OutputPreExit  ExitCtx, once per instance            engine thread
 *     Unregister  dlclose                                  main thread
 *
 * A hot reload calls PreRegister(1) and Register for the new configuration while the old instances still run; then it ends
 * these, calls Unregister for the old definition and dlclose, and only then Init for the new ones. The library is linked
 * so that dlclose never unmaps it.
 *
 * No call unwinds or aborts. NULL is refused where something is needed: Register answers -1, Init and FlushCtx answer
 * OUT_SENTRY_ERROR, the others do nothing. A NULL tag is an empty one.
 */

/* Hosts from 2.2 on call it first, and by that say that their function table has seven functions at least. 0. */
int FLBPluginPreRegister(int hot_reloading);

/* Fills in the definition: its first 32 bytes, and `config_map` where there is room for it. 0, or -1 for NULL. */
int FLBPluginRegister(struct out_sentry_definition *definition);

/*
 * Makes an instance: reads its options through the function table, logs what is wrong with them, starts its threads, and
 * stores it in `plugin->context->remote_context`. OUT_SENTRY_OK or OUT_SENTRY_ERROR; after an error there is nothing to be
 * ended, and the context is as it was.
 */
int FLBPluginInit(const struct out_sentry_plugin *plugin);

/*
 * Takes a chunk of `length` bytes: MessagePack records one after the other, in either format. `data` and `tag` (ends with a
 * NUL) need to be valid during the call only.
 *
 * Needs less than 12 KiB of stack. May be called from several threads at once for one context; all calls have to have
 * returned before ExitCtx is called. With `delivery ack` it waits for Sentry, up to `ack_timeout`, and with a spool for
 * the disk; with `delivery memory` it does not wait.
 */
int FLBPluginFlushCtx(void *remote_context, const void *data, size_t length, const char *tag);

/* For hosts without contexts, of which there are none any more: OUT_SENTRY_ERROR. */
int FLBPluginFlush(const void *data, size_t length, const char *tag);

/*
 * Ends an instance: sends what there is time for (option `exit_timeout`), keeps the rest on disk if it has a spool, joins
 * its threads, frees it. Takes at most a second longer than `exit_timeout`. OUT_SENTRY_OK.
 */
int FLBPluginExitCtx(void *remote_context);

/* For hosts without contexts: OUT_SENTRY_OK, and nothing else. */
int FLBPluginExit(void);

/* Nothing: during a hot reload another definition is alive. */
void FLBPluginUnregister(struct out_sentry_definition *definition);

/* Called by hosts from 2.2 on when all instances are made. 0. */
int FLBPluginOutputPreRun(int hot_reload_enabled);

/* Called by hosts from 2.2 on before each ExitCtx. */
void FLBPluginOutputPreExit(int hot_reloading);

/* --- Sizes and offsets -------------------------------------------------------------------------------------------- */

/* True of every host whose pointers have 64 bits; on others there is nothing to assert. */
#define OUT_SENTRY_LP64(condition) (sizeof(void *) != 8 || (condition))
#define OUT_SENTRY_SIZE(type, size) OUT_SENTRY_ASSERT(OUT_SENTRY_LP64(sizeof(struct type) == (size)), "size of " #type)
#define OUT_SENTRY_AT(type, field, offset) \
    OUT_SENTRY_ASSERT(OUT_SENTRY_LP64(offsetof(struct type, field) == (offset)), "offset of " #type "." #field)

OUT_SENTRY_SIZE(out_sentry_definition, 32);
OUT_SENTRY_AT(out_sentry_definition, type, 0);
OUT_SENTRY_AT(out_sentry_definition, proxy, 4);
OUT_SENTRY_AT(out_sentry_definition, flags, 8);
OUT_SENTRY_AT(out_sentry_definition, name, 16);
OUT_SENTRY_AT(out_sentry_definition, description, 24);
OUT_SENTRY_SIZE(out_sentry_definition_4_2, 40);
OUT_SENTRY_AT(out_sentry_definition_4_2, event_type, 32);
OUT_SENTRY_SIZE(out_sentry_definition_5_1, 48);
OUT_SENTRY_AT(out_sentry_definition_5_1, config_map, 40);
OUT_SENTRY_SIZE(out_sentry_config_map, 104);
OUT_SENTRY_AT(out_sentry_config_map, type, 0);
OUT_SENTRY_AT(out_sentry_config_map, name, 8);
OUT_SENTRY_AT(out_sentry_config_map, default_value, 16);
OUT_SENTRY_AT(out_sentry_config_map, flags, 24);
OUT_SENTRY_AT(out_sentry_config_map, set_property, 28);
OUT_SENTRY_AT(out_sentry_config_map, offset, 32);
OUT_SENTRY_AT(out_sentry_config_map, description, 40);
OUT_SENTRY_AT(out_sentry_config_map, value, 48);
OUT_SENTRY_AT(out_sentry_config_map, list, 88);

OUT_SENTRY_SIZE(out_sentry_api_1_9, 8);
OUT_SENTRY_SIZE(out_sentry_api_2_0, 56);
OUT_SENTRY_AT(out_sentry_api_2_0, output_get_property, 0);
OUT_SENTRY_AT(out_sentry_api_2_0, input_get_property, 8);
OUT_SENTRY_AT(out_sentry_api_2_0, output_get_cmt_instance, 16);
OUT_SENTRY_AT(out_sentry_api_2_0, input_get_cmt_instance, 24);
OUT_SENTRY_AT(out_sentry_api_2_0, log_print, 32);
OUT_SENTRY_AT(out_sentry_api_2_0, input_log_check, 40);
OUT_SENTRY_AT(out_sentry_api_2_0, output_log_check, 48);
OUT_SENTRY_SIZE(out_sentry_api, 72);
OUT_SENTRY_AT(out_sentry_api, custom_get_property, 56);
OUT_SENTRY_AT(out_sentry_api, custom_log_check, 64);

OUT_SENTRY_SIZE(out_sentry_context, 16);
OUT_SENTRY_AT(out_sentry_context, remote_context, 0);
OUT_SENTRY_AT(out_sentry_context, proxy, 8);
OUT_SENTRY_SIZE(out_sentry_plugin, 72);
OUT_SENTRY_AT(out_sentry_plugin, name, 0);
OUT_SENTRY_AT(out_sentry_plugin, api, 8);
OUT_SENTRY_AT(out_sentry_plugin, instance, 16);
OUT_SENTRY_AT(out_sentry_plugin, context, 24);
OUT_SENTRY_AT(out_sentry_plugin, callbacks, 32);

#undef OUT_SENTRY_AT
#undef OUT_SENTRY_SIZE
#undef OUT_SENTRY_LP64
#undef OUT_SENTRY_ASSERT

#ifdef __cplusplus
}
#endif

#endif /* OUT_SENTRY_H */
