#include "cli/table.h"

#include <stdlib.h>
#include <string.h>

#include "cli/terminal.h"

enum { GAP = 2, NARROWEST = 6 };

typedef struct Cell {
    char *text; /* NULL: empty */
    const char *style;
    int columns;
} Cell;

struct Table {
    TableColumn *columns;
    size_t column_count;
    ARRAY(Cell) cells;
};

Table *table_create(const TableColumn *columns, size_t column_count)
{
    Table *table = memory_allocate(1, sizeof *table);
    table->columns = memory_allocate(column_count, sizeof *columns);
    memcpy(table->columns, columns, column_count * sizeof *columns);
    table->column_count = column_count;
    return table;
}

void table_destroy(Table **table)
{
    Table *ended = *table;
    *table = NULL;
    if (!ended)
        return;
    for (size_t i = 0; i < ended->cells.count; i++)
        free(ended->cells.items[i].text);
    array_free(&ended->cells);
    free(ended->columns);
    free(ended);
}

void table_cell(Table *table, const char *style, const char *format, ...)
{
    char text[4096];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    Cell cell = {.text = memory_copy_string(text), .style = style, .columns = terminal_columns(text)};
    array_push(&table->cells, cell);
}

void table_end_row(Table *table)
{
    while (table->cells.count % table->column_count != 0)
        array_push(&table->cells, (Cell){0});
}

/* The widest of the columns that may be cut gives way, one column at a time. */
static void widths_fit(const Table *table, int *widths, int limit)
{
    for (;;) {
        int total = 0;
        size_t widest = table->column_count;
        for (size_t c = 0; c < table->column_count; c++) {
            total += widths[c] + (c > 0 ? GAP : 0);
            if (table->columns[c].shrink && widths[c] > NARROWEST && (widest == table->column_count || widths[c] > widths[widest]))
                widest = c;
        }
        if (total <= limit || widest == table->column_count)
            return;
        widths[widest]--;
    }
}

static void pad(Text *line, int columns)
{
    for (int i = 0; i < columns; i++)
        text_append(line, " ", 1);
}

static void cell_append(Text *line, const Cell *cell, TableColumn column, int width, bool last, bool colours)
{
    int shown = cell->columns < width ? cell->columns : width;
    if (!cell->text) {
        pad(line, last ? 0 : width);
        return;
    }
    pad(line, column.right ? width - shown : 0);
    if (cell->style && colours)
        text_format(line, "\033[%sm", cell->style);
    terminal_append(line, cell->text, width);
    if (cell->style && colours)
        text_append_string(line, "\033[0m");
    pad(line, column.right || last ? 0 : width - shown);
}

void table_print(const Table *table, FILE *stream, int width, bool colours)
{
    size_t count = table->column_count;
    int *widths = memory_allocate(count, sizeof *widths);
    Text line = {0};
    for (size_t i = 0; i < table->cells.count; i++)
        if (table->cells.items[i].columns > widths[i % count])
            widths[i % count] = table->cells.items[i].columns;
    if (width > 0)
        widths_fit(table, widths, width);
    for (size_t row = 0; row + count <= table->cells.count; row += count) {
        size_t end = count;
        while (end > 0 && table->cells.items[row + end - 1].columns == 0)
            end--;
        text_clear(&line);
        for (size_t c = 0; c < end; c++) {
            pad(&line, c > 0 ? GAP : 0);
            cell_append(&line, &table->cells.items[row + c], table->columns[c], widths[c], c + 1 == end, colours);
        }
        text_append_string(&line, "\n");
        fputs(line.bytes, stream);
    }
    text_free(&line);
    free(widths);
}
