/* Scores of a comparison, for people and as JSON. */
#ifndef NERSWEEP_CLI_EVAL_REPORT_H
#define NERSWEEP_CLI_EVAL_REPORT_H

#include "cli/comparison.h"
#include "core/io/json.h"

typedef struct EvalReport {
    const char *title;
    const Comparison *comparison;
    const Comparison *other; /* another system on the same gold, or NULL */
    const char *other_title;
    EvalMode mode;
    double zero_division;
    int resamples; /* 0: no intervals and tests */
} EvalReport;

/* Keys of seqeval's classification_report(output_dict=True), then overall_precision, overall_recall, overall_f1, overall_accuracy (of tokens)
 * and mode; overall_f1_interval: [low, high] of 95%. EVAL_MUC: strict, exact, partial, ent_type: nervaluate's counts and scores, and
 * types: {TYPE: the same}. compared: {file, overall_f1, difference, difference_interval, bootstrap_p, randomisation_p}. A new root. */
Json *eval_report_json(const EvalReport *report);
void eval_report_print(const EvalReport *report);

#endif
