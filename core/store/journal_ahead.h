/* Part of core_store: unpacked blocks of records, made one after the other by a thread of its own, a few ahead of whoever takes them. */
#ifndef NERSWEEP_CORE_STORE_JOURNAL_AHEAD_H
#define NERSWEEP_CORE_STORE_JOURNAL_AHEAD_H

#include <stdbool.h>

#include "core/store/journal_pack.h"

/* Makes the next block; *more is false when there is none. Called by one thread at a time. */
typedef Status (*AheadMake)(void *context, Unpacked *unpacked, bool *more, Diagnostic *diagnostic);

typedef struct Ahead Ahead;
Ahead *ahead_begin(AheadMake make, void *context);
/* The next block, which lives until the following call; NULL at the end. A failure comes where the block would have come, and ends it. */
NODISCARD Status ahead_next(Ahead *ahead, const Unpacked **unpacked, Diagnostic *diagnostic);
void ahead_end(Ahead **ahead); /* the thread is gone then, wherever it was */

#endif
