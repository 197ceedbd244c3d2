/* WordPiece with BERT's normalisation: the ids of Hugging Face's BertTokenizerFast on the same vocab.txt (semantics.md section 3). */
#ifndef NERSWEEP_SHARD_WORDPIECE_H
#define NERSWEEP_SHARD_WORDPIECE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/memory.h"
#include "core/base/status.h"
#include "core/io/hash.h"

typedef struct WordpieceOptions {
    bool lowercase;             /* also strips accents, as HF does when strip_accents is null */
    bool ignore_special_tokens; /* "[SEP]" written in the text is plain text (for hostile input) */
} WordpieceOptions;

typedef struct WordpieceSpecials {
    int32_t pad, unk, cls, sep, mask; /* mask may be -1; the others must be in the vocabulary */
} WordpieceSpecials;

/* Immutable after creation: may be used by many threads, each with a WordpieceOutput of its own. */
typedef struct Wordpiece Wordpiece;
/* Reads vocab.txt (one piece a line, LF or CRLF, id = line number from 0; at most 4 million pieces). STATUS_MISMATCH names a missing special token. */
NODISCARD Status wordpiece_open(Wordpiece **wordpiece, const char *vocab_path, WordpieceOptions options, Diagnostic *diagnostic);
void wordpiece_close(Wordpiece **wordpiece);
int32_t wordpiece_vocab_size(const Wordpiece *wordpiece);
const WordpieceSpecials *wordpiece_specials(const Wordpiece *wordpiece);
const char *wordpiece_piece(const Wordpiece *wordpiece, int32_t id);   /* NULL when out of range */
int32_t wordpiece_find(const Wordpiece *wordpiece, const char *piece); /* -1: none */
const char *wordpiece_sha256(const Wordpiece *wordpiece);              /* of vocab.txt's bytes */

/* Pieces of one text, reused from call to call. */
typedef struct WordpieceOutput {
    Int32Array ids;
    Int32Array starts; /* offsets into the original text: code points [start, end) as HF's offsets */
    Int32Array ends;
    Int32Array word_ids; /* index of the word (pre-tokenised: of the given token), -1 for [CLS] and [SEP] */
} WordpieceOutput;
void wordpiece_output_clear(WordpieceOutput *output);
void wordpiece_output_free(WordpieceOutput *output);

/* Appends the pieces of a whole text, without [CLS] and [SEP]. text must be valid UTF-8: STATUS_INVALID_INPUT with the byte offset otherwise. */
NODISCARD Status wordpiece_encode_text(const Wordpiece *wordpiece, const char *text, size_t size, WordpieceOutput *output,
                                       Diagnostic *diagnostic);
/* Appends the pieces of one pre-split token (HF is_split_into_words=True): all get word_id; offsets are relative to the token. May append none. */
NODISCARD Status wordpiece_encode_token(const Wordpiece *wordpiece, const char *token, size_t size, int32_t word_id,
                                        WordpieceOutput *output, Diagnostic *diagnostic);
enum { WORDPIECE_TOKEN_SLACK = 16 };
/* The same for tokens [n], which have the word_ids from first_word_id on; WORDPIECE_TOKEN_SLACK bytes from each one's first can be read.
 * After an error, the pieces of those before it are there. */
NODISCARD Status wordpiece_encode_tokens(const Wordpiece *wordpiece, const char *const *tokens, const size_t *sizes, int32_t n,
                                         int32_t first_word_id, WordpieceOutput *output, Diagnostic *diagnostic);

/* The same with a cache of the pieces of words that are not in the vocabulary as a whole. What comes out never depends on what is in the
 * cache. For one thread; the Wordpiece must outlive it. */
typedef struct WordpieceEncoder WordpieceEncoder;
enum { WORDPIECE_CACHE_WORDS = 1 << 12 }; /* a good size, 128 KiB */
/* The cache has room for cache_words words, rounded up to a power of two. */
NODISCARD Status wordpiece_encoder_create(WordpieceEncoder **encoder, const Wordpiece *wordpiece, size_t cache_words,
                                          Diagnostic *diagnostic);
void wordpiece_encoder_destroy(WordpieceEncoder **encoder);
NODISCARD Status wordpiece_encoder_text(WordpieceEncoder *encoder, const char *text, size_t size, WordpieceOutput *output,
                                        Diagnostic *diagnostic);
NODISCARD Status wordpiece_encoder_token(WordpieceEncoder *encoder, const char *token, size_t size, int32_t word_id,
                                         WordpieceOutput *output, Diagnostic *diagnostic);

/* Does this vocabulary fit: size equal to the model's vocab_size at most, specials there, its pieces' casing what the options say
 * (what a corpus's words say is for whoever reads the corpus). STATUS_MISMATCH says which and why. */
NODISCARD Status wordpiece_check_model(const Wordpiece *wordpiece, int32_t model_vocab_size, Diagnostic *diagnostic);

#endif
