/* The page of `stats --html`. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/html.h"
#include "cli/stats_view.h"
#include "cli/svg.h"
#include "core/io/file.h"

enum {
    BIN_LIMIT = 40,   /* bins of a histogram */
    ROWS_DRAWN = 40,  /* categories of a bar chart; the tables have them all */
    SPAN_LENGTHS = 20 /* bins of span lengths */
};

typedef struct PageMaker {
    Text *page;
    const JsonArray *files;
    const StringArray *names;
    int first_colour;
} PageMaker;

/* values: [files][count], NaN; freed by the caller together with the series. */
static SvgSeries *series_make(const PageMaker *maker, size_t count, double **values)
{
    SvgSeries *series = memory_allocate(maker->files->count, sizeof *series);
    *values = memory_allocate(maker->files->count * count + 1, sizeof **values);
    for (size_t i = 0; i < maker->files->count; i++)
        series[i] = (SvgSeries){maker->names->items[i], *values + i * count, maker->first_colour + (int)i};
    return series;
}

/* The smallest length that at least this share of all are not above. */
static int64_t length_quantile(const Json *lengths, double share)
{
    const Json *histogram = json_get(lengths, "histogram");
    double all = 0, seen = 0;
    for (size_t i = 0; i < json_count(histogram); i++)
        all += json_number_value(json_at(json_at(histogram, i), 1), 0);
    for (size_t i = 0; i < json_count(histogram); i++) {
        seen += json_number_value(json_at(json_at(histogram, i), 1), 0);
        if (seen >= share * all)
            return json_integer_value(json_at(json_at(histogram, i), 0), 0);
    }
    return 0;
}

static void shares_fill(const Json *lengths, const SvgHistogram *chart, double *shares)
{
    const Json *histogram = json_get(lengths, "histogram");
    double all = 0;
    for (size_t i = 0; i < json_count(histogram); i++) {
        int64_t length = json_integer_value(json_at(json_at(histogram, i), 0), 0);
        double count = json_number_value(json_at(json_at(histogram, i), 1), 0);
        size_t bin = length <= chart->first ? 0 : (size_t)((length - chart->first) / chart->bin_width);
        shares[bin < chart->bin_count ? bin : chart->bin_count - 1] += count;
        all += count;
    }
    for (size_t bin = 0; bin < chart->bin_count; bin++)
        shares[bin] = all > 0 ? shares[bin] / all : 0;
}

/* 1, 2, 5, 10, 20 ...: the first that needs at most `limit` bins. */
static int64_t bin_width_of(int64_t range, size_t limit)
{
    int64_t width = 1;
    for (int step = 0; (range + width - 1) / width > (int64_t)limit; step++)
        width = step % 3 == 1 ? width / 2 * 5 : width * 2;
    return width;
}

/* The longest lengths of all share the last bin: one outlier must not press all others into the first. */
static void histogram_draw(const PageMaker *maker, const char *key, SvgHistogram chart, size_t bin_limit)
{
    int64_t usual = 1, longest = 1;
    double *shares;
    for (size_t i = 0; i < maker->files->count; i++) {
        const Json *lengths = json_get(maker->files->items[i], key);
        int64_t quantile = length_quantile(lengths, 0.995), max = json_integer_value(json_get(lengths, "max"), 0);
        usual = quantile > usual ? quantile : usual;
        longest = max > longest ? max : longest;
    }
    if (chart.mark > usual && chart.mark <= 2 * usual)
        usual = chart.mark + 1;
    chart.bin_width = bin_width_of(usual + 1, bin_limit);
    chart.first = chart.bin_width == 1 ? 1 : 0;
    chart.bin_count = (size_t)((usual - chart.first) / chart.bin_width) + 1;
    chart.open = chart.first + (int64_t)chart.bin_count * chart.bin_width <= longest;
    chart.bin_count += chart.open;
    SvgSeries *series = series_make(maker, chart.bin_count, &shares);
    for (size_t i = 0; i < maker->files->count; i++)
        shares_fill(json_get(maker->files->items[i], key), &chart, shares + i * chart.bin_count);
    chart.series = series;
    chart.series_count = maker->files->count;
    svg_histogram(maker->page, &chart);
    free(series);
    free(shares);
}

/* How a chart's value comes out of a file: a number, or a share of another one. */
typedef struct BarSource {
    const char *section, *key; /* file[section][CATEGORY], or file[section][CATEGORY][key] */
    const char *whole;         /* file[whole]: what it is a share of; NULL: as it is */
} BarSource;

static double bar_value(const Json *file, const BarSource *source, const char *category)
{
    const Json *value = stats_view_value(file, STATS_PATH(source->section, category));
    if (source->key)
        value = json_get(value, source->key);
    if (!value)
        return NAN;
    double whole = source->whole ? json_number_value(json_get(file, source->whole), 0) : 1;
    return whole > 0 ? json_number_value(value, 0) / whole : 0;
}

static void bars_draw(const PageMaker *maker, SvgBars chart, const StringArray *categories, const char *left_out, BarSource source)
{
    ARRAY(const char *) drawn = {0};
    double *values;
    for (size_t i = 0; i < categories->count && drawn.count < ROWS_DRAWN; i++)
        if (!left_out || strcmp(categories->items[i], left_out) != 0)
            array_push(&drawn, categories->items[i]);
    SvgSeries *series = series_make(maker, drawn.count, &values);
    for (size_t i = 0; i < maker->files->count; i++)
        for (size_t k = 0; k < drawn.count; k++)
            values[i * drawn.count + k] = bar_value(maker->files->items[i], &source, drawn.items[k]);
    chart.categories = drawn.items;
    chart.category_count = drawn.count;
    chart.series = series;
    chart.series_count = maker->files->count;
    if (drawn.count > 0)
        svg_bars(maker->page, &chart);
    if (categories->count > drawn.count + (left_out != NULL))
        html_paragraph(maker->page, "The first %zu of %zu are drawn; the table below has them all.", drawn.count,
                       categories->count);
    free(series);
    free(values);
    array_free(&drawn);
}

static void lengths_section(const PageMaker *maker)
{
    const Json *window = NULL;
    html_heading(maker->page, "Sentence lengths");
    histogram_draw(
        maker, "length",
        (SvgHistogram){.title = "Sentence length in tokens",
                       .description = "Histogram of the lengths of sentences in tokens, as shares of each file's sentences.",
                       .x_title = "tokens",
                       .y_title = "share of sentences"},
        BIN_LIMIT);
    if (!json_get(maker->files->items[0], "pieces"))
        return;
    window = stats_view_value(maker->files->items[0], STATS_PATH("pieces", "window"));
    histogram_draw(maker, "pieces",
                   (SvgHistogram){.title = "Sentence length in pieces",
                                  .description =
                                      "Histogram of the lengths of sentences in pieces of the vocabulary, without special "
                                      "pieces, as shares of each file's sentences. A line marks what a window holds.",
                                  .x_title = "pieces, without special ones",
                                  .y_title = "share of sentences",
                                  .mark = json_integer_value(window, 0),
                                  .mark_name = "a window holds"},
                   BIN_LIMIT);
}

static void labels_section(const PageMaker *maker, const StringArray *types)
{
    StringArray labels = {0};
    stats_view_keys(maker->files, "labels", &labels);
    html_heading(maker->page, "Label balance");
    bars_draw(maker,
              (SvgBars){.title = "Labels but O, share of tokens",
                        .description = "For each label but O and each file, the share of the file's tokens that have it.",
                        .unit = SVG_PERCENT},
              &labels, "O", (BarSource){"labels", NULL, "tokens"});
    bars_draw(maker,
              (SvgBars){.title = "Spans by type, share of spans",
                        .description = "For each type and each file, the share of the file's spans that are of it.",
                        .unit = SVG_PERCENT},
              types, NULL, (BarSource){"types", "spans", "spans"});
    string_array_free(&labels);
}

static void spans_section(const PageMaker *maker, const StringArray *types)
{
    html_heading(maker->page, "Spans");
    histogram_draw(maker, "span_length",
                   (SvgHistogram){.title = "Span length in tokens",
                                  .description = "Histogram of the lengths of spans in tokens, as shares of each file's spans.",
                                  .x_title = "tokens",
                                  .y_title = "share of spans"},
                   SPAN_LENGTHS);
    html_paragraph(
        maker->page,
        "Diversity: distinct surface forms (the tokens as they stand) per span. Near 1 every span is another one; near 0 a "
        "few forms come again and again, and a model can learn them by heart.");
    bars_draw(
        maker,
        (SvgBars){.title = "Distinct surface forms per span",
                  .description = "Type-token ratio of spans: for each type and each file, distinct surface forms divided by spans.",
                  .unit = SVG_RATIO},
        types, NULL, (BarSource){"types", "type_token_ratio", NULL});
}

/* What the files after the first share with it. */
static void comparison_section(const PageMaker *all, const StringArray *types)
{
    JsonArray later = {.items = all->files->items + 1, .count = all->files->count - 1};
    StringArray names = {.items = all->names->items + 1, .count = all->names->count - 1};
    PageMaker maker = {all->page, &later, &names, 1};
    Text title = {0};
    text_format(&title, "Compared with %s", all->names->items[0]);
    html_heading(all->page, title.bytes);
    text_clear(&title);
    text_format(&title, "Spans whose form %s does not have under that type", all->names->items[0]);
    bars_draw(&maker,
              (SvgBars){.title = title.bytes,
                        .description =
                            "For each type and each later file, the share of spans whose surface form the first file never "
                            "has under that type.",
                        .unit = SVG_PERCENT},
              types, NULL, (BarSource){"types", "unseen_share", NULL});
    text_free(&title);
}

/* Rows: in which earlier file sentences are found again. */
static void overlap_draw(const PageMaker *maker)
{
    size_t count = maker->files->count - 1;
    double *values;
    SvgSeries *series = series_make(maker, count, &values);
    for (size_t i = 0; i <= count; i++)
        for (size_t k = 0; k < count; k++) {
            const Json *file = maker->files->items[i];
            const Json *shared = json_get(json_at(json_get(file, "overlap"), k), "sentences");
            double all = json_number_value(json_get(file, "sentences"), 0);
            values[i * count + k] = !shared ? NAN : all > 0 ? json_number_value(shared, 0) / all : 0;
        }
    svg_bars(maker->page,
             &(SvgBars){.title = "Sentences found again in an earlier file",
                        .description = "For each file, the share of its sentences that an earlier file has too, token by token.",
                        .unit = SVG_PERCENT,
                        .categories = (const char *const *)maker->names->items,
                        .category_count = count,
                        .series = series + 1,
                        .series_count = count});
    free(series);
    free(values);
}

static void tables_section(const PageMaker *maker, const StatsRowArray *rows)
{
    html_heading(maker->page, "All figures");
    text_append_string(maker->page, "<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\"></th>");
    for (size_t i = 0; i < maker->names->count; i++) {
        text_append_string(maker->page, "<th scope=\"col\">");
        html_escape(maker->page, maker->names->items[i]);
        text_append_string(maker->page, "</th>");
    }
    text_append_string(maker->page, "</tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < rows->count; i++) {
        const StatsRow *row = &rows->items[i];
        bool part = row->cells.count == 0;
        text_format(maker->page, part ? "<tr class=\"part\"><th scope=\"rowgroup\" colspan=\"%zu\">" : "<tr><th scope=\"row\">",
                    maker->names->count + 1);
        html_escape(maker->page, row->name);
        text_append_string(maker->page, "</th>");
        for (size_t k = 0; k < row->cells.count; k++) {
            text_append_string(maker->page, "<td>");
            html_escape(maker->page, row->cells.items[k]);
            text_append_string(maker->page, "</td>");
        }
        text_append_string(maker->page, "</tr>\n");
    }
    text_append_string(maker->page, "</tbody></table></div>\n");
}

static bool limit_reached(const JsonArray *files)
{
    for (size_t i = 0; i < files->count; i++)
        if (json_boolean_value(json_get(files->items[i], "limit_reached"), false))
            return true;
    return false;
}

void stats_page(Text *page, const JsonArray *files, const StringArray *names, const StatsRowArray *rows)
{
    PageMaker maker = {page, files, names, 0};
    StringArray types = {0};
    stats_view_keys(files, "types", &types);
    html_begin(page, "Corpus statistics");
    for (size_t i = 0; i < files->count; i++)
        html_paragraph(page, "%s: %s, %lld sentences, %lld tokens, %lld spans", names->items[i],
                       json_string_value(json_get(files->items[i], "scheme")),
                       (long long)json_integer_value(json_get(files->items[i], "sentences"), 0),
                       (long long)json_integer_value(json_get(files->items[i], "tokens"), 0),
                       (long long)json_integer_value(json_get(files->items[i], "spans"), 0));
    if (limit_reached(files))
        html_paragraph(
            page,
            "More was distinct than memory is set aside for: duplicates and overlaps are at least, unseen spans at most, what is "
            "said here.");
    lengths_section(&maker);
    labels_section(&maker, &types);
    spans_section(&maker, &types);
    if (files->count > 1) {
        comparison_section(&maker, &types);
        overlap_draw(&maker);
    }
    tables_section(&maker, rows);
    html_end(page);
    string_array_free(&types);
}
