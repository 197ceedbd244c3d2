#include "cli/numerics_view.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/progress.h"
#include "kernels/check/numerics.h"

/* Two threads: work is shared out, and nothing runs at once that a machine of one core could not take in turn. */
enum { NUMERICS_THREADS = 2, NUMERICS_LIMIT_S = 300, NAME_SIZE = 160 };

/* The variables that choose a level, as the user has them. */
static const char *const chosen_variables[] = {"NERSWEEP_CPU_FEATURES", "NERSWEEP_CPU_PRODUCTS"};
enum { CHOSEN_COUNT = sizeof chosen_variables / sizeof chosen_variables[0] };

static void environment_keep(char *kept[CHOSEN_COUNT])
{
    for (size_t i = 0; i < CHOSEN_COUNT; i++) {
        const char *value = getenv(chosen_variables[i]);
        kept[i] = value ? memory_copy_string(value) : NULL;
    }
}

static void environment_restore(char *kept[CHOSEN_COUNT])
{
    for (size_t i = 0; i < CHOSEN_COUNT; i++) {
        if (kept[i])
            setenv(chosen_variables[i], kept[i], 1);
        else
            unsetenv(chosen_variables[i]);
        free(kept[i]);
    }
}

static bool by_blas(const BackendSetting *setting)
{
    return strcmp(setting->products, "blas") == 0;
}

static const char *level_name(const BackendSetting *setting, char *text)
{
    snprintf(text, NAME_SIZE, "%s %s, %s", setting->backend, setting->features, by_blas(setting) ? "BLAS" : "own products");
    return text;
}

/* How the device of the user's own settings describes itself; "" where it cannot be opened. */
static void describe_in_use(char *text, size_t text_size)
{
    const Backend *backend = NULL;
    BackendDevice *device = NULL;
    BackendOptions options = {.thread_count = NUMERICS_THREADS};
    text[0] = '\0';
    if (backend_open(&backend, "cpu", NULL) == STATUS_OK && backend->device_open(&device, &options, NULL) == STATUS_OK) {
        backend->device_describe(device, text, text_size);
        backend->device_close(&device);
    }
}

static bool is_in_use(const BackendSetting *setting, const char *description)
{
    char begin[NAME_SIZE];
    snprintf(begin, sizeof begin, "cpu: %s ", setting->features);
    return strncmp(description, begin, strlen(begin)) == 0 && by_blas(setting) == !strstr(description, "own panels");
}

static void shape_text(const int32_t *shape, char *text, size_t text_size)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < 4 && shape[i] != 0 && used < text_size; i++)
        used += (size_t)snprintf(text + used, text_size - used, "%s%d", i ? " x " : "", (int)shape[i]);
}

/* What to do instead: the same level with the other products where those are right, else another level that is. */
static char *advice_on(const NumericsReport *reports, size_t count, const NumericsReport *wrong)
{
    char name[NAME_SIZE];
    const NumericsReport *best = NULL;
    for (size_t i = 0; i < count; i++) {
        bool same_level = strcmp(reports[i].setting.features, wrong->setting.features) == 0;
        if (numerics_right(&reports[i]) && (best == NULL || same_level))
            best = &reports[i];
        if (best != NULL && strcmp(best->setting.features, wrong->setting.features) == 0)
            break;
    }
    if (best == NULL)
        return memory_format("nothing here computes right but the reference: train with --backend reference (slow), or elsewhere");
    return memory_format("do not train with it: %sset NERSWEEP_CPU_FEATURES=%s NERSWEEP_CPU_PRODUCTS=%s (%s, which is right)",
                         by_blas(&wrong->setting) ? "install a newer OpenBLAS (another OPENBLAS_CORETYPE may do), or " : "",
                         best->setting.features, best->setting.products, level_name(&best->setting, name));
}

static void print_wrong(const NumericsReport *report, const char *advice)
{
    for (size_t i = 0; i < report->operations.count; i++) {
        const NumericsOperation *operation = &report->operations.items[i];
        char shape[64];
        if (operation->difference.share <= 1)
            continue;
        shape_text(operation->shape, shape, sizeof shape);
        printf("  %s is wrong: on the shape %s, %s[%zu] is %.9g instead of %.9g, and may be off by %.3g\n", operation->name, shape,
               operation->difference.section, operation->difference.index, operation->difference.found,
               operation->difference.expected, operation->difference.allowed);
    }
    if (report->failure.code != STATUS_OK)
        printf("  %s\n", report->failure.message);
    printf("  %s\n", advice);
}

/* The largest error of each family of operations as a share of what it may be. */
static void print_families(const NumericsReport *report)
{
    size_t count = report->operations.count;
    for (size_t i = 0; i < count;) {
        const char *family = report->operations.items[i].family;
        double share = 0;
        size_t first = i;
        for (; i < count && strcmp(report->operations.items[i].family, family) == 0; i++)
            share = fmax(share, report->operations.items[i].difference.share);
        printf("%s%s %.0f%%", first ? ", " : " ", family, 100 * share);
    }
}

static void print_report(const NumericsReport *reports, size_t count, const NumericsReport *report, bool in_use)
{
    char name[NAME_SIZE];
    bool right = numerics_right(report);
    printf("%-30s %-6s %-5s", level_name(&report->setting, name), in_use ? "in use" : "", right ? "right" : "WRONG");
    print_families(report);
    printf("\n");
    if (!right) {
        char *advice = advice_on(reports, count, report);
        print_wrong(report, advice);
        free(advice);
    }
}

static Json *operation_json(const NumericsOperation *operation)
{
    char shape[64];
    const ResultDifference *difference = &operation->difference;
    Json *json = json_object();
    shape_text(operation->shape, shape, sizeof shape);
    json_set(json, "right", json_boolean(difference->share <= 1));
    json_set(json, "share_of_allowed", json_real(difference->share)); /* null: no number */
    json_set(json, "error", json_real(fabs(difference->found - difference->expected)));
    json_set(json, "allowed", json_real(difference->allowed));
    json_set(json, "shape", json_string(shape));
    json_set(json, "output", json_string(difference->section ? difference->section : ""));
    return json;
}

static Json *report_json(const NumericsReport *reports, size_t count, const NumericsReport *report, bool in_use)
{
    Json *json = json_object(), *operations = json_object();
    json_set(json, "backend", json_string(report->setting.backend));
    json_set(json, "features", json_string(report->setting.features));
    json_set(json, "products", json_string(report->setting.products));
    json_set(json, "in_use", json_boolean(in_use));
    json_set(json, "right", json_boolean(numerics_right(report)));
    if (!numerics_right(report)) {
        char *advice = advice_on(reports, count, report);
        json_set(json, "advice", json_string(advice));
        free(advice);
    }
    if (report->failure.code != STATUS_OK)
        json_set(json, "failure", json_string(report->failure.message));
    for (size_t i = 0; i < report->operations.count; i++)
        json_set(operations, report->operations.items[i].name, operation_json(&report->operations.items[i]));
    json_set(json, "operations", operations);
    return json;
}

/* A line for each setting, or one object. */
static void show_reports(const NumericsReport *reports, size_t count, const char *description, bool as_json)
{
    Json *json = json_object(), *list = json_array();
    bool right = true;
    if (!as_json)
        printf("largest error of each kind of operation, of what it may be\n");
    for (size_t i = 0; i < count; i++) {
        bool in_use = is_in_use(&reports[i].setting, description);
        right = right && numerics_right(&reports[i]);
        if (as_json)
            json_append(list, report_json(reports, count, &reports[i], in_use));
        else
            print_report(reports, count, &reports[i], in_use);
    }
    json_set(json, "right", json_boolean(right));
    json_set(json, "settings", list);
    if (as_json)
        command_print_json(&json, JSON_COMPACT);
    json_destroy(&json);
}

Status numerics_examine(bool as_json, size_t *count, size_t *wrong, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    char *kept[CHOSEN_COUNT];
    BackendSetting settings[SETTING_COUNT_MAX];
    NumericsReport reports[SETTING_COUNT_MAX] = {{.failure.code = STATUS_OK}};
    char description[512], name[NAME_SIZE];
    NumericsExpected expected = {{0}};
    Progress progress;
    *count = *wrong = 0;
    describe_in_use(description, sizeof description);
    environment_keep(kept);
    progress_begin(&progress, "numerics");
    TRY(settings_of_cpu(settings, count, NUMERICS_THREADS, diagnostic));
    TRY(numerics_expect(&expected, diagnostic));
    for (size_t i = 0; i < *count; i++) {
        progress_show(&progress, i, *count, level_name(&settings[i], name));
        TRY(numerics_check_apart(&expected, &settings[i], NUMERICS_LIMIT_S, &reports[i], diagnostic));
    }
    progress_end(&progress);
    for (size_t i = 0; i < *count; i++)
        *wrong += !numerics_right(&reports[i]);
    show_reports(reports, *count, description, as_json);
out:
    progress_end(&progress);
    numerics_expected_free(&expected);
    for (size_t i = 0; i < *count; i++)
        numerics_report_free(&reports[i]);
    environment_restore(kept);
    return status;
}
