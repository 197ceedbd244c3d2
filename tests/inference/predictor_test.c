/* Prediction with a tiny random model: strategies against a plain computation, windows, packing, offsets. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inference/predictor.h"
#include "model/folder.h"
#include "shard/wordpiece.h"
#include "tests/inference/tiny_folder.h"

/* Emoji, combining marks, NBSP, zero-width characters, ideographs, what gives no piece, control characters. */
static const char *const TEXTS[] = {
    "ka kb went to kc, kd and ke.",
    "\xF0\x9F\x98\x80 ka\xCC\x81 kb \xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x92\xBB kc",
    "ka\xC2\xA0kb\xE2\x80\x8Bkc\xE3\x80\x80kd\xEF\xBB\xBF ke",
    "\xE6\x9D\xB1\xE4\xBA\xAC ka \xED\x95\x9C\xEA\xB5\xAD\xEC\x96\xB4 K\xC3\x84 \xC3\xA9 e\xCC\x81",
    "",
    "   \t ",
    "U.S. isn't \"quoted\" (ka-kb) $5.00",
    "\x01 ka \x7F kb",
    "kf kg kh ki kj kk kl km kn ko kp kq kr ks kt ku kv kw kx ky kz unbelievable pieces without end and further on",
};
enum { TEXT_COUNT = sizeof TEXTS / sizeof *TEXTS };

static PredictorOptions default_options(void)
{
    return (PredictorOptions){.backend = "reference", .threads = 1, .stride = -1, .aggregation = AGGREGATE_FIRST};
}

static Predictor *open_predictor(const char *folder, PredictorOptions options)
{
    Predictor *predictor = NULL;
    Diagnostic diagnostic = {0};
    ASSERT_OK(predictor_open(&predictor, folder, &options, &diagnostic), &diagnostic);
    return predictor;
}

static EntityArray predict(Predictor *predictor, const char *text)
{
    EntityArray entities = {0};
    Diagnostic diagnostic = {0};
    /* Exactly as long as the text, so that a read behind its end is found. */
    char *exact = malloc(strlen(text) + (text[0] == '\0'));
    assert_non_null(exact);
    memcpy(exact, text, strlen(text));
    ASSERT_OK(predictor_text(predictor, exact, strlen(text), &entities, &diagnostic), &diagnostic);
    free(exact);
    return entities;
}

static int32_t code_points(const char *text, int32_t bytes)
{
    int32_t count = 0;
    for (int32_t i = 0; i < bytes; i++)
        count += ((unsigned char)text[i] & 0xC0) != 0x80;
    return count;
}

/* Sorted, apart from each other, on code point boundaries, with offsets that say the same in bytes and in code points. */
static void assert_sane(const char *text, const EntityArray *entities)
{
    int32_t size = (int32_t)strlen(text), end = 0;
    for (size_t i = 0; i < entities->count; i++) {
        const Entity *entity = &entities->items[i];
        assert_true(entity->start_byte >= end && entity->end_byte > entity->start_byte && entity->end_byte <= size);
        assert_true(((unsigned char)text[entity->start_byte] & 0xC0) != 0x80);
        assert_int_equal(entity->start, code_points(text, entity->start_byte));
        assert_int_equal(entity->end, code_points(text, entity->end_byte));
        assert_true(entity->score > 0 && entity->score <= 1);
        assert_true(entity->first_word <= entity->last_word);
        end = entity->end_byte;
    }
}

static void assert_same_entities(const EntityArray *a, const EntityArray *b)
{
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        assert_string_equal(a->items[i].type, b->items[i].type);
        assert_memory_equal(&a->items[i].score, &b->items[i].score, sizeof(float));
        assert_int_equal(a->items[i].start_byte, b->items[i].start_byte);
        assert_int_equal(a->items[i].end_byte, b->items[i].end_byte);
        assert_int_equal(a->items[i].start, b->items[i].start);
        assert_int_equal(a->items[i].end, b->items[i].end);
        assert_int_equal(a->items[i].first_word, b->items[i].first_word);
        assert_int_equal(a->items[i].last_word, b->items[i].last_word);
        assert_int_equal(a->items[i].index, b->items[i].index);
    }
}

static void offsets_are_those_of_the_original_text(void **state)
{
    size_t found = 0;
    for (int strategy = AGGREGATE_NONE; strategy <= AGGREGATE_MAX; strategy++)
        for (int rule = 0; rule < WORDS_COUNT; rule++) {
            PredictorOptions options = default_options();
            options.aggregation = (AggregationStrategy)strategy;
            options.words = words_rule_name((WordsRule)rule);
            Predictor *predictor = open_predictor(*state, options);
            for (int i = 0; i < TEXT_COUNT; i++) {
                EntityArray entities = predict(predictor, TEXTS[i]);
                assert_sane(TEXTS[i], &entities);
                found += entities.count;
                array_free(&entities);
            }
            predictor_close(&predictor);
        }
    assert_true(found > 200);
}

static void texts_together_give_the_same_bits_as_one_by_one(void **state)
{
    static const char *const backends[] = {"reference", "cpu"};
    enum { COPIES = 70 }; /* more than a block's sequences */
    const char *texts[TEXT_COUNT * COPIES];
    size_t sizes[TEXT_COUNT * COPIES];
    for (size_t i = 0; i < TEXT_COUNT * COPIES; i++) {
        texts[i] = TEXTS[i % TEXT_COUNT];
        sizes[i] = strlen(texts[i]);
    }
    for (size_t b = 0; b < sizeof backends / sizeof *backends; b++) {
        PredictorOptions options = default_options();
        options.backend = backends[b];
        options.max_seq_length = 24;
        Predictor *predictor = open_predictor(*state, options);
        EntityArray results[TEXT_COUNT * COPIES] = {0};
        Diagnostic diagnostic = {0};
        ASSERT_OK(predictor_texts(predictor, texts, sizes, TEXT_COUNT * COPIES, results, &diagnostic), &diagnostic);
        for (size_t i = 0; i < TEXT_COUNT * COPIES; i++) {
            EntityArray alone = predict(predictor, texts[i]);
            assert_same_entities(&results[i], &alone);
            array_free(&alone);
            array_free(&results[i]);
        }
        predictor_close(&predictor);
    }
}

/* -- a plain computation of one window, as the users of Hugging Face's pipeline know it */

typedef struct Oracle {
    BertConfig config;
    TinyModel tiny;
    Wordpiece *wordpiece;
} Oracle;

static Oracle oracle_open(const char *folder)
{
    Oracle oracle = {0};
    Diagnostic diagnostic = {0};
    char *config = path_join(folder, "config.json"), *vocab = path_join(folder, "vocab.txt");
    ASSERT_OK(bert_config_read(&oracle.config, config, &diagnostic), &diagnostic);
    oracle.tiny = support_model(support_backend("reference"), &oracle.config, 1);
    ASSERT_OK(model_folder_load(oracle.tiny.model, folder, MODEL_HEAD_REQUIRED, 0, &diagnostic), &diagnostic);
    ASSERT_OK(wordpiece_open(&oracle.wordpiece, vocab, (WordpieceOptions){.lowercase = true}, &diagnostic), &diagnostic);
    free(config);
    free(vocab);
    return oracle;
}

static void oracle_close(Oracle *oracle)
{
    wordpiece_close(&oracle->wordpiece);
    support_model_free(&oracle->tiny);
    bert_config_free(&oracle->config);
}

/* Probabilities [pieces, labels] of ids between [CLS] and [SEP]. */
static double *oracle_probabilities(const Oracle *oracle, const int32_t *ids, int32_t count)
{
    Diagnostic diagnostic = {0};
    int32_t framed[TINY_POSITIONS] = {wordpiece_specials(oracle->wordpiece)->cls};
    float logits[TINY_POSITIONS * TINY_LABEL_COUNT];
    memcpy(framed + 1, ids, (size_t)count * sizeof *ids);
    framed[count + 1] = wordpiece_specials(oracle->wordpiece)->sep;
    TokenBlock *block = token_block_create(64, 1);
    token_block_append(block, framed, NULL, 1, count + 2, 0);
    ASSERT_OK(model_forward(oracle->tiny.model, block, NULL, logits, &diagnostic), &diagnostic);
    token_block_destroy(&block);
    double *probabilities = memory_allocate((size_t)count * TINY_LABEL_COUNT + 1, sizeof *probabilities);
    for (int32_t i = 0; i < count; i++) {
        const float *row = logits + (i + 1) * TINY_LABEL_COUNT;
        double sum = 0;
        for (int c = 0; c < TINY_LABEL_COUNT; c++)
            sum += exp((double)row[c]);
        for (int c = 0; c < TINY_LABEL_COUNT; c++)
            probabilities[i * TINY_LABEL_COUNT + c] = exp((double)row[c]) / sum;
    }
    return probabilities;
}

static int best_of(const double *row)
{
    int best = 0;
    for (int c = 1; c < TINY_LABEL_COUNT; c++)
        best = row[c] > row[best] ? c : best;
    return best;
}

/* Label and score of the unit of pieces [begin, end). */
static int oracle_unit(AggregationStrategy strategy, const double *probabilities, int32_t begin, int32_t end, double *score)
{
    const double *rows = probabilities + begin * TINY_LABEL_COUNT;
    double mean[TINY_LABEL_COUNT] = {0};
    int32_t chosen = 0;
    for (int32_t i = 0; i < end - begin; i++) {
        for (int c = 0; c < TINY_LABEL_COUNT; c++)
            mean[c] += rows[i * TINY_LABEL_COUNT + c] / (end - begin);
        const double *row = rows + i * TINY_LABEL_COUNT, *top = rows + chosen * TINY_LABEL_COUNT;
        if (strategy == AGGREGATE_MAX && row[best_of(row)] > top[best_of(top)])
            chosen = i;
    }
    const double *row = strategy == AGGREGATE_AVERAGE ? mean : rows + chosen * TINY_LABEL_COUNT;
    *score = row[best_of(row)];
    return best_of(row);
}

/* Groups of units of one type, a B- beginning a new one. */
static EntityArray oracle_entities(const Oracle *oracle, AggregationStrategy strategy, const WordpieceOutput *output)
{
    EntityArray entities = {0};
    int32_t count = (int32_t)output->ids.count, units = 0;
    double *probabilities = oracle_probabilities(oracle, output->ids.items, count), score;
    int before = 0;
    for (int32_t begin = 0, end; begin < count; begin = end) {
        bool pieces = strategy == AGGREGATE_NONE || strategy == AGGREGATE_SIMPLE;
        for (end = begin + 1; !pieces && end < count && output->word_ids.items[end] == output->word_ids.items[begin]; end++)
            ;
        int label = oracle_unit(strategy, probabilities, begin, end, &score);
        const char *name = TINY_LABELS[label];
        bool goes_on = strategy != AGGREGATE_NONE && name[0] == 'I' && before && strcmp(TINY_LABELS[before] + 2, name + 2) == 0;
        if (label && goes_on) {
            Entity *last = &entities.items[entities.count - 1];
            units++;
            last->score += ((float)score - last->score) / (float)units;
            last->end = output->ends.items[end - 1];
        } else if (label) {
            Entity entity = {.score = (float)score, .start = output->starts.items[begin], .end = output->ends.items[end - 1]};
            entity.index = strategy == AGGREGATE_NONE ? begin + 1 : 0;
            snprintf(entity.type, sizeof entity.type, "%s", strategy == AGGREGATE_NONE ? name : name + 2);
            array_push(&entities, entity);
            units = 1;
        }
        before = label;
    }
    free(probabilities);
    return entities;
}

static void every_strategy_agrees_with_a_plain_computation(void **state)
{
    static const char *const texts[] = {"ka kb went to kc, kd and ke.", "unbelievable kz-kx words (of) many pieces kq",
                                        "kf kg kh ki kj kk kl km kn ko"};
    Oracle oracle = oracle_open(*state);
    size_t found = 0;
    for (int strategy = AGGREGATE_NONE; strategy <= AGGREGATE_MAX; strategy++) {
        PredictorOptions options = default_options();
        options.aggregation = (AggregationStrategy)strategy;
        options.words = "bert";
        Predictor *predictor = open_predictor(*state, options);
        for (size_t t = 0; t < sizeof texts / sizeof *texts; t++) {
            WordpieceOutput output = {0};
            Diagnostic diagnostic = {0};
            ASSERT_OK(wordpiece_encode_text(oracle.wordpiece, texts[t], strlen(texts[t]), &output, &diagnostic), &diagnostic);
            EntityArray expected = oracle_entities(&oracle, (AggregationStrategy)strategy, &output);
            EntityArray entities = predict(predictor, texts[t]);
            assert_int_equal(entities.count, expected.count);
            found += expected.count;
            for (size_t i = 0; i < expected.count; i++) {
                assert_string_equal(entities.items[i].type, expected.items[i].type);
                assert_int_equal(entities.items[i].start, expected.items[i].start);
                assert_int_equal(entities.items[i].end, expected.items[i].end);
                assert_int_equal(entities.items[i].index, expected.items[i].index);
                assert_float_equal(entities.items[i].score, expected.items[i].score, 1e-5); /* fp32 sums in another order */
            }
            array_free(&expected);
            array_free(&entities);
            wordpiece_output_free(&output);
        }
        predictor_close(&predictor);
    }
    assert_true(found > 50);
    oracle_close(&oracle);
}

/* -- windows */

/* A piece per label, by what the context-free model says of the words ka .. kz. */
static void find_words(Predictor *predictor, const char *words[TINY_LABEL_COUNT])
{
    static const char *const all[] = {"ka", "kb", "kc", "kd", "ke", "kf", "kg", "kh", "ki", "kj", "kk", "kl", "km",
                                      "kn", "ko", "kp", "kq", "kr", "ks", "kt", "ku", "kv", "kw", "kx", "ky", "kz"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const char *label = NULL;
        Diagnostic diagnostic = {0};
        ASSERT_OK(predictor_tokens(predictor, &all[i], 1, &label, NULL, &diagnostic), &diagnostic);
        for (int c = 0; c < TINY_LABEL_COUNT; c++)
            if (strcmp(label, TINY_LABELS[c]) == 0)
                words[c] = all[i];
    }
}

static void windows_give_what_one_window_gives_when_context_does_not_matter(void **state)
{
    (void)state;
    char *folder = tiny_folder_make("predictor-context-free", true);
    PredictorOptions options = default_options();
    options.words = "whitespace";
    Predictor *predictor = open_predictor(folder, options);
    const char *words[TINY_LABEL_COUNT] = {0};
    find_words(predictor, words);
    assert_non_null(words[0]);
    int entity = words[1] ? 1 : 3, inside = entity + 1;
    assert_non_null(words[entity]);
    const char *tail = words[inside] ? words[inside] : words[entity];
    Text text = {0};
    size_t expected = 0;
    for (int i = 0; i < 400; i++) { /* 2 of 5 words are an entity, or two */
        text_format(&text, "%s%s %s %s %s", i ? " " : "", words[0], words[0], words[entity], tail);
        expected += words[inside] ? 1 : 2;
    }
    for (int merge = MERGE_CONFIDENCE; merge <= MERGE_CONTEXT; merge++)
        for (int64_t length = 12; length <= TINY_POSITIONS; length += 13) {
            PredictorOptions small = options;
            small.max_seq_length = length;
            small.stride = 6;
            small.merge = (MergeRule)merge;
            Predictor *windowed = open_predictor(folder, small);
            EntityArray entities = predict(windowed, text.bytes);
            assert_int_equal(entities.count, expected);
            assert_sane(text.bytes, &entities);
            for (size_t i = 0; i < entities.count; i++) {
                int32_t first = (int32_t)(words[inside] ? i * 4 + 2 : i / 2 * 4 + 2 + i % 2);
                assert_int_equal(entities.items[i].first_word, first);
                assert_int_equal(entities.items[i].last_word, first + (words[inside] ? 1 : 0));
                assert_string_equal(entities.items[i].type, TINY_LABELS[entity] + 2);
            }
            array_free(&entities);
            predictor_close(&windowed);
        }
    text_free(&text);
    predictor_close(&predictor);
    free(folder);
}

static void a_text_of_100_kilobytes_is_read_to_its_end(void **state)
{
    PredictorOptions options = default_options();
    options.backend = "cpu";
    Text text = {0};
    while (text.size < 100000)
        text_format(&text, "ka \xF0\x9F\x98\x80 unbelievable kb, went%zu to kc. ", text.size);
    Predictor *predictor = open_predictor(*state, options);
    EntityArray entities = predict(predictor, text.bytes);
    assert_sane(text.bytes, &entities);
    assert_true(entities.count > 100);
    assert_true(entities.items[entities.count - 1].end_byte > (int32_t)text.size - 200);
    array_free(&entities);
    /* One word of 100 kB is one [UNK]. */
    memset(text.bytes, 'x', text.size);
    entities = predict(predictor, text.bytes);
    assert_true(entities.count <= 1);
    array_free(&entities);
    predictor_close(&predictor);
    text_free(&text);
}

static void empty_and_blank_texts_have_no_entities(void **state)
{
    static const char *const blank[] = {"", " ", "\t\n\r ", "\xC2\xA0\xE3\x80\x80\xE2\x80\x8B", "\xEF\xB8\x8F"};
    for (int rule = 0; rule < WORDS_COUNT; rule++) {
        PredictorOptions options = default_options();
        options.words = words_rule_name((WordsRule)rule);
        Predictor *predictor = open_predictor(*state, options);
        for (size_t i = 0; i < 4; i++) {
            EntityArray entities = predict(predictor, blank[i]);
            assert_int_equal(entities.count, 0);
            array_free(&entities);
        }
        Diagnostic diagnostic = {0};
        ASSERT_OK(predictor_texts(predictor, NULL, NULL, 0, NULL, &diagnostic), &diagnostic);
        ASSERT_OK(predictor_tokens(predictor, NULL, 0, NULL, NULL, &diagnostic), &diagnostic);
        predictor_close(&predictor);
    }
}

static void a_word_without_pieces_keeps_its_place(void **state)
{
    /* U+E000 (private use) is seen, but gives no piece; the empty token is what a damaged corpus holds. */
    const char *const tokens[] = {"ka", "\xEE\x80\x80", "kb", "", "kc"}, *const unknown[] = {"ka", "[UNK]", "kb", "[UNK]", "kc"};
    const char *labels[5], *expected[5];
    float scores[5], expected_scores[5];
    Diagnostic diagnostic = {0};
    Predictor *predictor = open_predictor(*state, default_options());
    ASSERT_OK(predictor_tokens(predictor, tokens, 5, labels, scores, &diagnostic), &diagnostic);
    ASSERT_OK(predictor_tokens(predictor, unknown, 5, expected, expected_scores, &diagnostic), &diagnostic);
    for (int i = 0; i < 5; i++) {
        assert_string_equal(labels[i], expected[i]);
        assert_memory_equal(&scores[i], &expected_scores[i], sizeof(float));
    }
    predictor_close(&predictor);
    PredictorOptions options = default_options();
    options.words = "whitespace";
    options.aggregation = AGGREGATE_FIRST;
    predictor = open_predictor(*state, options);
    EntityArray with = predict(predictor, "ka \xEE\x80\x80 kb kc"), without = predict(predictor, "ka [UNK] kb kc");
    assert_int_equal(with.count, without.count);
    for (size_t i = 0; i < with.count; i++) {
        assert_int_equal(with.items[i].first_word, without.items[i].first_word);
        assert_int_equal(with.items[i].last_word, without.items[i].last_word);
        assert_memory_equal(&with.items[i].score, &without.items[i].score, sizeof(float));
    }
    array_free(&with);
    array_free(&without);
    predictor_close(&predictor);
}

static void tokens_and_text_of_the_same_words_agree(void **state)
{
    const char *tokens[120], *labels[120];
    float scores[120];
    Text text = {0};
    Diagnostic diagnostic = {0};
    static const char *const some[] = {"ka", "unbelievable", "kz", "kd", "x", "kq", "pieces"};
    for (int i = 0; i < 120; i++) {
        tokens[i] = some[(i * i + i / 3) % 7];
        text_format(&text, "%s%s", i ? " " : "", tokens[i]);
    }
    PredictorOptions options = default_options();
    options.words = "whitespace";
    options.merge = MERGE_CONTEXT;
    Predictor *predictor = open_predictor(*state, options);
    ASSERT_OK(predictor_tokens(predictor, tokens, 120, labels, scores, &diagnostic), &diagnostic);
    EntityArray entities = predict(predictor, text.bytes);
    assert_true(entities.count > 5);
    for (size_t i = 0; i < entities.count; i++) {
        const Entity *entity = &entities.items[i];
        int32_t middle = entity->first_word + (entity->last_word - entity->first_word) / 2;
        assert_string_equal(labels[middle] + 2, entity->type); /* both from the window that has most context there */
        assert_true(scores[middle] > 0 && scores[middle] <= 1);
        assert_int_equal(entity->end_byte - entity->start_byte >= (int32_t)strlen(tokens[middle]), 1);
    }
    array_free(&entities);
    predictor_close(&predictor);
    text_free(&text);
}

/* Over windows as well: what is said of tokens is what is said of their text, word by word and bit by bit. */
static void a_prediction_of_tokens_is_that_of_their_text(void **state)
{
    enum { COUNT = 150 };
    static const char *const some[] = {"ka", "unbelievable", "kz", "x", "kq"};
    const char *tokens[COUNT], *labels[COUNT], *only[COUNT];
    float scores[COUNT];
    double sum = 0;
    Text text = {0};
    Diagnostic diagnostic = {0};
    Prediction of_tokens = {0}, of_text = {0};
    for (int i = 0; i < COUNT; i++)
        tokens[i] = some[(i * i + i / 3) % 5];
    PredictorOptions options = default_options();
    options.words = "whitespace";
    options.aggregation = AGGREGATE_FIRST;
    Predictor *predictor = open_predictor(*state, options);
    ASSERT_OK(predictor_predict_tokens(predictor, tokens, COUNT, &text, labels, &of_tokens, &diagnostic), &diagnostic);
    const char *bytes = text.bytes;
    ASSERT_OK(predictor_predict(predictor, &bytes, &text.size, 1, &of_text, &diagnostic), &diagnostic);
    ASSERT_OK(predictor_tokens(predictor, tokens, COUNT, only, scores, &diagnostic), &diagnostic);
    assert_same_entities(&of_tokens.entities, &of_text.entities);
    assert_int_equal(of_tokens.words.count, COUNT);
    assert_int_equal(of_text.words.count, COUNT);
    for (int i = 0; i < COUNT; i++) {
        Word word = of_tokens.words.items[i];
        assert_int_equal(word.start, of_text.words.items[i].start);
        assert_int_equal(word.end, of_text.words.items[i].end);
        assert_int_equal(word.end - word.start, strlen(tokens[i]));
        assert_memory_equal(text.bytes + word.start, tokens[i], strlen(tokens[i]));
        assert_string_equal(labels[i], only[i]);
        sum += (double)scores[i];
    }
    assert_true(of_tokens.entities.count > 0);
    assert_true(fabs(of_tokens.token_probability - sum / COUNT) < 1e-12); /* the same doubles, added in another order */
    assert_memory_equal(&of_tokens.token_probability, &of_text.token_probability, sizeof(double));
    prediction_free(&of_tokens);
    prediction_free(&of_text);
    text_free(&text);
    predictor_close(&predictor);
}

static void entities_below_the_threshold_are_left_out(void **state)
{
    PredictorOptions options = default_options();
    for (int strategy = AGGREGATE_NONE; strategy <= AGGREGATE_MAX; strategy++) {
        options.aggregation = (AggregationStrategy)strategy;
        options.min_confidence = 0;
        Predictor *predictor = open_predictor(*state, options);
        EntityArray all = predict(predictor, TEXTS[8]);
        predictor_close(&predictor);
        assert_true(all.count > 1);
        options.min_confidence = (double)all.items[0].score;
        predictor = open_predictor(*state, options);
        EntityArray some = predict(predictor, TEXTS[8]);
        size_t kept = 0;
        for (size_t i = 0; i < all.count; i++)
            if (all.items[i].score >= all.items[0].score) {
                assert_true(kept < some.count);
                assert_int_equal(some.items[kept++].start, all.items[i].start);
            }
        assert_int_equal(kept, some.count);
        predictor_close(&predictor);
        array_free(&all);
        array_free(&some);
    }
}

static void invalid_texts_are_refused_and_leave_the_predictor_usable(void **state)
{
    static const char *const texts[] = {"ka kb", "ka \xFF", "kc"};
    static const size_t sizes[] = {5, 4, 2};
    for (int rule = 0; rule < WORDS_COUNT; rule++) {
        PredictorOptions options = default_options();
        EntityArray results[3] = {0};
        Diagnostic diagnostic = {0};
        options.words = words_rule_name((WordsRule)rule);
        Predictor *predictor = open_predictor(*state, options);
        ASSERT_FAILS(predictor_texts(predictor, texts, sizes, 3, results, &diagnostic), STATUS_INVALID_INPUT, &diagnostic, "3");
        EntityArray before = predict(predictor, texts[0]), after = predict(predictor, texts[0]);
        assert_same_entities(&before, &after);
        array_free(&before);
        array_free(&after);
        predictor_close(&predictor);
    }
}

static int setup(void **state)
{
    *state = tiny_folder_make("predictor", false);
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offsets_are_those_of_the_original_text),
        cmocka_unit_test(texts_together_give_the_same_bits_as_one_by_one),
        cmocka_unit_test(every_strategy_agrees_with_a_plain_computation),
        cmocka_unit_test(windows_give_what_one_window_gives_when_context_does_not_matter),
        cmocka_unit_test(a_text_of_100_kilobytes_is_read_to_its_end),
        cmocka_unit_test(empty_and_blank_texts_have_no_entities),
        cmocka_unit_test(a_word_without_pieces_keeps_its_place),
        cmocka_unit_test(tokens_and_text_of_the_same_words_agree),
        cmocka_unit_test(a_prediction_of_tokens_is_that_of_their_text),
        cmocka_unit_test(entities_below_the_threshold_are_left_out),
        cmocka_unit_test(invalid_texts_are_refused_and_leave_the_predictor_usable),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
