/* What the plugin has to do for a host. Each runs in a process of its own, with the path of the library. */
#ifndef SCENARIOS_H
#define SCENARIOS_H

/* registration.c */
void symbols(const char *library);
void registration(const char *library);
void dry_run(const char *library);
void nulls(const char *library);

/* flushing.c */
void generations_deliver(const char *library);
void two_instances(const char *library);
void four_threads(const char *library);
void small_stacks(const char *library);
void odd_bytes(const char *library);

/* lifecycle.c */
void hot_reload(const char *library);
void refused_reload(const char *library);
void failing_init(const char *library);
void load_cycles(const char *library);
void exit_in_time(const char *library);

#endif
