/* A model run over an annotated file, sentence by sentence: what eval and predict share. */
#ifndef NERSWEEP_CLI_TAGGING_H
#define NERSWEEP_CLI_TAGGING_H

#include "inference/predictor.h"
#include "shard/corpus.h"

/* labels: one per token of the sentence; both live during the call. */
typedef Status (*TaggedSentence)(void *context, const CorpusSentence *sentence, const char *const *labels, Diagnostic *diagnostic);

/* path "-": standard input, which is copied to a temporary file first when it cannot be read twice. */
NODISCARD Status tag_corpus(Predictor *predictor, const char *path, CorpusOptions columns, TaggedSentence on_sentence,
                            void *context, Diagnostic *diagnostic);

#endif
