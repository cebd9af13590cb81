/* Symbols, registration and arguments that are not there. */
#include "check.h"
#include "host.h"
#include "scenarios.h"

#include <elf.h>
#include <fcntl.h>
#include <malloc.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const exported[] = {
    "FLBPluginPreRegister", "FLBPluginRegister", "FLBPluginInit",       "FLBPluginFlushCtx",     "FLBPluginFlush",
    "FLBPluginExitCtx",     "FLBPluginExit",     "FLBPluginUnregister", "FLBPluginOutputPreRun", "FLBPluginOutputPreExit",
};
#define EXPORTED (sizeof exported / sizeof *exported)

static int is_known(const char *name) {
    for (size_t at = 0; at < EXPORTED; at++) {
        if (strcmp(name, exported[at]) == 0) {
            return 1;
        }
    }
    return 0;
}

/* Counts the symbols a section of the library's own defines; fails on one that is not ours. */
static size_t defined(const char *file, const Elf64_Shdr *section, const Elf64_Shdr *names) {
    const Elf64_Sym *symbol = (const void *)(file + section->sh_offset);
    size_t count = 0;
    for (size_t at = 0; at < section->sh_size / sizeof *symbol; at++) {
        int binding = ELF64_ST_BIND(symbol[at].st_info);
        if (symbol[at].st_shndx == SHN_UNDEF || (binding != STB_GLOBAL && binding != STB_WEAK)) {
            continue;
        }
        const char *name = file + names->sh_offset + symbol[at].st_name;
        EXPECT(is_known(name), "only symbols of the header, found %s", name);
        count++;
    }
    return count;
}

void symbols(const char *library) {
    int descriptor = open(library, O_RDONLY);
    struct stat status;
    EXPECT(descriptor >= 0 && fstat(descriptor, &status) == 0, "%s", library);
    const char *file = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    EXPECT(file != MAP_FAILED, "%s", library);
    const Elf64_Ehdr *head = (const void *)file;
    EXPECT(memcmp(file, ELFMAG, SELFMAG) == 0 && file[EI_CLASS] == ELFCLASS64, "a library of 64 bits");
    const Elf64_Shdr *sections = (const void *)(file + head->e_shoff);
    size_t count = 0;
    for (size_t at = 0; at < head->e_shnum; at++) {
        if (sections[at].sh_type == SHT_DYNSYM) {
            count += defined(file, &sections[at], &sections[sections[at].sh_link]);
        }
    }
    EXPECT(count == EXPORTED, "%zu symbols, found %zu", EXPORTED, count);
    munmap((void *)file, (size_t)status.st_size);
    close(descriptor);
    struct library loaded = library_open(library);
    library_close(&loaded);
}

/* What a definition that says nothing of itself looks like afterwards. */
static void check_definition(const struct out_sentry_definition *definition) {
    EXPECT(definition->type == OUT_SENTRY_TYPE_OUTPUT, "found %d", definition->type);
    EXPECT(definition->proxy == OUT_SENTRY_PROXY_GOLANG, "found %d", definition->proxy);
    EXPECT(definition->flags == 0, "found %d", definition->flags);
    EXPECT(strcmp(definition->name, "sentry") == 0, "found %s", definition->name);
    EXPECT(strlen(definition->description) > 0, "a description");
}

/* `before` is how the host left the memory: garbage up to 4.2.2, zero afterwards. What the allocator gave besides the size
 * stays as it was, and a checker of the heap sees a byte more. */
static void register_on_the_heap(const struct library *library, size_t size, unsigned char before, int hooks) {
    struct out_sentry_definition *definition = definition_new(size, before);
    const unsigned char *bytes = (const void *)definition;
    size_t room = malloc_usable_size(definition), map = offsetof(struct out_sentry_definition_5_1, config_map);
    EXPECT(library->register_(definition) == 0, "Register");
    check_definition(definition);
    int declares = hooks && room >= sizeof(struct out_sentry_definition_5_1);
    for (size_t at = sizeof *definition; at < room; at++) {
        int ours = declares && at >= map && at < sizeof(struct out_sentry_definition_5_1);
        EXPECT(ours || bytes[at] == before, "byte %zu of %zu as it was, found %#x", at, size, bytes[at]);
    }
    EXPECT(declares ? declared_options(definition, room) > 50 : 1, "options in a definition of %zu", size);
    library->unregister(definition);
    free(definition);
}

void registration(const char *path) {
    static const size_t sizes[] = {sizeof(struct out_sentry_definition), sizeof(struct out_sentry_definition_4_2),
                                   sizeof(struct out_sentry_definition_5_1)};
    struct library library = library_open(path);
    /* Hosts before 2.2 do not call PreRegister: whatever room there is, it is not for options. */
    for (int hooks = 0; hooks < 2; hooks++) {
        EXPECT(!hooks || library.pre_register(0) == 0, "PreRegister");
        for (size_t at = 0; at < sizeof sizes / sizeof *sizes; at++) {
            register_on_the_heap(&library, sizes[at], 0xa5, hooks);
            register_on_the_heap(&library, sizes[at], 0, hooks);
        }
    }
    EXPECT(library.pre_register(1) == 0, "PreRegister");
    register_on_the_heap(&library, sizes[2], 0, 1);
    library_close(&library);
}

/* What a host does that only checks its configuration. */
void dry_run(const char *path) {
    for (size_t at = 0; at < GENERATIONS; at++) {
        struct host host = host_start(path, &generations[at], 0);
        host_stop(&host);
    }
}

/* Init with one of the things it needs missing. */
static void init_without(struct host *host, void *api, void *address, struct out_sentry_context *context) {
    struct out_sentry_plugin *plugin = host->shared;
    plugin->name = NULL;
    plugin->api = api;
    plugin->instance = address;
    plugin->context = context;
    EXPECT(host->library.init(plugin) == OUT_SENTRY_ERROR, "ERROR of Init");
    EXPECT(!context || !context->remote_context, "a context as it was");
}

static void nulls_before_an_instance(struct host *host) {
    const struct library *library = &host->library;
    struct instance *instance = instance_new(host, NULL);
    EXPECT(library->register_(NULL) == -1, "-1 of Register");
    EXPECT(library->init(NULL) == OUT_SENTRY_ERROR, "ERROR of Init");
    init_without(host, NULL, instance, instance->context);
    init_without(host, host->api, NULL, instance->context);
    init_without(host, host->api, instance, NULL);
    instance_free(instance);
    EXPECT(library->flush_ctx(NULL, "\x90", 1, "tag") == OUT_SENTRY_ERROR, "ERROR of FlushCtx");
    EXPECT(library->flush("\x90", 1, "tag") == OUT_SENTRY_ERROR, "ERROR of Flush");
    EXPECT(library->flush(NULL, 0, NULL) == OUT_SENTRY_ERROR, "ERROR of Flush");
    EXPECT(library->exit_ctx(NULL) == OUT_SENTRY_OK, "OK of ExitCtx");
    EXPECT(library->exit() == OUT_SENTRY_OK, "OK of Exit");
    library->unregister(NULL);
    library->pre_exit(0);
    EXPECT(library->pre_run(1) == 0, "0 of OutputPreRun");
}

void nulls(const char *path) {
    struct host host = host_start(path, newest, 0);
    nulls_before_an_instance(&host);
    struct instance *instance = instance_new(&host, "dsn", "http://0123456789abcdef0123456789abcdef@127.0.0.1:9/1",
                                             "delivery", "memory", "exit_timeout", "0", "proxy", "none", NULL);
    EXPECT(instance_init(instance) == OUT_SENTRY_OK, "Init");
    void *context = instance->context->remote_context;
    EXPECT(host.library.flush_ctx(context, NULL, 0, "tag") == OUT_SENTRY_ERROR, "ERROR of FlushCtx");
    EXPECT(host.library.flush_ctx(context, NULL, 9, NULL) == OUT_SENTRY_ERROR, "ERROR of FlushCtx");
    EXPECT(host.library.flush_ctx(context, "\x92\x00\x80", 3, NULL) == OUT_SENTRY_OK, "OK without a tag");
    EXPECT(host.library.flush_ctx(context, "", 0, "tag") == OUT_SENTRY_OK, "OK for no records");
    instance_stop(instance, 0);
    host_stop(&host);
}
