/* The most probable sequence of labels that a scheme allows (Viterbi 1967), where argmax may give one that it forbids. */
#ifndef NERSWEEP_INFERENCE_VITERBI_H
#define NERSWEEP_INFERENCE_VITERBI_H

#include <stdbool.h>
#include <stdint.h>

#include "core/spans/labels.h"

/* Which of the first label_count labels of a table may follow one another. Immutable. Labels whose prefix the scheme does not have may never
 * be used. */
typedef struct Transitions Transitions;
Transitions *transitions_create(const LabelTable *table, int32_t label_count, LabelScheme scheme);
void transitions_destroy(Transitions **transitions);

/* labels [n] out, from log_probabilities [n, C]. opens, closes: nothing stands before the first, behind the last of them, so a span must
 * begin, end there; otherwise anything may have come before, may follow. Sums in double; of equally probable sequences the one with the
 * lower ids, compared from the end. Where no sequence is allowed at all (a label set without O), argmax. */
void transitions_decode(const Transitions *transitions, const float *log_probabilities, int32_t n, bool opens, bool closes,
                        int32_t *labels);

#endif
