/* Preloaded into Fluent Bit by tests: the name server.test has the addresses in the file ADDRESSES, one a line, in this order. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int resolver(const char *, const char *, const struct addrinfo *, struct addrinfo **);

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    resolver *real = (resolver *) dlsym(RTLD_NEXT, "getaddrinfo");
    const char *path = getenv("ADDRESSES");
    struct addrinfo **last = found;
    char line[64];
    FILE *file;

    if (name == NULL || path == NULL || strcmp(name, "server.test") != 0) {
        return real(name, service, hints, found);
    }
    file = fopen(path, "re");
    if (file == NULL) {
        return EAI_AGAIN;
    }
    *found = NULL;
    while (fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (real(line, service, hints, last) != 0) {
            break;
        }
        while (*last != NULL) {
            last = &(*last)->ai_next;
        }
    }
    fclose(file);
    return *found != NULL ? 0 : EAI_AGAIN;
}
