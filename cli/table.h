/* Tables for people: columns as wide as what is in them, cut to the terminal's width. */
#ifndef NERSWEEP_CLI_TABLE_H
#define NERSWEEP_CLI_TABLE_H

#include <stdbool.h>
#include <stdio.h>

#include "core/base/memory.h"

typedef struct TableColumn {
    bool right;  /* aligned */
    bool shrink; /* cut when the terminal is narrow */
} TableColumn;

typedef struct Table Table;
/* columns: [column_count], copied. */
Table *table_create(const TableColumn *columns, size_t column_count);
void table_destroy(Table **table);
/* The next cell, row by row; a row that was not filled is filled with empty cells. style: SGR parameters such as "1;31" for terminals with
 * colours, static, or NULL. */
void table_cell(Table *table, const char *style, const char *format, ...) PRINTF_LIKE(3, 4);
void table_end_row(Table *table);
/* width: 0 for no limit. */
void table_print(const Table *table, FILE *stream, int width, bool colours);

#endif
