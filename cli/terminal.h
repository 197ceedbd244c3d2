/* What text from outside looks like in columns of a terminal. */
#ifndef NERSWEEP_CLI_TERMINAL_H
#define NERSWEEP_CLI_TERMINAL_H

#include <stdio.h>

#include "core/base/memory.h"

/* Columns of the terminal that the stream goes to; 0: it goes elsewhere, and any width is fine. */
int terminal_width(FILE *stream);

/* Columns that UTF-8 takes: wide characters two, combining ones none. What terminal_append replaces counts as it is shown. */
int terminal_columns(const char *text);

/* Appends the text in at most so many columns (0: all of it), the rest cut off behind an ellipsis. Control characters, and bytes that are no
 * UTF-8, are shown as U+FFFD, so that no token can steer the terminal. */
void terminal_append(Text *to, const char *text, int columns);

#endif
