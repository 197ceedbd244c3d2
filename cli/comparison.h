/* Gold beside predicted spans, sentence by sentence: what every score is counted from. */
#ifndef NERSWEEP_CLI_COMPARISON_H
#define NERSWEEP_CLI_COMPARISON_H

#include "core/spans/score.h"
#include "shard/corpus.h"

/* How spans come out of files. */
typedef enum EvalMode {
    EVAL_DEFAULT, /* seqeval's default mode of reading labels */
    EVAL_STRICT,  /* its strict mode, by a scheme */
    EVAL_NESTED,  /* spans of texts as they stand, which may overlap */
    EVAL_MUC,     /* labels as in default mode, scored by the schemas of MUC */
} EvalMode;
extern const char *const eval_mode_names[]; /* NULL-terminated */

/* Ends of a sentence's spans in both arrays. */
typedef struct ComparedSentence {
    size_t gold_end, predicted_end;
} ComparedSentence;

/* Zero-initialised is empty. */
typedef struct Comparison {
    StringArray types;         /* sorted; of the spans' types */
    SpanArray gold, predicted; /* sentence after sentence, sorted in each */
    ARRAY(ComparedSentence) sentences;
    int64_t tokens, tokens_correct; /* 0 where there are no tokens to be right about */
} Comparison;
void comparison_free(Comparison *comparison);

/* One sentence's spans, which are taken out of the comparison's arrays. */
typedef struct SpanPair {
    const Span *gold, *predicted;
    size_t gold_count, predicted_count;
} SpanPair;
SpanPair comparison_sentence(const Comparison *comparison, size_t index);

/* Labels of all sentences, one after another, as ids of a set. */
typedef struct LabelPairs {
    LabelSet *labels;
    Int32Array gold, predicted;
    Int32Array ends; /* end of each sentence */
} LabelPairs;
void label_pairs_free(LabelPairs *pairs);
/* The spans of labels; scheme: for EVAL_STRICT. */
NODISCARD Status comparison_of_labels(Comparison *comparison, const LabelPairs *pairs, EvalMode mode, LabelScheme scheme,
                                      Diagnostic *diagnostic);

/* The spans of two files of the same texts in formats of text, nested or not. STATUS_MISMATCH with the place where the texts differ. */
NODISCARD Status comparison_of_texts(Comparison *comparison, const char *gold_path, const char *predicted_path,
                                     CorpusOptions options, Diagnostic *diagnostic);

#endif
