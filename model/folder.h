/* Model folders as Hugging Face's tools read and write them: config.json, model.safetensors, vocab.txt, tokenizer_config.json,
 * tokenizer.json, special_tokens_map.json, and nersweep.json (what prediction needs beside: label scheme, words rule, window settings). */
#ifndef NERSWEEP_MODEL_FOLDER_H
#define NERSWEEP_MODEL_FOLDER_H

#include "core/io/file.h"
#include "model/config.h"
#include "model/model.h"

/* What a folder says about its tokenizer. */
typedef struct TokenizerFiles {
    char *vocab_path; /* FOLDER/vocab.txt; owned */
    /* do_lower_case of tokenizer_config.json. Not stated there: guessed, true unless a piece outside brackets has an upper-case letter. */
    bool lowercase;
    bool lowercase_stated;
} TokenizerFiles;
/* STATUS_MISMATCH when the vocabulary has more pieces than the folder's config.json has embeddings. */
NODISCARD Status model_folder_tokenizer(const char *folder, TokenizerFiles *files, Diagnostic *diagnostic);
void tokenizer_files_free(TokenizerFiles *files);

/* Reads FOLDER/config.json and loads the folder's weights (weights.h says from which files) into a model that was created with that configuration. Names with or without
 * the "bert." prefix, LayerNorm gamma/beta names, F16 and BF16 are understood; extra tensors (pooler, cls heads) are ignored with one log
 * line. head: the classifier must be there (MODEL_HEAD_REQUIRED), or is initialised from seed when absent or of another size
 * (MODEL_HEAD_INITIALIZE). Missing tensors or wrong shapes: STATUS_MISMATCH naming tensor and both shapes. */
typedef enum ModelHead { MODEL_HEAD_REQUIRED, MODEL_HEAD_INITIALIZE } ModelHead;
NODISCARD Status model_folder_load(Model *model, const char *folder, ModelHead head, uint64_t seed, Diagnostic *diagnostic);

/* Writes all files of a token classifier into the existing folder: weights from `parameters` (host, the model's layout), tokenizer files made
 * from source_folder's vocab.txt (copied byte for byte) and `lowercase`, nersweep.json from `notes` (an object, copied; may be NULL).
 * Deterministic bytes. */
NODISCARD Status model_folder_write(const char *folder, const BertConfig *config, const ModelLayout *layout,
                                    const float *parameters, const char *source_folder, bool lowercase, int32_t max_seq_length,
                                    const Json *notes, const FileSystem *fs, Diagnostic *diagnostic);

#endif
