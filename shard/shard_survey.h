/* What must be known of an input before its first record is written: labels, scheme, words, casing. Internal to shard/. */
#ifndef NERSWEEP_SHARD_SHARD_SURVEY_H
#define NERSWEEP_SHARD_SHARD_SURVEY_H

#include "core/io/json.h"
#include "shard/casing.h"
#include "shard/sequence_reader.h"
#include "shard/words.h"

/* Of one input. All but the labels only of gold training files. */
typedef struct InputSurvey {
    LabelSet *labels;
    SchemeGuess guess;
    WordsAgreement agreement; /* of a sample */
    CasingEvidence casing;    /* of a sample */
} InputSurvey;
void input_survey_free(InputSurvey *survey);

/* The agreement of words and the casing are taken from the first sentences of an input and from one of many of the rest: that does not
 * change them by as much as anybody would see, and spares most of the time. index: of the sentence in its input. */
bool survey_samples(int64_t index);

/* Adds a batch. first_sentence: index in the input of its first sentence. path: for the place of what is no label. */
NODISCARD Status input_survey_add(InputSurvey *survey, const SequenceBatch *batch, bool labels_only, int64_t first_sentence,
                                  const char *path, Diagnostic *diagnostic);
/* The first token of the batch whose label the scheme does not allow as it is written, or -1. No label is missing. */
int32_t survey_first_violation(LabelScheme scheme, const SequenceBatch *batch);
/* Adds what another survey found, casing too. */
void input_survey_join(InputSurvey *survey, const InputSurvey *other);
/* Capitalised words of the sampled sentences of a batch. */
void survey_casing_add(CasingCounts *counts, const SequenceBatch *batch, int64_t first_sentence);

Json *input_survey_json(const InputSurvey *survey);
NODISCARD Status input_survey_parse(InputSurvey *survey, const Json *json, const char *path, Diagnostic *diagnostic);

#endif
