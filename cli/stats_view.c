#include "cli/stats_view.h"

#include <stdlib.h>
#include <string.h>

#include "cli/table.h"
#include "cli/terminal.h"
#include "core/io/file.h"

void stats_view_names(const JsonArray *files, StringArray *names)
{
    bool distinct = true;
    for (size_t i = 0; i < files->count; i++) {
        const char *name = path_base_name(json_string_value(json_get(files->items[i], "file")));
        for (size_t k = 0; k < names->count; k++)
            distinct = distinct && strcmp(names->items[k], name) != 0;
        array_push(names, memory_copy_string(name));
    }
    for (size_t i = 0; !distinct && i < files->count; i++) {
        free(names->items[i]);
        names->items[i] = memory_copy_string(json_string_value(json_get(files->items[i], "file")));
    }
}

static int compare_strings(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void stats_view_keys(const JsonArray *files, const char *name, StringArray *keys)
{
    size_t kept = 0;
    for (size_t i = 0; i < files->count; i++) {
        const Json *object = json_get(files->items[i], name);
        for (const char *key = json_next_key(object, NULL); key; key = json_next_key(object, key))
            array_push(keys, memory_copy_string(key));
    }
    if (keys->count > 0)
        qsort(keys->items, keys->count, sizeof *keys->items, compare_strings);
    for (size_t i = 0; i < keys->count; i++) {
        if (kept > 0 && strcmp(keys->items[kept - 1], keys->items[i]) == 0)
            free(keys->items[i]);
        else
            keys->items[kept++] = keys->items[i];
    }
    keys->count = kept;
}

const Json *stats_view_value(const Json *file, const char *const *path)
{
    for (; file && *path; path++)
        file = json_get(file, *path);
    return file;
}

/* Rows under construction. */
typedef struct RowMaker {
    const JsonArray *files;
    StatsRowArray *rows;
} RowMaker;

static void heading(RowMaker *maker, const char *name)
{
    StatsRow row = {.name = memory_copy_string(name)};
    array_push(maker->rows, row);
}

static char *number_text(const Json *value)
{
    if (json_is_string(value))
        return memory_copy_string(json_string_value(value));
    if (json_is_integer(value))
        return memory_format("%lld", (long long)json_integer_value(value, 0));
    return memory_format("%.2f", json_number_value(value, 0));
}

/* A value of every file; with `whole` a count and its share of another count. */
static void row_add(RowMaker *maker, const char *name, const char *const *path, const char *const *whole)
{
    StatsRow row = {.name = memory_copy_string(name)};
    for (size_t i = 0; i < maker->files->count; i++) {
        const Json *value = stats_view_value(maker->files->items[i], path);
        double all = whole ? json_number_value(stats_view_value(maker->files->items[i], whole), 0) : 0;
        if (value && all > 0)
            array_push(&row.cells, memory_format("%lld (%.1f%%)", (long long)json_integer_value(value, 0),
                                                 100 * json_number_value(value, 0) / all));
        else
            array_push(&row.cells, value ? number_text(value) : memory_copy_string("-"));
    }
    array_push(maker->rows, row);
}

static bool any_has(const RowMaker *maker, const char *const *path)
{
    for (size_t i = 0; i < maker->files->count; i++)
        if (stats_view_value(maker->files->items[i], path))
            return true;
    return false;
}

static void rows_of_lengths(RowMaker *maker, const char *title, const char *key)
{
    heading(maker, title);
    row_add(maker, "mean", STATS_PATH(key, "mean"), NULL);
    row_add(maker, "median", STATS_PATH(key, "median"), NULL);
    row_add(maker, "95% are at most", STATS_PATH(key, "p95"), NULL);
    row_add(maker, "longest", STATS_PATH(key, "max"), NULL);
}

static void rows_of_types(RowMaker *maker, const StringArray *types, const char *title, const char *key, const char *whole)
{
    heading(maker, title);
    for (size_t i = 0; i < types->count; i++)
        row_add(maker, types->items[i], STATS_PATH("types", types->items[i], key),
                whole ? STATS_PATH("types", types->items[i], whole) : NULL);
}

/* Sentences of each file that are in file k too. */
static void row_of_overlap(RowMaker *maker, const char *name, size_t k)
{
    StatsRow row = {.name = memory_format("also in %s", name)};
    for (size_t i = 0; i < maker->files->count; i++) {
        const Json *file = maker->files->items[i];
        const Json *shared = json_get(json_at(json_get(file, "overlap"), k), "sentences");
        double all = json_number_value(json_get(file, "sentences"), 0), count = json_number_value(shared, 0);
        array_push(&row.cells,
                   shared ? memory_format("%.0f (%.1f%%)", count, all > 0 ? 100 * count / all : 0) : memory_copy_string("-"));
    }
    array_push(maker->rows, row);
}

static void rows_of_sentences(RowMaker *maker, const StringArray *names)
{
    heading(maker, "sentences and tokens");
    row_add(maker, "label scheme", STATS_PATH("scheme"), NULL);
    row_add(maker, "sentences", STATS_PATH("sentences"), NULL);
    row_add(maker, "without a span", STATS_PATH("all_o_sentences"), STATS_PATH("sentences"));
    row_add(maker, "duplicates", STATS_PATH("duplicate_sentences"), STATS_PATH("sentences"));
    for (size_t k = 0; k + 1 < names->count; k++)
        row_of_overlap(maker, names->items[k], k);
    row_add(maker, "tokens", STATS_PATH("tokens"), NULL);
    row_add(maker, "distinct tokens", STATS_PATH("distinct_tokens"), STATS_PATH("tokens"));
    row_add(maker, "spans", STATS_PATH("spans"), NULL);
}

void stats_rows_make(const JsonArray *files, const StringArray *names, StatsRowArray *rows)
{
    RowMaker maker = {files, rows};
    StringArray types = {0}, labels = {0};
    stats_view_keys(files, "types", &types);
    stats_view_keys(files, "labels", &labels);
    rows_of_sentences(&maker, names);
    rows_of_lengths(&maker, "sentence length in tokens", "length");
    if (any_has(&maker, STATS_PATH("pieces"))) {
        rows_of_lengths(&maker, "sentence length in pieces", "pieces");
        row_add(&maker, "[UNK] pieces", STATS_PATH("pieces", "unk"), NULL);
    }
    if (any_has(&maker, STATS_PATH("pieces", "window"))) {
        row_add(&maker, "pieces of text in a window", STATS_PATH("pieces", "window"), NULL);
        row_add(&maker, "sentences over a window", STATS_PATH("pieces", "over_window"), STATS_PATH("sentences"));
    }
    heading(&maker, "labels (share of tokens)");
    for (size_t i = 0; i < labels.count; i++)
        row_add(&maker, labels.items[i], STATS_PATH("labels", labels.items[i]), STATS_PATH("tokens"));
    rows_of_lengths(&maker, "span length in tokens", "span_length");
    rows_of_types(&maker, &types, "spans", "spans", NULL);
    rows_of_types(&maker, &types, "mean span length in tokens", "mean_length", NULL);
    rows_of_types(&maker, &types, "distinct surface forms (per span)", "forms", "spans");
    if (any_has(&maker, STATS_PATH("unseen"))) {
        char *title = memory_format("spans whose form %s does not have", names->items[0]);
        rows_of_types(&maker, &types, title, "unseen", "spans");
        row_add(&maker, "all types", STATS_PATH("unseen"), STATS_PATH("spans"));
        free(title);
    }
    string_array_free(&types);
    string_array_free(&labels);
}

void stats_rows_free(StatsRowArray *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        free(rows->items[i].name);
        string_array_free(&rows->items[i].cells);
    }
    array_free(rows);
}

/* Columns that a file's values take. */
static int file_width(const StatsRowArray *rows, const char *name, size_t file)
{
    int widest = terminal_columns(name);
    for (size_t i = 0; i < rows->count; i++) {
        const StringArray *cells = &rows->items[i].cells;
        if (cells->count > 0 && terminal_columns(cells->items[file]) > widest)
            widest = terminal_columns(cells->items[file]);
    }
    return widest;
}

static int name_width(const StatsRowArray *rows)
{
    int widest = 0;
    for (size_t i = 0; i < rows->count; i++)
        if (terminal_columns(rows->items[i].name) > widest)
            widest = terminal_columns(rows->items[i].name);
    return widest;
}

static void print_block(const StatsRowArray *rows, const StringArray *names, size_t first, size_t end, FILE *stream, int width,
                        bool colours)
{
    TableColumn *columns = memory_allocate(1 + end - first, sizeof *columns);
    columns[0] = (TableColumn){.shrink = true};
    for (size_t i = first; i < end; i++)
        columns[1 + i - first] = (TableColumn){.right = true, .shrink = true};
    Table *table = table_create(columns, 1 + end - first);
    table_cell(table, NULL, "%s", "");
    for (size_t i = first; i < end; i++)
        table_cell(table, "1", "%s", names->items[i]);
    for (size_t i = 0; i < rows->count; i++) {
        const StatsRow *row = &rows->items[i];
        bool is_heading = row->cells.count == 0;
        if (is_heading) {
            table_end_row(table);
            table_cell(table, NULL, "%s", "");
            table_end_row(table);
        }
        table_cell(table, is_heading ? "1" : NULL, "%s", row->name);
        for (size_t k = first; !is_heading && k < end; k++)
            table_cell(table, NULL, "%s", row->cells.items[k]);
        table_end_row(table);
    }
    table_print(table, stream, width, colours);
    table_destroy(&table);
    free(columns);
}

void stats_print(const StatsRowArray *rows, const StringArray *names, FILE *stream, int width, bool colours)
{
    enum { GAP = 2 };
    int left = name_width(rows);
    for (size_t first = 0, end; first < names->count; first = end) {
        int used = left;
        for (end = first; end < names->count; end++) {
            used += GAP + file_width(rows, names->items[end], end);
            if (width > 0 && used > width && end > first)
                break;
        }
        print_block(rows, names, first, end, stream, width, colours);
        fputc('\n', stream);
    }
}
