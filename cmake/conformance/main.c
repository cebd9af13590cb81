/* A host made for one purpose: to see that the plugin keeps to `out_sentry.h`, also where checkers look on.
 *
 *     conformance <library> <scenario>     runs one; without a scenario lists them
 */
#include "check.h"
#include "scenarios.h"

#include <string.h>

struct scenario {
    const char *name;
    void (*run)(const char *library);
};

static const struct scenario all[] = {
    {"symbols", symbols},
    {"registration", registration},
    {"dry_run", dry_run},
    {"nulls", nulls},
    {"generations_deliver", generations_deliver},
    {"two_instances", two_instances},
    {"four_threads", four_threads},
    {"small_stacks", small_stacks},
    {"odd_bytes", odd_bytes},
    {"hot_reload", hot_reload},
    {"refused_reload", refused_reload},
    {"failing_init", failing_init},
    {"load_cycles", load_cycles},
    {"exit_in_time", exit_in_time},
};

int main(int count, char **arguments) {
    const char *wanted = count > 2 ? arguments[2] : NULL;
    for (size_t at = 0; at < sizeof all / sizeof *all; at++) {
        if (!wanted) {
            puts(all[at].name);
        } else if (strcmp(all[at].name, wanted) == 0) {
            all[at].run(arguments[1]);
            return 0;
        }
    }
    EXPECT(!wanted, "a scenario, found %s", wanted);
    return 0;
}
