/* The option class_weights: `none`, `balanced`, or NAME=W[,NAME=W...]. NAME is a label (B-PER, O), or a type (PER) and stands for all of its
 * labels; a label's own entry goes before its type's. Labels without an entry weigh 1. `balanced` gives label c the weight N / (C * n_c), N
 * labelled pieces in the training data, n_c of them with label c, C labels (scikit-learn's compute_class_weight). */
#ifndef NERSWEEP_CORE_OPTIONS_CLASS_WEIGHTS_H
#define NERSWEEP_CORE_OPTIONS_CLASS_WEIGHTS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/status.h"

enum { CLASS_WEIGHT_LIMIT = 64, CLASS_WEIGHT_NAME_SIZE = 128 };

typedef enum ClassWeightRule { CLASS_WEIGHTS_NONE, CLASS_WEIGHTS_BALANCED, CLASS_WEIGHTS_GIVEN } ClassWeightRule;

typedef struct ClassWeight {
    char name[CLASS_WEIGHT_NAME_SIZE];
    double weight; /* 0 to 1e6 */
} ClassWeight;

typedef struct ClassWeights {
    ClassWeightRule rule;
    int32_t count;
    ClassWeight entries[CLASS_WEIGHT_LIMIT];
} ClassWeights;

/* STATUS_INVALID_INPUT names the entry that is wrong. "" is none. */
NODISCARD Status class_weights_parse(ClassWeights *weights, const char *text, Diagnostic *diagnostic);

/* values: [label_count] weights of the labels, counts: [label_count] labelled pieces of each in the training data (balanced only, else NULL).
 * A label that never occurs weighs 1 in balanced. STATUS_INVALID_INPUT names an entry that is neither a label nor a type, or says that
 * all weights are 0. */
NODISCARD Status class_weights_resolve(const ClassWeights *weights, const char *const *labels, int32_t label_count,
                                       const int64_t *counts, float *values, Diagnostic *diagnostic);

#endif
