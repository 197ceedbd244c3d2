/* A range of a CoNLL file taken apart at once: where its lines are plain, which is nearly always, this finds what a reader finds line by line
 * (corpus_conll.c), for a fraction of the time. Whatever wants a closer look, a reader is asked for. Internal to shard/. */
#ifndef NERSWEEP_SHARD_CONLL_SCAN_H
#define NERSWEEP_SHARD_CONLL_SCAN_H

#include "shard/corpus_layout.h"
#include "shard/corpus_ranges.h"
#include "shard/sequence_batch.h"

enum {
    CONLL_SCAN_LIMIT = 1 << 20, /* bytes of a range: none of a reader's bounds can be met in it */
    CONLL_SCAN_SLACK = 64,      /* bytes that can be read behind the range's */
};

/* Zero-initialised is empty; keeps its memory from range to range. */
typedef struct ConllScan {
    Uint32Array ends;      /* of the fields */
    ARRAY(bool) documents; /* [sentences] begins one */
} ConllScan;
void conll_scan_free(ConllScan *scan);

/* batch: empty, but for the bytes of the range, at most CONLL_SCAN_LIMIT, and CONLL_SCAN_SLACK of room behind them. The tokens' texts stay
 * where they are and are terminated there. Fills all but the sequences: scan->documents says which sentences begin a document. False: the
 * range has something other than lines of as many columns as the layout has, comments, marks of documents and empty lines, or a mistake; what
 * is in the batch then is of no use. */
bool conll_scan(ConllScan *scan, const CorpusLayout *layout, const CorpusRange *range, SequenceBatch *batch);

#endif
