/* A sequence of a shard store as training sees it: pieces beside labels, window by window. */
#ifndef NERSWEEP_CLI_SEQUENCE_VIEW_H
#define NERSWEEP_CLI_SEQUENCE_VIEW_H

#include "shard/shard_store.h"
#include "shard/wordpiece.h"

typedef struct SequenceView {
    const ShardStore *store;
    int32_t split;
    const Wordpiece *wordpiece; /* NULL: pieces are shown by their ids */
    const LabelTable *table;    /* of shard_store_all_labels */
    Arena *arena;               /* for windows */
    bool json;
} SequenceView;

/* Does the sequence hold the text (NULL: any), its tokens joined by spaces, and where asked for a label other than O? */
bool sequence_view_wanted(const LabelTable *table, const ShardSequence *sequence, const char *contains, bool with_entities);

/* On stdout: a table per window, or a JSON object per window. Pieces that another window counts, where they have the more context, are marked
 * by ~; in JSON "owned": [first, end) are those that this one counts. */
NODISCARD Status sequence_view_show(const SequenceView *view, int64_t index, const ShardSequence *sequence, Diagnostic *diagnostic);

#endif
