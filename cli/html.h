/* One self-contained HTML page: no script, nothing loaded from anywhere, light or dark as the reader's system is. */
#ifndef NERSWEEP_CLI_HTML_H
#define NERSWEEP_CLI_HTML_H

#include "core/base/memory.h"

/* Appends text as the content of an element or a quoted attribute: nothing in it is markup, control characters are U+FFFD. */
void html_escape(Text *page, const char *text);

/* Head, style and heading. Colours of up to HTML_SERIES_LIMIT series are the classes s0, s1 ... (see svg.h). */
enum { HTML_SERIES_LIMIT = 8 };
void html_begin(Text *page, const char *title);
void html_end(Text *page);

void html_heading(Text *page, const char *text);                            /* begins a section */
void html_paragraph(Text *page, const char *format, ...) PRINTF_LIKE(2, 3); /* escaped */

#endif
