/* What a reader finds in a corpus, written down: by one reader of the whole file, and by readers of its ranges. */
#ifndef NERSWEEP_TESTS_SHARD_READING_H
#define NERSWEEP_TESTS_SHARD_READING_H

#include "shard/sequence_reader.h"

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

typedef struct PartCounts {
    int parts, scanned;
    int64_t sentences, tokens; /* in the batches */
} PartCounts;
/* The sequences of a file, token by token, the warning and the error, taken in parts of so many bytes. by_lines: without a scan. */
char *reading_of_sequences(const char *path, CorpusOptions options, bool documents, size_t size_bytes, bool by_lines,
                           PartCounts *counts);

#endif
