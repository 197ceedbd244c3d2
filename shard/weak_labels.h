/* Weak labels: several files that label the same tokens, and do not always agree, read as one corpus. Internal to shard/. */
#ifndef NERSWEEP_SHARD_WEAK_LABELS_H
#define NERSWEEP_SHARD_WEAK_LABELS_H

#include "core/options/options.h"
#include "shard/corpus.h"

typedef struct WeakReader WeakReader;
NODISCARD Status weak_reader_open(WeakReader **reader, const char *const *paths, size_t path_count, CorpusOptions options,
                                  WeakVote vote, Diagnostic *diagnostic);
void weak_reader_close(WeakReader **reader);
/* The next sentence with the labels that the sources agree on (docs/decisions/031): `label` of a token is NULL where they do not. A span counts
 * when enough sources have it, with both ends and its type; a token is O when enough sources have it in no span; enough is more than half
 * (majority) or all (abstain). Labels are spelt, and places are those, of the first source that has the span. *sentence = NULL at the end.
 * Tokens that differ are STATUS_INVALID_INPUT with the place in the later file. */
NODISCARD Status weak_reader_next(WeakReader *reader, const CorpusSentence **sentence, Diagnostic *diagnostic);
uint64_t weak_reader_bytes_done(const WeakReader *reader); /* of all files */

#endif
