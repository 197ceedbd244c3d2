/* How the lines of a CoNLL or TSV file are laid out: separator, number of columns, comments. Internal to shard/. */
#ifndef NERSWEEP_SHARD_CORPUS_LAYOUT_H
#define NERSWEEP_SHARD_CORPUS_LAYOUT_H

#include "shard/corpus.h"
#include "shard/corpus_lines.h"

enum { CORPUS_COLUMN_LIMIT = 9, CORPUS_LAYOUT_BYTES = 4 << 20 };

typedef struct CorpusLayout {
    bool tabs;                    /* columns are separated by one TAB each; else by runs of spaces and TABs */
    bool comments;                /* lines that begin with "# " and are not shaped like a token's are comments */
    int columns;                  /* 2 .. CORPUS_COLUMN_LIMIT */
    int token_index, label_index; /* from 0, below columns */
    int weight_index;             /* of the column of weights, or -1 */
} CorpusLayout;

/* A line taken apart; count may be over CORPUS_COLUMN_LIMIT, then only the first ones are here. */
typedef struct CorpusFields {
    int count;
    const char *starts[CORPUS_COLUMN_LIMIT];
    size_t sizes[CORPUS_COLUMN_LIMIT];
    bool empty_tail;    /* tabs: a separator ended the line, perhaps with nothing after it */
    bool leading_blank; /* no tabs: the line began with white space */
} CorpusFields;

/* Reads the first CORPUS_LAYOUT_BYTES of the file. The commonest number of columns is the file's. STATUS_INVALID_INPUT when options name a
 * column that these lines do not have. */
NODISCARD Status corpus_layout_find(CorpusLayout *layout, const char *path, CorpusOptions options, Diagnostic *diagnostic);
/* A field that is a weight: a number above 0 and up to 1. */
bool corpus_layout_weight(const char *field, size_t size, float *weight);
void corpus_layout_split(bool tabs, const CorpusLine *line, CorpusFields *fields);
bool corpus_layout_is_comment(const CorpusLayout *layout, const CorpusLine *line, const CorpusFields *fields,
                              bool between_sentences);
bool corpus_layout_is_document_start(const CorpusLine *line);

#endif
