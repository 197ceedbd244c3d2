/* What a reader finds in a corpus, written down: by one reader of the whole file, and by readers of its ranges. */
#ifndef NERSWEEP_TESTS_SHARD_READING_H
#define NERSWEEP_TESTS_SHARD_READING_H

#include "shard/corpus_ranges.h"

/* Every field of every sentence, the warning, and the error that ended it; nothing of a file that cannot be opened. documents: with the
 * marks of documents. Freed by the caller. */
char *reading_of_whole(const char *path, CorpusOptions options, bool documents);

/* Arguments of corpus_reader_cut. */
typedef struct RangeSizes {
    uint64_t size_bytes, limit_bytes;
    bool documents;
} RangeSizes;
typedef struct ReadingCounts {
    int ranges, by_itself; /* ranges; times that the reader that cuts had to read by itself */
} ReadingCounts;
/* The same from ranges, read by two readers in turn. Nothing of a file that cannot be cut. */
char *reading_of_ranges(const char *path, CorpusOptions options, const RangeSizes *sizes, ReadingCounts *counts);

#endif
