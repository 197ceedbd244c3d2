#include "cli/profile_view.h"

#include <string.h>

#include "cli/table.h"

/* Operations below this share of the wall time stand together in one line. */
static const double shown_share = 0.001;

static double number(const Json *json, const char *key)
{
    return json_number_value(json_get(json, key), 0);
}

static const char *text(const Json *json, const char *key)
{
    const char *value = json_string_value(json_get(json, key));
    return value ? value : "";
}

/* steps: 0 for what is not done in every step. */
static void add_row(Table *table, const char *name, long long calls, double wall_s, double steps, double share)
{
    table_cell(table, NULL, "  %s", name);
    if (calls > 0)
        table_cell(table, NULL, "%lld", calls);
    else
        table_cell(table, NULL, "%s", "");
    table_cell(table, NULL, "%.3f", wall_s);
    table_cell(table, NULL, steps > 0 ? "%.3f" : "", wall_s / steps * 1e3);
    table_cell(table, NULL, "%.1f%%", 100 * share);
}

static void add_operation(Table *table, const Json *operation, const char *precision, double steps)
{
    char name[96];
    const char *matrix = text(operation, "matrix"), *type = text(operation, "type");
    double gflops = number(operation, "gflops"), wall_s = number(operation, "wall_s");
    snprintf(name, sizeof name, "%s%s%s%s", text(operation, "operation"), matrix[0] ? " " : "", matrix,
             strcmp(precision, "bf16") == 0 && strcmp(type, "bf16") == 0 ? ", bf16" : "");
    add_row(table, name, (long long)json_integer_value(json_get(operation, "calls"), 0), wall_s, steps,
            number(operation, "share_of_wall"));
    table_cell(table, NULL, gflops > 0 ? "%.1f" : "", gflops);
    table_cell(table, NULL, "%.1f", number(operation, "gb_per_s"));
    table_cell(table, NULL, "%s", text(operation, "bound"));
    table_cell(table, NULL, "%.1f%%", 100 * number(operation, "share_of_roofline"));
    table_end_row(table);
}

static void add_rest(Table *table, const Json *group, const char *key, const char *name, double steps)
{
    double rest_s = number(group, key), wall_s = number(group, "wall_s");
    if (!json_get(group, key))
        return;
    add_row(table, name, 0, rest_s, steps, wall_s > 0 ? rest_s / wall_s : 0);
    table_end_row(table);
}

static void add_group(Table *table, const char *title, const Json *group, const char *precision, double steps)
{
    const Json *operations = json_get(group, "operations");
    double wall_s = number(group, "wall_s"), small_s = 0;
    long long small_calls = 0;
    if (!(wall_s > 0))
        return;
    table_cell(table, "1", "%s", title);
    table_cell(table, NULL, "%s", "");
    table_cell(table, "1", "%.3f", wall_s);
    table_cell(table, "1", steps > 0 ? "%.3f" : "", wall_s / steps * 1e3);
    table_cell(table, "1", "%.1f%%", 100.0);
    table_cell(table, NULL, "%s", "");
    table_cell(table, NULL, "%s", "");
    table_cell(table, NULL, "%s", "");
    table_cell(table, "1", "%.1f%%", 100 * number(group, "share_of_roofline"));
    table_end_row(table);
    for (size_t i = 0; i < json_count(operations); i++) {
        const Json *operation = json_at(operations, i);
        if (number(operation, "share_of_wall") >= shown_share) {
            add_operation(table, operation, precision, steps);
        } else {
            small_s += number(operation, "wall_s");
            small_calls += (long long)json_integer_value(json_get(operation, "calls"), 0);
        }
    }
    if (small_calls > 0) {
        add_row(table, "operations below 0.1%", small_calls, small_s, steps, small_s / wall_s);
        table_end_row(table);
    }
    add_rest(table, group, "planning_s", "no operation: batch planning", steps);
    add_rest(table, group, "reading_s", "no operation: reading", steps);
    add_rest(table, group, "reduction_s", "no operation: reduction", steps);
    add_rest(table, group, "checkpoint_s", "no operation: checkpoints", steps);
    add_rest(table, group, "setup_s", "no operation: data and start weights", steps);
    add_rest(table, group, "host_s", "no operation: the rest", steps);
}

void profile_view_print(const Json *profile, FILE *stream, int width, bool colours)
{
    static const TableColumn columns[] = {{false, true}, {true, false}, {true, false},  {true, false}, {true, false},
                                          {true, false}, {true, false}, {false, false}, {true, false}};
    static const char *const heads[] = {"", "calls", "s", "ms/step", "time", "GF/s", "GB/s", "bound", "of roofline"};
    const Json *peaks = json_get(profile, "peaks"), *training = json_get(profile, "training");
    double steps = number(training, "steps");
    const char *precision = text(profile, "precision");
    long long ranks = (long long)json_integer_value(json_get(profile, "ranks"), 1);
    Table *table = table_create(columns, sizeof columns / sizeof columns[0]);
    fprintf(stream, "profile of %.0f steps in %s, after a first one of %.1f ms; %s", steps, precision,
            1e3 * number(training, "first_step_s"), text(profile, "device"));
    if (ranks > 1)
        fprintf(stream, "; rank 0 of %lld", ranks);
    fprintf(stream, "\npeaks: %.0f GF/s fp32, %.0f GF/s bf16, memory %.1f GB/s over %.0f MiB%s\n", number(peaks, "fp32_gflops"),
            number(peaks, "bf16_gflops"), number(peaks, "memory_gb_per_s"), number(peaks, "memory_mb"),
            json_boolean_value(json_get(profile, "synchronized"), false) ? "; the stream was synchronized around each operation"
                                                                         : "");
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
        table_cell(table, "1", "%s", heads[i]);
    table_end_row(table);
    add_group(table, "training", training, precision, steps);
    add_group(table, "evaluation", json_get(profile, "evaluation"), precision, 0);
    add_group(table, "other", json_get(profile, "other"), precision, 0);
    table_print(table, stream, width, colours);
    table_destroy(&table);
}
