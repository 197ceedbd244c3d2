/* One sentence mended: its types, labels and tokens. Internal to shard/lint*. */
#ifndef NERSWEEP_SHARD_LINT_MEND_H
#define NERSWEEP_SHARD_LINT_MEND_H

#include "shard/hash_set.h"
#include "shard/label_spans.h"
#include "shard/lint_fix.h"

/* A token of the mended sentence. */
typedef struct MendedToken {
    const char *text; /* within the original token's */
    size_t text_size;
    const char *label;
    int32_t source; /* index of the token that it is, or is a part of */
} MendedToken;

typedef struct Mender {
    const char *path;
    const LintFixOptions *options;
    LabelScheme scheme;
    LabelSet *types;       /* of the whole file */
    ARRAY(int64_t) counts; /* spans by type */
    Int32Array meant;      /* by type: the one that it becomes, itself mostly; empty before lint_mender_plan */
    HashSet seen, counted; /* sentences, with their labels: those written, those whose types were counted */
    LabelSpans spans;
    LabelSet *names; /* of labels made here */
    Int32Array ids;
    SpanArray parts;           /* spans over parts of tokens */
    ARRAY(CorpusToken) tokens; /* the sentence in hand with its labels as they are so far */
    ARRAY(MendedToken) mended; /* the result */
    bool dropped;              /* the result is that the sentence goes */
    void (*changed)(void *context, const LintChange *change);
    void *context;
} Mender;

/* Is each label one at all? */
bool lint_labels_are_fine(const CorpusSentence *sentence);

void lint_mender_free(Mender *mender);
/* First pass: counts the types. */
void lint_mender_survey(Mender *mender, const CorpusSentence *sentence);
/* Decides what becomes of each type, after all were counted. */
void lint_mender_plan(Mender *mender);
/* Second pass: mender->mended, which lives until the next call as long as the sentence does. */
NODISCARD Status lint_mender_apply(Mender *mender, const CorpusSentence *sentence, Diagnostic *diagnostic);

#endif
