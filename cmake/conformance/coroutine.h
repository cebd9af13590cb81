/* The stack on which hosts run a flush. */
#ifndef COROUTINE_H
#define COROUTINE_H

#include <stddef.h>

/* What hosts before 5.1 give it on x86_64. */
#define COROUTINE_STACK (24 * 1024)

/* Runs a function on a stack of that size with an unreadable page below. Says how many bytes of it were touched. */
size_t coroutine_run(void (*function)(void *), void *argument);

/* Whether Valgrind looks on, which makes everything slow. */
int watched_by_valgrind(void);

#endif
