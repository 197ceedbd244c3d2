/* vocab.txt as the model folder needs it: pieces by id. Internal to model/. */
#ifndef NERSWEEP_MODEL_VOCABULARY_FILE_H
#define NERSWEEP_MODEL_VOCABULARY_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/memory.h"
#include "core/base/status.h"
#include "core/io/json.h"

typedef struct VocabularyFile {
    char *bytes; /* the file as it is; owned */
    size_t size;
    char *lines;                /* a second copy, cut into pieces; owned */
    ARRAY(const char *) pieces; /* into lines */
} VocabularyFile;

/* One piece a line, the line number (from 0) is its id; "\r\n" is read as "\n". Refused: invalid UTF-8 (with the line), no piece at all,
 * more than vocab_limit pieces (STATUS_MISMATCH). */
NODISCARD Status vocabulary_file_read(VocabularyFile *vocabulary, const char *path, size_t vocab_limit, Diagnostic *diagnostic);
void vocabulary_file_free(VocabularyFile *vocabulary);
/* The id of a piece, the last one where it stands twice, as Hugging Face's reader; -1 when absent. */
long vocabulary_file_find(const VocabularyFile *vocabulary, const char *piece);
/* Some piece outside brackets has an upper-case ASCII letter. */
bool vocabulary_file_is_cased(const VocabularyFile *vocabulary);

/* The three files that make a Hugging Face tokenizer of a vocabulary. New roots. STATUS_MISMATCH when [UNK], [CLS], [SEP] or [PAD] is missing. */
typedef struct TokenizerJson {
    Json *tokenizer;          /* tokenizer.json */
    Json *configuration;      /* tokenizer_config.json */
    Json *special_tokens_map; /* special_tokens_map.json */
} TokenizerJson;
NODISCARD Status tokenizer_json_make(TokenizerJson *made, const VocabularyFile *vocabulary, const char *path, bool lowercase,
                                     long max_length, Diagnostic *diagnostic);
void tokenizer_json_free(TokenizerJson *made);

#endif
