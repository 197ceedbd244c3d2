/* Which predictions are sure enough: one minimum for all types, and other ones for some. */
#ifndef NERSWEEP_CLI_CONFIDENCE_H
#define NERSWEEP_CLI_CONFIDENCE_H

#include "inference/predictor.h"

typedef struct TypeMinimum {
    char *type; /* owned */
    double minimum;
} TypeMinimum;

/* Zero-initialised takes everything. */
typedef struct ConfidenceRule {
    double minimum;
    ARRAY(TypeMinimum) types;
} ConfidenceRule;
void confidence_rule_free(ConfidenceRule *rule);
/* Adds "TYPE=MINIMUM[,TYPE=MINIMUM...]". STATUS_USAGE says what is wrong with it. */
NODISCARD Status confidence_rule_parse(ConfidenceRule *rule, const char *text, Diagnostic *diagnostic);
/* STATUS_USAGE names a type that none of the labels has. */
NODISCARD Status confidence_rule_check(const ConfidenceRule *rule, const char *const *labels, int32_t label_count,
                                       Diagnostic *diagnostic);

bool confidence_accepts(const ConfidenceRule *rule, const Entity *entity);
/* Of a whole text: the lowest score of its entities, or its token probability where it has none. */
double confidence_of(const Prediction *prediction);
/* Every entity is accepted; of a text without any the token probability is no lower than the minimum for all types. */
bool confidence_accepts_all(const ConfidenceRule *rule, const Prediction *prediction);

#endif
