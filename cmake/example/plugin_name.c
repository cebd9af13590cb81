/* Prints under which name a plugin registers: what a package may check after its installation. */
#include <out_sentry.h>

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

int main(int count, char **arguments) {
    void *library = count == 2 ? dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL) : NULL;
    void *address = library ? dlsym(library, "FLBPluginRegister") : NULL;
    if (!address) {
        fprintf(stderr, "expected a plugin: %s\n", count == 2 ? dlerror() : "no path");
        return 1;
    }
    int (*register_)(struct out_sentry_definition *);
    memcpy(&register_, &address, sizeof register_);
    struct out_sentry_definition_5_1 definition = {0};
    if (register_(&definition.base.base) != 0) {
        return 1;
    }
    puts(definition.base.base.name);
    return 0;
}
