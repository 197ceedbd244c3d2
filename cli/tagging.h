/* A model run over an annotated file, sentence by sentence: what eval and predict share. */
#ifndef NERSWEEP_CLI_TAGGING_H
#define NERSWEEP_CLI_TAGGING_H

#include "inference/predictor.h"
#include "shard/corpus.h"

/* What the model says of a sentence; lives during the call. */
typedef struct Tagging {
    const char **labels; /* one per token; the callee may put others in their places */
    const char *text;    /* the tokens joined by spaces */
    size_t text_size;
    const Prediction *prediction; /* of text; its words are the tokens */
} Tagging;
typedef Status (*TaggedSentence)(void *context, const CorpusSentence *sentence, Tagging *tagging, Diagnostic *diagnostic);

/* path "-": standard input, which is copied to a temporary file first when it cannot be read twice. */
NODISCARD Status tag_corpus(Predictor *predictor, const char *path, CorpusOptions columns, TaggedSentence on_sentence,
                            void *context, Diagnostic *diagnostic);

#endif
