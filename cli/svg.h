/* Charts as inline SVG for pages made by html.h: drawn in classes that follow the page's light and dark colours, each with a title and a
 * description for those who do not see it. All texts are escaped here. */
#ifndef NERSWEEP_CLI_SVG_H
#define NERSWEEP_CLI_SVG_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/memory.h"

typedef enum SvgUnit { SVG_COUNT, SVG_PERCENT, SVG_RATIO } SvgUnit; /* how values are written: 12, 12.0 %, 0.120 */

typedef struct SvgSeries {
    const char *name;
    const double *values; /* [category_count] or [bin_count]; NaN: none. SVG_PERCENT: shares from 0 to 1 */
    int colour;           /* from 0, below HTML_SERIES_LIMIT */
} SvgSeries;

/* Bars side by side for each category, one a series. */
typedef struct SvgBars {
    const char *title, *description;
    SvgUnit unit;
    const char *const *categories;
    size_t category_count;
    const SvgSeries *series;
    size_t series_count; /* at most HTML_SERIES_LIMIT */
} SvgBars;
void svg_bars(Text *page, const SvgBars *chart);

/* Shares of lengths by bin: bin i holds [first + i * bin_width, first + (i + 1) * bin_width), the last one (when `open`) all that is longer. */
typedef struct SvgHistogram {
    const char *title, *description, *x_title, *y_title;
    int64_t first, bin_width;
    size_t bin_count;
    bool open;
    const SvgSeries *series;
    size_t series_count;
    int64_t mark; /* a limit to be drawn as a line, 0: none; one that lies to the right of all bins is named at the edge */
    const char *mark_name;
} SvgHistogram;
void svg_histogram(Text *page, const SvgHistogram *chart);

#endif
