#include "worker/profile_report.h"

#include <stdlib.h>

#include "core/base/memory.h"

typedef enum WorkGroup { GROUP_TRAINING, GROUP_EVALUATION, GROUP_OTHER } WorkGroup;

static WorkGroup group_of(int32_t section)
{
    switch ((WorkSection)section) {
    case WORK_STEP:
    case WORK_PLANNING:
    case WORK_READING:
    case WORK_REDUCTION:
        return GROUP_TRAINING;
    case WORK_EVALUATION:
        return GROUP_EVALUATION;
    case WORK_OTHER:
    case WORK_CHECKPOINT:
    case WORK_SECTION_COUNT:
        break;
    }
    return GROUP_OTHER;
}

static const char *matrix_name(const BertConfig *config, int32_t n, int32_t k)
{
    int32_t d = config->hidden_size, f = config->intermediate_size;
    if (n == 3 * d && k == d)
        return "qkv";
    if (n == d && k == d)
        return "output";
    if (n == f && k == d)
        return "ffn_in";
    if (n == d && k == f)
        return "ffn_out";
    return n == config->label_count && k == d ? "classifier" : "other";
}

static bool same_work(const ProfileEntry *a, const ProfileEntry *b)
{
    return a->operation == b->operation && a->n == b->n && a->k == b->k && a->type == b->type;
}

typedef ARRAY(ProfileEntry) EntryArray;

static int longest_first(const void *a, const void *b)
{
    const ProfileEntry *x = a, *y = b;
    if (x->time_ns != y->time_ns)
        return x->time_ns < y->time_ns ? 1 : -1;
    return (int)x->operation - (int)y->operation;
}

/* The entries of all sections of a group, one for each kind of work. */
static void collect(const Profile *profile, WorkGroup group, EntryArray *sums)
{
    const ProfileEntry *entries;
    size_t count = profile_entries(profile, &entries);
    for (size_t i = 0; i < count; i++) {
        size_t at = 0;
        if (group_of(entries[i].section) != group)
            continue;
        while (at < sums->count && !same_work(&sums->items[at], &entries[i]))
            at++;
        if (at == sums->count) {
            array_push(sums, entries[i]);
            continue;
        }
        sums->items[at].calls += entries[i].calls;
        sums->items[at].time_ns += entries[i].time_ns;
        sums->items[at].flop += entries[i].flop;
        sums->items[at].bytes += entries[i].bytes;
    }
    if (sums->count > 0)
        qsort(sums->items, sums->count, sizeof *sums->items, longest_first);
}

static double seconds(int64_t time_ns)
{
    return (double)time_ns * 1e-9;
}

static double ratio(double a, double b)
{
    return b > 0 ? a / b : 0;
}

static Json *operation_json(const ProfileSummary *summary, const ProfileEntry *entry, double wall_s)
{
    bool by_memory;
    double time_s = seconds(entry->time_ns);
    double roofline_s = backend_peaks_roofline_s(summary->peaks, entry->type, entry->flop, entry->bytes, &by_memory);
    Json *json = json_object();
    json_set(json, "operation", json_string(profile_operation_name(entry->operation)));
    if (entry->n > 0) {
        json_set(json, "matrix", json_string(matrix_name(summary->config, entry->n, entry->k)));
        json_set(json, "n", json_integer(entry->n));
        json_set(json, "k", json_integer(entry->k));
    }
    json_set(json, "type", json_string(entry->type == DEVICE_BF16 ? "bf16" : "fp32"));
    json_set(json, "calls", json_integer(entry->calls));
    json_set(json, "wall_s", json_real(time_s));
    json_set(json, "share_of_wall", json_real(ratio(time_s, wall_s)));
    json_set(json, "flop", json_real(entry->flop));
    json_set(json, "bytes", json_real(entry->bytes));
    json_set(json, "gflops", json_real(ratio(entry->flop, time_s) * 1e-9));
    json_set(json, "gb_per_s", json_real(ratio(entry->bytes, time_s) * 1e-9));
    json_set(json, "roofline_s", json_real(roofline_s));
    json_set(json, "bound", json_string(by_memory ? "memory" : "compute"));
    json_set(json, "share_of_roofline", json_real(ratio(roofline_s, time_s)));
    return json;
}

/* rest_s: what of the group no operation covers. */
static void set_operations(Json *json, const ProfileSummary *summary, WorkGroup group, double rest_s)
{
    EntryArray sums = {0};
    double operations_s = 0, roofline_s = 0;
    Json *operations = json_array();
    collect(summary->profile, group, &sums);
    for (size_t i = 0; i < sums.count; i++)
        operations_s += seconds(sums.items[i].time_ns);
    for (size_t i = 0; i < sums.count; i++) {
        bool by_memory;
        const ProfileEntry *entry = &sums.items[i];
        roofline_s += backend_peaks_roofline_s(summary->peaks, entry->type, entry->flop, entry->bytes, &by_memory);
        json_append(operations, operation_json(summary, entry, operations_s + rest_s));
    }
    json_set(json, "wall_s", json_real(operations_s + rest_s));
    json_set(json, "operations_s", json_real(operations_s));
    json_set(json, "roofline_s", json_real(roofline_s));
    json_set(json, "share_of_roofline", json_real(ratio(roofline_s, operations_s + rest_s)));
    json_set(json, "operations", operations);
    array_free(&sums);
}

static Json *training_json(const ProfileSummary *summary)
{
    const Profile *profile = summary->profile;
    Json *json = json_object();
    double planning_s = seconds(profile_section_ns(profile, WORK_PLANNING));
    double reading_s = seconds(profile_section_ns(profile, WORK_READING));
    double reduction_s = seconds(profile_section_ns(profile, WORK_REDUCTION));
    double host_s = seconds(profile_section_ns(profile, WORK_STEP));
    json_set(json, "steps", json_integer(summary->steps->steps));
    json_set(json, "pieces", json_integer(summary->steps->pieces));
    json_set(json, "own_pieces", json_integer(summary->steps->own_pieces));
    json_set(json, "first_step_s", json_real(seconds(summary->steps->first_step_ns)));
    json_set(json, "planning_s", json_real(planning_s));
    json_set(json, "reading_s", json_real(reading_s));
    json_set(json, "reduction_s", json_real(reduction_s));
    json_set(json, "host_s", json_real(host_s));
    set_operations(json, summary, GROUP_TRAINING, planning_s + reading_s + reduction_s + host_s);
    return json;
}

static Json *evaluation_json(const ProfileSummary *summary)
{
    Json *json = json_object();
    double host_s = seconds(profile_section_ns(summary->profile, WORK_EVALUATION));
    json_set(json, "host_s", json_real(host_s));
    set_operations(json, summary, GROUP_EVALUATION, host_s);
    return json;
}

static Json *other_json(const ProfileSummary *summary)
{
    Json *json = json_object();
    double setup_s = seconds(profile_section_ns(summary->profile, WORK_OTHER));
    double checkpoint_s = seconds(profile_section_ns(summary->profile, WORK_CHECKPOINT));
    json_set(json, "setup_s", json_real(setup_s));
    json_set(json, "checkpoint_s", json_real(checkpoint_s));
    set_operations(json, summary, GROUP_OTHER, setup_s + checkpoint_s);
    return json;
}

Json *profile_summary_json(const ProfileSummary *summary)
{
    Json *json = json_object(), *peaks = json_object();
    json_set(json, "device", json_string(summary->device));
    json_set(json, "precision", json_string(summary->precision));
    json_set(json, "threads", json_integer(summary->threads));
    json_set(json, "ranks", json_integer(summary->ranks));
    json_set(json, "rank", json_integer(0));
    json_set(json, "synchronized", json_boolean(profile_synchronizes(summary->profile)));
    json_set(peaks, "fp32_gflops", json_real(summary->peaks->flop_per_s[DEVICE_FP32] * 1e-9));
    json_set(peaks, "bf16_gflops", json_real(summary->peaks->flop_per_s[DEVICE_BF16] * 1e-9));
    json_set(peaks, "memory_gb_per_s", json_real(summary->peaks->bytes_per_s * 1e-9));
    json_set(peaks, "memory_mb", json_real((double)summary->peaks->memory_bytes / (1 << 20)));
    json_set(json, "peaks", peaks);
    json_set(json, "training", training_json(summary));
    json_set(json, "evaluation", evaluation_json(summary));
    json_set(json, "other", other_json(summary));
    return json;
}
