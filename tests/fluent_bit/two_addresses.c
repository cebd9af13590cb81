/* Preloaded into Fluent Bit by a test: the name two.test has the addresses ::1 and 127.0.0.1, in this order. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>

typedef int resolver(const char *, const char *, const struct addrinfo *, struct addrinfo **);

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    resolver *real = (resolver *) dlsym(RTLD_NEXT, "getaddrinfo");
    struct addrinfo *second = NULL;
    int status;

    if (name == NULL || strcmp(name, "two.test") != 0) {
        return real(name, service, hints, found);
    }
    status = real("::1", service, hints, found);
    if (status == 0 && real("127.0.0.1", service, hints, &second) == 0) {
        struct addrinfo *last = *found;

        while (last->ai_next != NULL) {
            last = last->ai_next;
        }
        last->ai_next = second;
    }
    return status;
}
