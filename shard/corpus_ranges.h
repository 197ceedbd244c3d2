/* A corpus file cut into ranges of bytes that can be read apart from each other, by as many threads: each holds whole sentences, or whole
 * documents, so what its reader finds in it is what one reader of the whole file finds there, line numbers included. Cutting looks at line
 * ends only. Internal to shard/. */
#ifndef NERSWEEP_SHARD_CORPUS_RANGES_H
#define NERSWEEP_SHARD_CORPUS_RANGES_H

#include "shard/corpus.h"
#include "shard/corpus_layout.h"

typedef struct CorpusRange {
    uint64_t begin, end; /* bytes of the file */
    long lines_before;   /* in the file */
    long line_count;     /* a last one that no line feed ends is not counted */
} CorpusRange;

/* Tokens without text are warned of once a file. A reader that keeps its warnings notes the first of them. */
typedef struct CorpusWarning {
    long line, column; /* line 0: there is none */
} CorpusWarning;

typedef enum CorpusCut {
    CORPUS_CUT_RANGE,
    CORPUS_CUT_NONE, /* there is no border up to range.end: the reader has stayed where it was, and sentences may be read from it */
    CORPUS_CUT_END,
} CorpusCut;

/* Can the reader's file be cut? A CoNLL file can, unless problems are handed to a function. */
bool corpus_reader_cuts(const CorpusReader *reader);
/* The next range, of size_bytes and what there is up to the next border: behind a blank line that, where documents must stay whole, a line
 * that begins with -DOCSTART- follows. (Without the blank line an error in that line would come within the sentence.) limit_bytes: where it gives up. It may take turns with corpus_reader_next; a document begins where it
 * goes on. */
CorpusCut corpus_reader_cut(CorpusReader *reader, uint64_t size_bytes, uint64_t limit_bytes, bool documents, CorpusRange *range);

/* Another reader of the file, for ranges, which keeps its warnings; it belongs to one thread at a time. `reader` and its file stay open until
 * it is closed. */
void corpus_reader_open_part(CorpusReader **part, const CorpusReader *reader);
/* The part's next sentences are those of the range. */
void corpus_reader_start(CorpusReader *part, const CorpusRange *range);

/* All bytes of the range at once, with room for `slack` more, and how its lines are laid out. NULL: the lines have more than a token and a
 * label, or the file cannot be read on, which the part's reader will say. */
const CorpusLayout *corpus_reader_read(CorpusReader *part, const CorpusRange *range, size_t slack, Text *bytes);

void corpus_reader_keep_warnings(CorpusReader *reader);
/* What was kept since the last time. */
CorpusWarning corpus_reader_kept_warning(CorpusReader *reader);
/* Warns, if it is the reader's first time. */
void corpus_reader_warn(CorpusReader *reader, CorpusWarning warning);

/* Memory that a reader holds. */
size_t corpus_reader_bytes(const CorpusReader *reader);

#endif
