/* Numbers as text, strictly: the whole text, decimal, finite, with a point whatever the locale says. */
#ifndef NERSWEEP_CORE_OPTIONS_NUMBER_H
#define NERSWEEP_CORE_OPTIONS_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NUMBER_TEXT_SIZE = 32 };

/* Bytes of text that make a real number ("-1.5e-3" of "-1.5e-3x"); 0: none. */
size_t number_scan_real(const char *text);
/* False when text is anything else than one number, or is too large for the type. */
bool number_parse_real(const char *text, double *value);
bool number_parse_integer(const char *text, int64_t *value);
bool number_parse_unsigned(const char *text, uint64_t *value);
/* Bytes: "512M", "1.5G", "8GiB", "1048576"; K, M, G, T are powers of 1024, a B or iB behind them is allowed. At least one byte, below 2^63. */
bool number_parse_bytes(const char *text, uint64_t *bytes);
/* The fewest digits that number_parse_real reads back to the same bits: "5e-5", "0.06", "3". value must be finite. Returns text. */
char *number_format_real(double value, char text[NUMBER_TEXT_SIZE]);

#endif
