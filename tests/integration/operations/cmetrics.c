/* The functions of a host's metrics registry that the plugin looks up by name, preloaded into a process that has none.
 * Each call becomes a line of the file in CMETRICS_LOG. What a caller gets wrong ends the process. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct metric {
    const char *kind;
    char name[128];
    int keys;
    char key[4][32];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct metric metrics[32];
static int count;
static int bounds;

static FILE *out(void)
{
    static FILE *file;
    if (!file) {
        file = fopen(getenv("CMETRICS_LOG"), "a");
    }
    return file ? file : stderr;
}

static struct metric *create(const char *kind, void *root, const char *ns, const char *sub, const char *name,
                             const char *help, int keys, const char **key)
{
    if (!root || !help || !help[0] || keys > 4 || count == 32) {
        abort();
    }
    struct metric *metric = &metrics[count++];
    metric->kind = kind;
    metric->keys = keys;
    snprintf(metric->name, sizeof(metric->name), "%s_%s_%s", ns, sub, name);
    for (int i = 0; i < keys; i++) {
        snprintf(metric->key[i], sizeof(metric->key[i]), "%s", key[i]);
    }
    return metric;
}

static int line(const char *kind, struct metric *metric, double value, int labels, const char **label)
{
    if (strcmp(metric->kind, kind) != 0 || labels != metric->keys) {
        abort();
    }
    pthread_mutex_lock(&lock);
    fprintf(out(), "%s %s{", kind, metric->name);
    for (int i = 0; i < labels; i++) {
        fprintf(out(), "%s%s=\"%s\"", i ? "," : "", metric->key[i], label[i]);
    }
    fprintf(out(), "} %.9g\n", value);
    fflush(out());
    pthread_mutex_unlock(&lock);
    return 0;
}

void *cmt_counter_create(void *root, const char *ns, const char *sub, const char *name, const char *help, int keys,
                         const char **key)
{
    return create("counter", root, ns, sub, name, help, keys, key);
}

void *cmt_gauge_create(void *root, const char *ns, const char *sub, const char *name, const char *help, int keys,
                       const char **key)
{
    return create("gauge", root, ns, sub, name, help, keys, key);
}

void *cmt_histogram_buckets_create_size(const double *upper, size_t size)
{
    bounds = (int) size;
    for (size_t i = 0; i < size; i++) {
        fprintf(out(), "bound %g\n", upper[i]);
    }
    return &bounds;
}

void *cmt_histogram_create(void *root, const char *ns, const char *sub, const char *name, const char *help, void *buckets,
                           int keys, const char **key)
{
    return buckets == &bounds ? create("histogram", root, ns, sub, name, help, keys, key) : NULL;
}

int cmt_counter_set(void *metric, uint64_t time, double value, int labels, const char **label)
{
    (void) time;
    return line("counter", metric, value, labels, label);
}

int cmt_gauge_set(void *metric, uint64_t time, double value, int labels, const char **label)
{
    (void) time;
    return line("gauge", metric, value, labels, label);
}

int cmt_histogram_observe(void *metric, uint64_t time, double value, int labels, const char **label)
{
    (void) time;
    return line("histogram", metric, value, labels, label);
}

int cmt_histogram_set_default(void *metric, uint64_t time, const uint64_t *counts, double sum, uint64_t total, int labels,
                              const char **label)
{
    (void) time;
    for (int i = 0; i <= bounds; i++) {
        if (counts[i] != 0 || sum != 0 || total != 0) {
            abort();
        }
    }
    struct metric *histogram = metric;
    return labels == histogram->keys && label[0] ? 0 : -1;
}

const char *flb_output_name(void *instance)
{
    return instance ? "shipped" : NULL;
}
