/* nersweep.json of a model folder: what prediction needs to know beside config.json, so that it makes words and windows as training did. */
#ifndef NERSWEEP_INFERENCE_NOTES_H
#define NERSWEEP_INFERENCE_NOTES_H

#include "core/io/json.h"
#include "core/spans/labels.h"
#include "shard/shard_store.h"
#include "shard/words.h"

typedef struct PredictionNotes {
    LabelScheme scheme;
    WordsRule words;
    int64_t max_seq_length; /* special pieces included */
    int64_t stride;
    DecodeRule decode;
} PredictionNotes;

/* Of a model that was trained on these shards, decoded by argmax. A new root. */
Json *prediction_notes_of_shards(const ShardStore *store);
/* Writes another decoding into notes. */
void prediction_notes_set_decode(Json *notes, DecodeRule decode);
const char *decode_rule_name(DecodeRule rule);
bool decode_rule_parse(const char *name, DecodeRule *rule);
/* Reads FOLDER/nersweep.json; a folder without one (not trained by us) gives IOB2, treebank words and windows of the model's positions. */
NODISCARD Status prediction_notes_read(PredictionNotes *notes, const char *folder, int32_t max_positions, Diagnostic *diagnostic);

#endif
