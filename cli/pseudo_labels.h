/* Predictions that are sure enough to be trained on: a CoNLL file with token, label and weight, separated by TABs, which appears when it is
 * whole. The weight is that of the sentence: the same in all of its lines. */
#ifndef NERSWEEP_CLI_PSEUDO_LABELS_H
#define NERSWEEP_CLI_PSEUDO_LABELS_H

#include "cli/confidence.h"

typedef struct PseudoLabels PseudoLabels;
NODISCARD Status pseudo_labels_begin(PseudoLabels **labels, const char *path, LabelScheme scheme, Diagnostic *diagnostic);
/* The entities of a text as labels of its words, in the scheme given; weight: confidence_of the prediction. A text without words is no
 * sentence; one with a word that a CoNLL file cannot hold is left out, and counted. */
NODISCARD Status pseudo_labels_add(PseudoLabels *labels, const char *text, const Prediction *prediction, Diagnostic *diagnostic);
int64_t pseudo_labels_count(const PseudoLabels *labels);
int64_t pseudo_labels_left_out(const PseudoLabels *labels);
NODISCARD Status pseudo_labels_commit(PseudoLabels **labels, Diagnostic *diagnostic); /* *labels becomes NULL in any case */
void pseudo_labels_abandon(PseudoLabels **labels);

#endif
