/* BERT's configuration: Hugging Face's config.json, and the label map that travels with it. */
#ifndef NERSWEEP_MODEL_CONFIG_H
#define NERSWEEP_MODEL_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/status.h"
#include "core/io/json.h"

typedef struct BertConfig {
    int32_t vocab_size;              /* V <= 2,000,000 */
    int32_t hidden_size;             /* d <= 8192, a multiple of heads */
    int32_t num_hidden_layers;       /* L <= 128 */
    int32_t num_attention_heads;     /* h <= 256 */
    int32_t intermediate_size;       /* f <= 65536 */
    int32_t max_position_embeddings; /* P <= 65536 */
    int32_t type_vocab_size;
    float hidden_dropout_prob;
    float attention_probs_dropout_prob;
    float classifier_dropout; /* hidden_dropout_prob when the file has null or none */
    float layer_norm_eps;
    float initializer_range;
    int32_t label_count;
    char **labels; /* [label_count] id2label; owned */
    Json *source;  /* the file as it was read, so that keys we do not know survive; owned */
} BertConfig;

/* Reads config.json. model_type must be "bert" (or absent), hidden_act "gelu", position_embedding_type absolute: anything else is
 * STATUS_UNSUPPORTED by name. Values are bounded. Labels: id2label when there, otherwise none (label_count 0). */
NODISCARD Status bert_config_read(BertConfig *config, const char *path, Diagnostic *diagnostic);
/* The bounds above, for a configuration that was not read from a file; name stands in the diagnostic's place. */
NODISCARD Status bert_config_check(const BertConfig *config, const char *name, Diagnostic *diagnostic);
/* Replaces the labels. Copies. */
void bert_config_set_labels(BertConfig *config, const char *const *labels, int32_t label_count);
/* What config.json of a token classifier holds: the source's keys, architectures, id2label, label2id. A new root. */
Json *bert_config_json(const BertConfig *config);
void bert_config_copy(BertConfig *to, const BertConfig *from);
void bert_config_free(BertConfig *config);

#endif
