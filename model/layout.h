/* Where each parameter of a BERT token classifier stands in the one flat parameter buffer. Gradients and both moments share the layout.
 *
 * Order: embeddings, encoder layer 0 .. L - 1, head. Inside a layer the three projections stand together so that they are one [3d, d]
 * matrix: query.weight, key.weight, value.weight, query.bias, key.bias, value.bias, then the rest. Each parameter starts at a multiple
 * of 16 floats, except that key and value follow query without a gap, so that a hidden size which is no multiple of 16 (312) has one matrix
 * too. A "part" is what freezes together: 0 = embeddings, 1 + i = encoder layer i, L + 1 = head. */
#ifndef NERSWEEP_MODEL_LAYOUT_H
#define NERSWEEP_MODEL_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/config.h"

typedef struct ModelParameter {
    char name[128];   /* Hugging Face's, e.g. "bert.encoder.layer.0.attention.self.query.weight" */
    int32_t shape[2]; /* shape[1] = 0 for vectors */
    size_t offset;    /* in floats */
    size_t count;     /* floats */
    int32_t part;
    bool decays; /* weight decay applies: not to biases and LayerNorm */
} ModelParameter;

typedef struct ModelLayout {
    ModelParameter *parameters;
    int32_t parameter_count;
    int32_t part_count;  /* L + 2 */
    size_t *part_offset; /* [part_count + 1] in floats; part p is [part_offset[p], part_offset[p + 1]) */
    size_t float_count;  /* of the whole buffer, gaps included (gaps are zero) */
} ModelLayout;

NODISCARD Status model_layout_create(ModelLayout **layout, const BertConfig *config, Diagnostic *diagnostic);
void model_layout_destroy(ModelLayout **layout);
/* NULL when there is none of this name. */
const ModelParameter *model_layout_find(const ModelLayout *layout, const char *name);

/* Where the floats of a part begin that have a gradient in every step: in part 0 behind the word embeddings. */
static inline size_t model_dense_offset(const ModelLayout *layout, int32_t part)
{
    return part == 0 ? layout->parameters[1].offset : layout->part_offset[part];
}

/* part_frozen: [part_count], or NULL: nothing is. */
static inline bool model_part_trains(const bool *part_frozen, int32_t part)
{
    return !part_frozen || !part_frozen[part];
}

#endif
