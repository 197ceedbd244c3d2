/* Where the words of ASCII text are: classes of 64 bytes at a time become bit masks, and their edges become places. Private to package shard.
 *
 * What is not ASCII, and control characters that are dropped, end a scan before the word that they are part of: wordpiece_wide.c does those. */
#ifndef NERSWEEP_SHARD_WORDPIECE_SCAN_H
#define NERSWEEP_SHARD_WORDPIECE_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What to do with a byte of text that begins something. */
typedef enum ByteClass { BYTE_LETTER, BYTE_SPACE, BYTE_PUNCTUATION, BYTE_REMOVED, BYTE_WIDE } ByteClass;

enum {
    SCAN_BLOCK = 64,   /* bytes whose classes are found at once */
    SCAN_CHUNK = 1024, /* bytes of a scan, at most */
    SCAN_SLACK = 16,   /* zeros behind the bytes, so that keys can be read whole */
};

typedef struct WordScanTables {
    uint8_t byte_class[256]; /* ByteClass; BYTE_WIDE from 0x80 on */
    uint8_t byte_lower[128]; /* the normalised letter */
    bool lowercase;          /* byte_lower changes A to Z and nothing else; false: nothing at all */
    /* A byte is of a class if the bit of its high nibble is set in the row of its low nibble. */
    _Alignas(16) uint8_t letter_rows[16];
    _Alignas(16) uint8_t punctuation_rows[16];
    _Alignas(16) uint8_t space_rows[16];
} WordScanTables;
/* Fills the rows from byte_class. */
void word_scan_tables_finish(WordScanTables *tables);

typedef struct WordScan {
    int32_t count; /* words: runs of letters, and single characters of punctuation */
    int32_t size;  /* bytes of text that are done with: all, or up to a word that is not whole */
    bool stopped;  /* by a byte that is not for this scan; it or the word that it is part of comes next */
    uint16_t starts[SCAN_CHUNK + SCAN_BLOCK]; /* into bytes */
    uint16_t ends[SCAN_CHUNK + SCAN_BLOCK];
    _Alignas(32) uint8_t bytes[SCAN_CHUNK + SCAN_SLACK]; /* the normalised text */
} WordScan;

/* Scans up to SCAN_CHUNK of the size (at least 1) bytes at text, which begin something: no byte that belongs to them stands before. Reads
 * nothing behind them. */
typedef void (*WordScanFunction)(const WordScanTables *tables, const uint8_t *text, size_t size, WordScan *scan);

typedef struct WordScanner {
    const char *name;
    WordScanFunction scan;
} WordScanner;
/* Those that this processor has, the fastest first and the portable one last. All give the same. */
const WordScanner *word_scanners(size_t *count);

#endif
