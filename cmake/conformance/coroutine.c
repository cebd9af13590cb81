#include "coroutine.h"

#include "check.h"

#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

/* Both checkers want to be told of a stack that is not a thread's. */
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif
#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#else
#define RUNNING_ON_VALGRIND 0
#define VALGRIND_STACK_REGISTER(low, high) 0u
#define VALGRIND_STACK_DEREGISTER(id) (void)(id)
#define VALGRIND_MAKE_MEM_DEFINED(at, size) (void)(at)
#endif

#define GUARD (16 * 4096)
#define PATTERN 0xa5

struct run {
    void (*function)(void *);
    void *argument;
    ucontext_t home;
    ucontext_t there;
    const void *home_stack;
    size_t home_size;
};

/* makecontext passes numbers only. */
static _Thread_local struct run *current;

static void entry(void) {
    struct run *run = current;
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(NULL, &run->home_stack, &run->home_size);
#endif
    run->function(run->argument);
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(NULL, run->home_stack, run->home_size);
#endif
}

static void there_and_back(struct run *run, char *low) {
    EXPECT(getcontext(&run->there) == 0, "getcontext");
    run->there.uc_stack.ss_sp = low;
    run->there.uc_stack.ss_size = COROUTINE_STACK;
    run->there.uc_link = &run->home;
    makecontext(&run->there, entry, 0);
    current = run;
#if defined(__SANITIZE_ADDRESS__)
    void *mine;
    __sanitizer_start_switch_fiber(&mine, low, COROUTINE_STACK);
#endif
    EXPECT(swapcontext(&run->home, &run->there) == 0, "swapcontext");
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(mine, NULL, NULL);
#endif
}

static size_t touched(const char *low) {
    size_t at = 0;
    while (at < COROUTINE_STACK && (unsigned char)low[at] == PATTERN) {
        at++;
    }
    return COROUTINE_STACK - at;
}

size_t coroutine_run(void (*function)(void *), void *argument) {
    char *map = mmap(NULL, GUARD + COROUTINE_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT(map != MAP_FAILED, "memory");
    char *low = map + GUARD;
    memset(low, PATTERN, COROUTINE_STACK);
    EXPECT(mprotect(map, GUARD, PROT_NONE) == 0, "a guard page");
    unsigned id = VALGRIND_STACK_REGISTER(low, low + COROUTINE_STACK - 1);
    struct run *run = calloc(1, sizeof *run);
    EXPECT(run, "memory");
    run->function = function;
    run->argument = argument;
    there_and_back(run, low);
    free(run);
    VALGRIND_STACK_DEREGISTER(id);
    /* What lies below the end of a stack counts as gone; here it is looked at. */
    VALGRIND_MAKE_MEM_DEFINED(low, COROUTINE_STACK);
    size_t depth = touched(low);
    munmap(map, GUARD + COROUTINE_STACK);
    return depth;
}

int watched_by_valgrind(void) {
    return RUNNING_ON_VALGRIND != 0;
}
