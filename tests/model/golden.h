/* 20 steps of Hugging Face's Trainer on a tiny random BERT (tests/golden/make_train_goldens.py), to be taken again by one rank or several. */
#ifndef NERSWEEP_TESTS_MODEL_GOLDEN_H
#define NERSWEEP_TESTS_MODEL_GOLDEN_H

#include "core/io/json.h"
#include "tests/model/support.h"

enum { GOLDEN_STEPS = 20 };

/* Both sides compute in fp32 with sums in different orders; 1e-4 is the promise of the contract, what is seen is printed. */
#define GOLDEN_TOLERANCE 1e-4
/* Losses with products of bf16 numbers, relative to Hugging Face's in fp32. */
#define GOLDEN_BF16_TOLERANCE 0.02

typedef struct Golden {
    Json *batches, *steps;
    char *start; /* folder */
    BertConfig config;
} Golden;
Golden golden_open(void);
void golden_close(Golden *golden);
const Json *golden_variant(const Golden *golden, const char *name);

/* The largest differences that were seen. */
typedef struct Deviation {
    double loss, loss_share, norm, weight, key_bias, logit;
} Deviation;

/* The ranks that share a step's sentences out, of which this is one. */
typedef struct GoldenRanks {
    void *context;
    int32_t rank, size;
    const OptimizerRanks *optimizer;
    void (*begin)(void *context, const bool *part_frozen);
    ModelPartReady part_ready;
    void (*finish)(void *context); /* the gradients are sums over ranks */
    double (*add)(void *context, double value);
} GoldenRanks;

/* A model with the golden start weights; free with support_model_free. */
TinyModel golden_model(const Golden *golden, const Backend *backend, DeviceType product_type, int32_t thread_count);
/* All steps of a variant. ranks: after golden_model, or NULL. */
void golden_take_steps(const Golden *golden, const Json *variant, Model *model, const GoldenRanks *ranks, Deviation *seen);
/* Weights and logits beside where Hugging Face's Trainer ended, all printed and held to GOLDEN_TOLERANCE. The model ends with other weights. */
void golden_compare(const Golden *golden, const char *variant_name, Model *model, const char *title, Deviation *seen);

#endif
