#include "cli/svg.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/html.h"
#include "cli/terminal.h"

/* Units of the drawing; a character is taken to be CHARACTER wide, which is right for the middle of any proportional type of 12 units. */
enum {
    WIDTH = 760,
    CHARACTER = 7,
    LEGEND_ROW = 20,
    BAR = 14,
    BAR_GAP = 3,
    GROUP_GAP = 10,
    LABEL_CHARACTERS = 30,
    TITLE_HEIGHT = 30
};

/* At most `limit` characters of a text (wide ones count twice), with an ellipsis for the rest. The caller frees it. */
static char *shortened(const char *text, int limit)
{
    Text cut = {0};
    terminal_append(&cut, text, limit);
    return text_take(&cut);
}

static void value_text(char *text, size_t size, SvgUnit unit, double value)
{
    if (unit == SVG_PERCENT)
        snprintf(text, size, "%.1f %%", 100 * value);
    else
        snprintf(text, size, unit == SVG_COUNT ? "%.0f" : "%.3f", value);
}

static void text_at(Text *page, double x, double y, const char *anchor, const char *class, const char *text)
{
    text_format(page, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" class=\"%s\">", x, y, anchor, class);
    html_escape(page, text);
    text_append_string(page, "</text>\n");
}

static void line_at(Text *page, const char *class, double x1, double y1, double x2, double y2)
{
    text_format(page, "<line class=\"%s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n", class, x1, y1, x2, y2);
}

/* Where the legend's entries stand: rows are begun as they are needed. Draws when page is given; returns the rows. */
static int legend(Text *page, const SvgSeries *series, size_t count, double top)
{
    double x = 4;
    int row = 0;
    for (size_t i = 0; i < count; i++) {
        char *name = shortened(series[i].name, LABEL_CHARACTERS);
        double width = 24 + CHARACTER * terminal_columns(name) + 18;
        if (x > 4 && x + width > WIDTH) {
            x = 4;
            row++;
        }
        double y = top + LEGEND_ROW * row;
        if (page) {
            text_format(page, "<rect class=\"s%d\" x=\"%.1f\" y=\"%.1f\" width=\"14\" height=\"10\"/>\n", series[i].colour, x, y);
            text_at(page, x + 20, y + 10, "start", "", name);
        }
        x += width;
        free(name);
    }
    return count > 0 ? row + 1 : 0;
}

static void chart_begin(Text *page, double height, const char *title, const char *description)
{
    text_format(page, "<svg viewBox=\"0 0 %d %.0f\" role=\"img\">\n<title>", WIDTH, height);
    html_escape(page, title);
    text_append_string(page, "</title>\n<desc>");
    html_escape(page, description);
    text_append_string(page, "</desc>\n");
    text_at(page, 0, 16, "start", "name", title);
}

/* The distance of ticks: 1, 2 or 5 times a power of ten, so that at most `count` fit. */
static double tick_step(double range, int count)
{
    if (!(range > 0))
        return 1;
    double step = pow(10, floor(log10(range / count)));
    while (range / step > count)
        step *= range / (step * 2) <= count ? 2 : range / (step * 5) <= count ? 5 : 10;
    return step;
}

static double largest(const SvgSeries *series, size_t series_count, size_t value_count)
{
    double most = 0;
    for (size_t s = 0; s < series_count; s++)
        for (size_t i = 0; i < value_count; i++)
            if (series[s].values[i] > most) /* false for NaN */
                most = series[s].values[i];
    return most;
}

static void bar(Text *page, const SvgBars *chart, size_t series, size_t category, double x, double y, double scale)
{
    double value = chart->series[series].values[category];
    char text[32] = "none";
    if (!isnan(value))
        value_text(text, sizeof text, chart->unit, value);
    double width = isnan(value) ? 0 : value * scale;
    text_format(page, "<rect class=\"s%d\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\"><title>",
                chart->series[series].colour, x, y, width, BAR - 2);
    html_escape(page, chart->categories[category]);
    text_append_string(page, ", ");
    html_escape(page, chart->series[series].name);
    text_format(page, ": %s</title></rect>\n", text);
    text_at(page, x + width + 6, y + BAR - 4, "start", "soft", text);
}

void svg_bars(Text *page, const SvgBars *chart)
{
    int label_characters = 4;
    for (size_t i = 0; i < chart->category_count; i++)
        if (terminal_columns(chart->categories[i]) > label_characters)
            label_characters = terminal_columns(chart->categories[i]);
    if (label_characters > LABEL_CHARACTERS)
        label_characters = LABEL_CHARACTERS;
    double left = CHARACTER * label_characters + 14, room = WIDTH - left - 70;
    double group = (double)chart->series_count * (BAR + BAR_GAP) + GROUP_GAP;
    double top = TITLE_HEIGHT + LEGEND_ROW * legend(NULL, chart->series, chart->series_count, 0) + 6;
    double height = top + group * (double)chart->category_count,
           most = largest(chart->series, chart->series_count, chart->category_count);
    chart_begin(page, height + 4, chart->title, chart->description);
    legend(page, chart->series, chart->series_count, TITLE_HEIGHT);
    line_at(page, "axis", left, top, left, height);
    for (size_t i = 0; i < chart->category_count; i++) {
        double y = top + group * (double)i + GROUP_GAP / 2.0;
        char *label = shortened(chart->categories[i], LABEL_CHARACTERS);
        text_at(page, left - 8, y + (group - GROUP_GAP) / 2 + 3, "end", "", label);
        for (size_t s = 0; s < chart->series_count; s++)
            bar(page, chart, s, i, left + 1, y + (double)s * (BAR + BAR_GAP), most > 0 ? room / most : 0);
        free(label);
    }
    text_append_string(page, "</svg>\n");
}

/* The place of a histogram in its drawing. */
typedef struct Plot {
    double left, right, top, bottom;
    double bin;  /* width of a bin */
    double most; /* the highest value */
} Plot;

static void histogram_y_axis(Text *page, const SvgHistogram *chart, const Plot *plot)
{
    double step = tick_step(100 * plot->most, 5);
    for (double value = 0; value <= 100 * plot->most + 1e-9; value += step) {
        char text[32];
        double y = plot->bottom - (plot->bottom - plot->top) * value / (100 * plot->most);
        snprintf(text, sizeof text, "%g %%", value);
        line_at(page, value > 0 ? "grid" : "axis", plot->left, y, plot->right, y);
        text_at(page, plot->left - 6, y + 4, "end", "soft", text);
    }
    text_at(page, plot->left - 6, plot->top - 12, "start", "soft", chart->y_title);
}

static double bin_x(const SvgHistogram *chart, const Plot *plot, double value)
{
    return plot->left + plot->bin * (value - (double)chart->first) / (double)chart->bin_width;
}

/* Ticks are the lower edges of bins; where a bin is one length, its middle. */
static void histogram_x_axis(Text *page, const SvgHistogram *chart, const Plot *plot)
{
    size_t closed = chart->bin_count - chart->open;
    double middle = chart->bin_width == 1 ? plot->bin / 2 : 0;
    int64_t step = (int64_t)tick_step((double)chart->bin_width * (double)closed, 12);
    step = step < chart->bin_width ? chart->bin_width : step;
    double end = bin_x(chart, plot, (double)(chart->first + chart->bin_width * (int64_t)closed));
    for (int64_t value = chart->first; value < chart->first + chart->bin_width * (int64_t)closed; value += step) {
        char text[32];
        double x = bin_x(chart, plot, (double)value) + middle;
        if (chart->open && x > end - 3 * CHARACTER)
            break;
        snprintf(text, sizeof text, "%lld", (long long)value);
        line_at(page, "axis", x, plot->bottom, x, plot->bottom + 4);
        text_at(page, x, plot->bottom + 18, "middle", "soft", text);
        if (value == chart->first && value % step != 0)
            value -= value % step; /* 1, then multiples */
    }
    if (chart->open) {
        char text[32];
        snprintf(text, sizeof text, "\xE2\x89\xA5 %lld", (long long)(chart->first + chart->bin_width * (int64_t)closed));
        text_at(page, end + plot->bin / 2, plot->bottom + 18, "middle", "soft", text);
    }
    text_at(page, (plot->left + plot->right) / 2, plot->bottom + 36, "middle", "soft", chart->x_title);
}

static void histogram_steps(Text *page, const SvgHistogram *chart, const Plot *plot, size_t series)
{
    text_format(page, "<path class=\"steps s%d\" d=\"M%.1f %.1f", chart->series[series].colour, plot->left, plot->bottom);
    for (size_t i = 0; i < chart->bin_count; i++) {
        double y = plot->bottom - (plot->bottom - plot->top) * chart->series[series].values[i] / plot->most;
        text_format(page, "V%.1fH%.1f", y, plot->left + plot->bin * (double)(i + 1));
    }
    text_format(page, "V%.1fZ\"><title>", plot->bottom);
    html_escape(page, chart->series[series].name);
    text_append_string(page, "</title></path>\n");
}

static void histogram_mark(Text *page, const SvgHistogram *chart, const Plot *plot)
{
    size_t closed = chart->bin_count - chart->open;
    bool outside = chart->mark >= chart->first + chart->bin_width * (int64_t)closed;
    double x = outside ? plot->right : bin_x(chart, plot, (double)chart->mark);
    char *text = memory_format("%s: %lld%s", chart->mark_name, (long long)chart->mark, outside ? " \xE2\x86\x92" : "");
    bool to_left = x > (plot->left + plot->right) / 2;
    if (!outside)
        line_at(page, "mark", x, plot->top - 6, x, plot->bottom);
    text_at(page, to_left ? x - 6 : x + 6, plot->top + 4, to_left ? "end" : "start", "marked", text);
    free(text);
}

void svg_histogram(Text *page, const SvgHistogram *chart)
{
    double top = TITLE_HEIGHT + LEGEND_ROW * legend(NULL, chart->series, chart->series_count, 0) + 26;
    Plot plot = {.left = 56, .right = WIDTH - 14, .top = top, .bottom = top + 220};
    plot.bin = (plot.right - plot.left) / (double)chart->bin_count;
    plot.most = largest(chart->series, chart->series_count, chart->bin_count);
    plot.most = plot.most > 0 ? plot.most : 1;
    chart_begin(page, plot.bottom + 46, chart->title, chart->description);
    legend(page, chart->series, chart->series_count, TITLE_HEIGHT);
    histogram_y_axis(page, chart, &plot);
    for (size_t s = 0; s < chart->series_count; s++)
        histogram_steps(page, chart, &plot, s);
    histogram_x_axis(page, chart, &plot);
    if (chart->mark > 0)
        histogram_mark(page, chart, &plot);
    text_append_string(page, "</svg>\n");
}
