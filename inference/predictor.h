/* Text in, entities out: a whole model folder ready to predict. */
#ifndef NERSWEEP_INFERENCE_PREDICTOR_H
#define NERSWEEP_INFERENCE_PREDICTOR_H

#include "core/base/memory.h"
#include "inference/decode.h"
#include "kernels/backend.h"
#include "model/model.h"
#include "shard/wordpiece.h"
#include "shard/words.h"

/* Hugging Face's names; how pieces become entities. none: every piece on its own; simple: pieces grouped by their own labels; first, average,
 * max: a word's label from its first piece, the mean of its pieces' probabilities, or its most certain piece. */
typedef enum AggregationStrategy {
    AGGREGATE_NONE,
    AGGREGATE_SIMPLE,
    AGGREGATE_FIRST,
    AGGREGATE_AVERAGE,
    AGGREGATE_MAX
} AggregationStrategy;
bool aggregation_parse(const char *name, AggregationStrategy *strategy);

typedef struct PredictorOptions {
    const char *backend; /* "auto" ... */
    int threads;
    int64_t max_seq_length; /* 0: the model folder's */
    int64_t stride;         /* < 0: the model folder's */
    MergeRule merge;
    AggregationStrategy aggregation;
    const char *words;     /* rule by name; NULL: the model folder's */
    double min_confidence; /* entities below are dropped */
    const char *decode;    /* "argmax", "viterbi"; NULL: the model folder's. Viterbi decides over words, not over single pieces */
} PredictorOptions;

typedef struct Entity {
    char type[128]; /* entity_group: the type; with AGGREGATE_NONE the label ("entity") */
    float score;
    int32_t start, end;            /* code points of the text */
    int32_t start_byte, end_byte;  /* bytes of the text */
    int32_t first_word, last_word; /* words [first, last] */
    int32_t index;                 /* AGGREGATE_NONE: piece index as HF's, else 0 */
} Entity;
typedef ARRAY(Entity) EntityArray;

/* All that is said of one text. Zero-initialised is empty. */
typedef struct Prediction {
    EntityArray entities; /* by start */
    WordArray words;      /* bytes of the text */
    double
        token_probability; /* mean over words (over pieces with none and simple) of the probability of their decision; 0 without any */
} Prediction;
void prediction_free(Prediction *prediction);

typedef struct Predictor Predictor;
/* Loads config.json, weights, vocab.txt, nersweep.json. The vocabulary must fit (STATUS_MISMATCH). */
NODISCARD Status predictor_open(Predictor **predictor, const char *folder, const PredictorOptions *options, Diagnostic *diagnostic);
void predictor_close(Predictor **predictor);
const BertConfig *predictor_config(const Predictor *predictor);
LabelScheme predictor_scheme(const Predictor *predictor); /* of the labels that it was trained with */

enum { PREDICTOR_TEXT_LIMIT = 1 << 28 }; /* bytes of one text */

/* One raw text, valid UTF-8 (STATUS_INVALID_INPUT names the byte), not necessarily terminated. entities is replaced. With the words rule bert
 * pieces and words are those of Hugging Face's pipeline; otherwise a word without pieces is [UNK]. */
NODISCARD Status predictor_text(Predictor *predictor, const char *text, size_t size, EntityArray *entities, Diagnostic *diagnostic);
/* Several texts at once, packed into common blocks: predictions[i], which are replaced, for texts[i]. Same results as one by one. */
NODISCARD Status predictor_predict(Predictor *predictor, const char *const *texts, const size_t *sizes, size_t count,
                                   Prediction *predictions, Diagnostic *diagnostic);
/* A pre-tokenised sentence: labels [n] out, which live as long as the predictor, and the prediction of *text, which is replaced by the tokens
 * joined by spaces; its words are the tokens. Aggregation is first. */
NODISCARD Status predictor_predict_tokens(Predictor *predictor, const char *const *tokens, int32_t n, Text *text,
                                          const char **labels, Prediction *prediction, Diagnostic *diagnostic);
/* A pre-tokenised sentence: labels [n] out, names live as long as the predictor; scores [n] may be NULL. */
NODISCARD Status predictor_tokens(Predictor *predictor, const char *const *tokens, int32_t n, const char **labels, float *scores,
                                  Diagnostic *diagnostic);
/* The entities of predictor_predict alone: results[i] for texts[i]. */
NODISCARD Status predictor_texts(Predictor *predictor, const char *const *texts, const size_t *sizes, size_t count,
                                 EntityArray *results, Diagnostic *diagnostic);

#endif
