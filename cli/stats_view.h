/* Statistics of several files side by side: rows for tables, and a page of plots. Both are drawn from the objects that `stats --json` prints
 * (shard/stats.h), so that they cannot say anything else. */
#ifndef NERSWEEP_CLI_STATS_VIEW_H
#define NERSWEEP_CLI_STATS_VIEW_H

#include <stdio.h>

#include "core/base/memory.h"
#include "core/io/json.h"

typedef ARRAY(Json *) JsonArray;

/* Names of the files for headings: base names where they differ, else paths. Freed with string_array_free. */
void stats_view_names(const JsonArray *files, StringArray *names);
/* Keys that an object of this name has in any file, sorted by bytes. Freed with string_array_free. */
void stats_view_keys(const JsonArray *files, const char *name, StringArray *keys);
/* file[key] or file[key][inner]...: keys as STATS_PATH("pieces", "window"). NULL: not there. */
#define STATS_PATH(...) ((const char *const[]){__VA_ARGS__, NULL})
const Json *stats_view_value(const Json *file, const char *const *path);

/* One row: a heading (no cells), or a name and a cell per file. */
typedef struct StatsRow {
    char *name;
    StringArray cells;
} StatsRow;
typedef ARRAY(StatsRow) StatsRowArray;
void stats_rows_make(const JsonArray *files, const StringArray *names, StatsRowArray *rows);
void stats_rows_free(StatsRowArray *rows);

/* Tables on a stream, files in blocks of as many as fit into width (0: all). */
void stats_print(const StatsRowArray *rows, const StringArray *names, FILE *stream, int width, bool colours);

/* The whole page (see html.h); at most HTML_SERIES_LIMIT files. */
void stats_page(Text *page, const JsonArray *files, const StringArray *names, const StatsRowArray *rows);

#endif
