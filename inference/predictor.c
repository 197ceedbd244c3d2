/* Text -> words -> pieces -> windows -> packed blocks -> logits -> decisions per unit -> spans.
 *
 * A "unit" is what gets one label: a piece (none, simple) or a word (first, average, max). Everything after the logits works on units, so that
 * one path serves all aggregation strategies and evaluation (inference/decode.h). */
#include "inference/predictor.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/io/file.h"
#include "inference/notes.h"
#include "model/folder.h"
#include "shard/align.h"

enum { BLOCK_PIECES = 4096, BLOCK_SEQUENCES = 512 };

struct Predictor {
    PredictorOptions options;
    PredictionNotes notes;
    const Backend *backend;
    BackendDevice *device;
    BertConfig config;
    Model *model;
    Wordpiece *wordpiece;
    LabelSet *labels;
    LabelTable *table;
    Transitions *transitions; /* NULL: argmax */
    TokenBlock *block;
    float *logits; /* [BLOCK_PIECES, C] or more for one long window */
    size_t logits_capacity;
    ARRAY(bool) wanted; /* of the block's pieces */
};

/* One text on its way through. */
typedef struct Passage {
    const char *text;
    Int32Array ids;
    Int32Array word_of_piece;
    Int32Array piece_start, piece_end; /* bytes of the text */
    WordArray words;
    WindowArray windows;
    FloatArray logits;         /* [sum over windows of count, C], window after window */
    ARRAY(size_t) logit_start; /* [windows] row of each window's first piece */
} Passage;

static void passage_free(Passage *passage)
{
    array_free(&passage->ids);
    array_free(&passage->word_of_piece);
    array_free(&passage->piece_start);
    array_free(&passage->piece_end);
    array_free(&passage->words);
    array_free(&passage->windows);
    array_free(&passage->logits);
    array_free(&passage->logit_start);
}

bool aggregation_parse(const char *name, AggregationStrategy *strategy)
{
    static const char *const names[] = {"none", "simple", "first", "average", "max"};
    for (int i = 0; i < 5; i++)
        if (strcmp(names[i], name) == 0) {
            *strategy = (AggregationStrategy)i;
            return true;
        }
    return false;
}

static Status load_labels(Predictor *predictor, const char *folder, Diagnostic *diagnostic)
{
    if (predictor->config.label_count < 1)
        return FAIL(diagnostic, STATUS_MISMATCH, "%s/config.json has no id2label: it is no token classifier", folder);
    predictor->labels = label_set_create();
    for (int32_t i = 0; i < predictor->config.label_count; i++) {
        const char *label = predictor->config.labels[i];
        if (strlen(label) >= sizeof((Entity *)NULL)->type)
            return FAIL(diagnostic, STATUS_LIMIT, "%s/config.json: label %d of id2label is longer than %zu bytes", folder, i,
                        sizeof((Entity *)NULL)->type - 1);
        if (label_set_add(predictor->labels, label) != i)
            return FAIL(diagnostic, STATUS_MISMATCH, "%s/config.json: id2label has \"%s\" twice", folder, label);
    }
    return label_table_create(&predictor->table, predictor->labels, diagnostic);
}

static Status apply_options(Predictor *predictor, const PredictorOptions *options, const char *folder, Diagnostic *diagnostic)
{
    Status status = prediction_notes_read(&predictor->notes, folder, predictor->config.max_position_embeddings, diagnostic);
    if (status != STATUS_OK)
        return status;
    PredictionNotes *notes = &predictor->notes;
    if (options->words && !words_rule_parse(options->words, &notes->words))
        return FAIL(diagnostic, STATUS_USAGE, "\"%s\" is no words rule: whitespace, treebank or bert is expected", options->words);
    if (options->decode && !decode_rule_parse(options->decode, &notes->decode))
        return FAIL(diagnostic, STATUS_USAGE, "\"%s\" is no rule for decoding: argmax or viterbi is expected", options->decode);
    if (notes->decode == DECODE_VITERBI)
        predictor->transitions = transitions_create(predictor->table, predictor->config.label_count, notes->scheme);
    if (options->max_seq_length > 0)
        notes->max_seq_length = options->max_seq_length;
    if (options->stride >= 0)
        notes->stride = options->stride;
    if (notes->max_seq_length < 3 || notes->max_seq_length > predictor->config.max_position_embeddings)
        return FAIL(diagnostic, STATUS_USAGE, "max_seq_length %lld is not between 3 and the model's %d positions",
                    (long long)notes->max_seq_length, predictor->config.max_position_embeddings);
    if (notes->stride >= notes->max_seq_length - 2)
        return FAIL(diagnostic, STATUS_USAGE,
                    "stride %lld leaves no step between windows of %lld pieces, 2 of them special: a smaller stride is needed",
                    (long long)notes->stride, (long long)notes->max_seq_length);
    return STATUS_OK;
}

Status predictor_open(Predictor **out, const char *folder, const PredictorOptions *options, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Predictor *predictor = memory_allocate(1, sizeof *predictor);
    TokenizerFiles tokenizer = {0};
    BackendOptions backend_options = {.thread_count = options->threads > 0 ? options->threads : 1};
    char *config_path = path_join(folder, "config.json");
    predictor->options = *options;
    predictor->options.words = predictor->options.decode = NULL; /* the caller's; turned into rules */
    TRY(bert_config_read(&predictor->config, config_path, diagnostic));
    TRY(load_labels(predictor, folder, diagnostic));
    TRY(apply_options(predictor, options, folder, diagnostic));
    TRY(model_folder_tokenizer(folder, &tokenizer, diagnostic));
    TRY(wordpiece_open(&predictor->wordpiece, tokenizer.vocab_path, (WordpieceOptions){.lowercase = tokenizer.lowercase},
                       diagnostic));
    TRY(wordpiece_check_model(predictor->wordpiece, predictor->config.vocab_size, diagnostic));
    TRY(backend_open(&predictor->backend, options->backend ? options->backend : "auto", diagnostic));
    TRY(predictor->backend->device_open(&predictor->device, &backend_options, diagnostic));
    TRY(model_create(&predictor->model, &predictor->config, predictor->backend, predictor->device, DEVICE_FP32, diagnostic));
    TRY(model_folder_load(predictor->model, folder, MODEL_HEAD_REQUIRED, 0, diagnostic));
    TRY(model_plan(predictor->model, BLOCK_PIECES + (int32_t)predictor->notes.max_seq_length, BLOCK_SEQUENCES, false, diagnostic));
    predictor->block = token_block_create(BLOCK_PIECES, BLOCK_SEQUENCES);
out:
    tokenizer_files_free(&tokenizer);
    free(config_path);
    if (status != STATUS_OK)
        predictor_close(&predictor);
    *out = predictor;
    return status;
}

void predictor_close(Predictor **out)
{
    Predictor *predictor = *out;
    if (predictor == NULL)
        return;
    token_block_destroy(&predictor->block);
    model_destroy(&predictor->model);
    if (predictor->device)
        predictor->backend->device_close(&predictor->device);
    wordpiece_close(&predictor->wordpiece);
    label_table_destroy(&predictor->table);
    transitions_destroy(&predictor->transitions);
    label_set_destroy(&predictor->labels);
    bert_config_free(&predictor->config);
    free(predictor->logits);
    array_free(&predictor->wanted);
    free(predictor);
    *out = NULL;
}

const BertConfig *predictor_config(const Predictor *predictor)
{
    return &predictor->config;
}

LabelScheme predictor_scheme(const Predictor *predictor)
{
    return predictor->notes.scheme;
}

void prediction_free(Prediction *prediction)
{
    array_free(&prediction->entities);
    array_free(&prediction->words);
    *prediction = (Prediction){0};
}

/* A place in a text that is walked from code point to code point; end: bytes of the text. */
typedef struct TextPlace {
    const char *text;
    int32_t byte, point, end;
} TextPlace;

/* Byte offset of a code point. Offsets rise from piece to piece but for rare reordered marks, so a text is walked about once. */
static int32_t place_seek(TextPlace *place, int32_t point)
{
    while (place->point > point) {
        do
            place->byte--;
        while (((unsigned char)place->text[place->byte] & 0xC0) == 0x80);
        place->point--;
    }
    while (place->point < point && place->byte < place->end) {
        do
            place->byte++;
        while (place->byte < place->end && ((unsigned char)place->text[place->byte] & 0xC0) == 0x80);
        place->point++;
    }
    return place->byte;
}

static void passage_add_piece(Passage *passage, int32_t id, int32_t word, int32_t start_byte, int32_t end_byte)
{
    array_push(&passage->ids, id);
    array_push(&passage->word_of_piece, word);
    array_push(&passage->piece_start, start_byte);
    array_push(&passage->piece_end, end_byte);
}

/* Pieces of the passage's words. A word without pieces is [UNK], as shards feed it. */
static Status encode_words(Predictor *predictor, Passage *passage, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    WordpieceOutput output = {0};
    for (size_t w = 0; w < passage->words.count; w++) {
        Word word = passage->words.items[w];
        wordpiece_output_clear(&output);
        TRY(wordpiece_encode_token(predictor->wordpiece, passage->text + word.start, (size_t)(word.end - word.start), (int32_t)w,
                                   &output, diagnostic));
        TextPlace place = {.text = passage->text, .byte = word.start, .end = word.end};
        for (size_t i = 0; i < output.ids.count; i++) {
            int32_t start = place_seek(&place, output.starts.items[i]);
            passage_add_piece(passage, output.ids.items[i], (int32_t)w, start, place_seek(&place, output.ends.items[i]));
        }
        if (output.ids.count == 0)
            passage_add_piece(passage, wordpiece_specials(predictor->wordpiece)->unk, (int32_t)w, word.start, word.end);
    }
out:
    wordpiece_output_free(&output);
    return status;
}

/* Does Hugging Face's pipeline count this piece to the word before it? It compares the lengths of piece and text: "##" makes the difference,
 * and so do marks that were dropped. */
static bool continues_word(const Wordpiece *wordpiece, int32_t id, int32_t code_points)
{
    const char *piece = wordpiece_piece(wordpiece, id);
    int32_t length = 0;
    for (const char *byte = piece; *byte; byte++)
        length += ((unsigned char)*byte & 0xC0) != 0x80;
    return id != wordpiece_specials(wordpiece)->unk && length != code_points;
}

/* Words rule bert: the whole text as Hugging Face's tokenizer encodes it, and words as its pipeline groups the pieces. What gives no piece
 * is no word here. */
static Status encode_whole(Predictor *predictor, Passage *passage, size_t size, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    WordpieceOutput output = {0};
    TextPlace place = {.text = passage->text, .end = (int32_t)size};
    TRY(wordpiece_encode_text(predictor->wordpiece, passage->text, size, &output, diagnostic));
    for (size_t i = 0; i < output.ids.count; i++) {
        int32_t id = output.ids.items[i], first = output.starts.items[i], last = output.ends.items[i];
        int32_t start_byte = place_seek(&place, first), end_byte = place_seek(&place, last);
        if (i == 0 || !continues_word(predictor->wordpiece, id, last - first))
            array_push(&passage->words, ((Word){.start = start_byte}));
        passage->words.items[passage->words.count - 1].end = end_byte;
        passage_add_piece(passage, id, (int32_t)passage->words.count - 1, start_byte, end_byte);
    }
out:
    wordpiece_output_free(&output);
    return status;
}

static void passage_cut(const Predictor *predictor, Passage *passage)
{
    windows_cut(passage->word_of_piece.items, (int32_t)passage->ids.count, predictor->notes.max_seq_length, predictor->notes.stride,
                &passage->windows);
}

static Status passage_encode_text(Predictor *predictor, Passage *passage, const char *text, size_t size, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    passage->text = text;
    if (size > PREDICTOR_TEXT_LIMIT)
        return FAIL(diagnostic, STATUS_LIMIT, "a text of %zu bytes: at most %d are taken at once; split it into lines", size,
                    PREDICTOR_TEXT_LIMIT);
    if (predictor->notes.words == WORDS_BERT)
        status = encode_whole(predictor, passage, size, diagnostic);
    else {
        status = words_split(predictor->notes.words, text, size, &passage->words, diagnostic);
        if (status == STATUS_OK)
            status = encode_words(predictor, passage, diagnostic);
    }
    if (status == STATUS_OK)
        passage_cut(predictor, passage);
    return status;
}

/* Which windows stand in the block that is being filled. */
typedef struct BlockEntry {
    Passage *passage;
    int32_t count; /* pieces without specials */
} BlockEntry;
typedef ARRAY(BlockEntry) BlockEntryArray;

static bool units_are_pieces(AggregationStrategy strategy)
{
    return strategy == AGGREGATE_NONE || strategy == AGGREGATE_SIMPLE;
}

/* Pieces of a window whose logits are looked at: under AGGREGATE_FIRST only the first of each word, and never special ones. wanted: as the
 * window stands in the block, specials included. */
static void window_wanted(const Passage *passage, Window window, AggregationStrategy strategy, bool *wanted)
{
    const int32_t *words = passage->word_of_piece.items + window.first;
    wanted[0] = wanted[window.count + 1] = false;
    for (int32_t i = 0; i < window.count; i++)
        wanted[i + 1] = strategy != AGGREGATE_FIRST || i == 0 || words[i] != words[i - 1];
}

static Status block_run(Predictor *predictor, BlockEntryArray *entries, Diagnostic *diagnostic)
{
    TokenBlock *block = predictor->block;
    size_t label_count = (size_t)predictor->config.label_count, wanted = (size_t)block->piece_count * label_count;
    if (entries->count == 0)
        return STATUS_OK;
    if (predictor->logits_capacity < wanted) {
        predictor->logits = memory_reallocate(predictor->logits, wanted, sizeof(float));
        predictor->logits_capacity = wanted;
    }
    Status status = model_forward(predictor->model, block, predictor->wanted.items, predictor->logits, diagnostic);
    if (status != STATUS_OK)
        return status;
    for (size_t e = 0; e < entries->count; e++) {
        Passage *passage = entries->items[e].passage;
        size_t first = (size_t)block->sequence_start[e] + 1, floats = (size_t)entries->items[e].count * label_count;
        array_reserve(&passage->logits, passage->logits.count + floats);
        memcpy(passage->logits.items + passage->logits.count, predictor->logits + first * label_count, floats * sizeof(float));
        array_push(&passage->logit_start, passage->logits.count / label_count);
        passage->logits.count += floats;
    }
    entries->count = 0;
    token_block_clear(block);
    return STATUS_OK;
}

/* Runs the windows of all passages through the model, packed into common blocks. */
static Status passages_forward(Predictor *predictor, Passage *passages, size_t count, AggregationStrategy strategy,
                               Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    BlockEntryArray entries = {0};
    Int32Array ids = {0};
    const WordpieceSpecials *specials = wordpiece_specials(predictor->wordpiece);
    token_block_clear(predictor->block);
    for (size_t p = 0; p < count; p++)
        for (size_t w = 0; w < passages[p].windows.count; w++) {
            Window window = passages[p].windows.items[w];
            if (predictor->block->piece_count + window.count + 2 > BLOCK_PIECES || entries.count == BLOCK_SEQUENCES)
                TRY(block_run(predictor, &entries, diagnostic));
            ids.count = 0;
            array_push(&ids, specials->cls);
            for (int32_t i = 0; i < window.count; i++)
                array_push(&ids, passages[p].ids.items[window.first + i]);
            array_push(&ids, specials->sep);
            size_t before = (size_t)predictor->block->piece_count;
            array_reserve(&predictor->wanted, before + ids.count);
            window_wanted(&passages[p], window, strategy, predictor->wanted.items + before);
            token_block_append(predictor->block, ids.items, NULL, 1.0f, (int32_t)ids.count, (uint32_t)entries.count);
            array_push(&entries, ((BlockEntry){&passages[p], window.count}));
        }
    TRY(block_run(predictor, &entries, diagnostic));
out:
    array_free(&entries);
    array_free(&ids);
    return status;
}

static void softmax(const float *logits, int32_t count, float *probabilities)
{
    float top = logits[0], sum = 0;
    for (int32_t c = 1; c < count; c++)
        top = logits[c] > top ? logits[c] : top;
    for (int32_t c = 0; c < count; c++)
        sum += probabilities[c] = expf(logits[c] - top);
    for (int32_t c = 0; c < count; c++)
        probabilities[c] /= sum;
}

static TokenDecision decide(const float *probabilities, int32_t count)
{
    int32_t best = 0;
    for (int32_t c = 1; c < count; c++)
        best = probabilities[c] > probabilities[best] ? c : best;
    return (TokenDecision){best, probabilities[best]};
}

/* The probabilities [C] of one unit from those of its pieces [pieces, C], as Hugging Face's pipeline aggregates words. They replace the
 * first piece's. */
static float *unit_probabilities(AggregationStrategy strategy, float *probabilities, int32_t pieces, int32_t label_count)
{
    if (strategy == AGGREGATE_AVERAGE) {
        for (int32_t c = 0; c < label_count; c++) {
            float sum = 0;
            for (int32_t i = 0; i < pieces; i++)
                sum += probabilities[(size_t)i * (size_t)label_count + (size_t)c];
            probabilities[c] = sum / (float)pieces;
        }
    }
    float *best = probabilities;
    for (int32_t i = 1; strategy == AGGREGATE_MAX && i < pieces; i++) {
        float *other = probabilities + (size_t)i * (size_t)label_count;
        best = decide(other, label_count).probability > decide(best, label_count).probability ? other : best;
    }
    return best;
}

/* Decisions of a window's units from their probabilities [units, C]; opens, closes: the passage begins, ends with the window. The rows are
 * used up. */
static void decide_units(const Transitions *transitions, float *rows, int32_t units, int32_t label_count, bool opens, bool closes,
                         TokenDecision *decisions)
{
    for (int32_t u = 0; u < units; u++)
        decisions[u] = decide(rows + (size_t)u * (size_t)label_count, label_count);
    if (!transitions)
        return;
    int32_t *labels = memory_allocate((size_t)units + 1, sizeof *labels);
    for (size_t i = 0; i < (size_t)units * (size_t)label_count; i++)
        rows[i] = logf(rows[i] > FLT_MIN ? rows[i] : FLT_MIN);
    transitions_decode(transitions, rows, units, opens, closes, labels);
    for (int32_t u = 0; u < units; u++)
        if (labels[u] != decisions[u].label)
            decisions[u] = (TokenDecision){labels[u], expf(rows[(size_t)u * (size_t)label_count + (size_t)labels[u]])};
    free(labels);
}

/* Unit that owns a piece, or the unit count behind the last piece. */
static int32_t unit_of_piece(const Passage *passage, AggregationStrategy strategy, int32_t piece)
{
    if (piece >= (int32_t)passage->ids.count)
        return units_are_pieces(strategy) ? (int32_t)passage->ids.count : (int32_t)passage->words.count;
    return units_are_pieces(strategy) ? piece : passage->word_of_piece.items[piece];
}

typedef ARRAY(WindowDecisions) WindowDecisionsArray;

/* Decisions of every window; decisions: room for the units of all windows. */
static void passage_decide(Predictor *predictor, const Passage *passage, AggregationStrategy strategy, TokenDecision *decisions,
                           WindowDecisionsArray *windows)
{
    int32_t label_count = predictor->config.label_count;
    FloatArray probabilities = {0};
    const Transitions *transitions = units_are_pieces(strategy) ? NULL : predictor->transitions;
    for (size_t w = 0; w < passage->windows.count; w++) {
        Window window = passage->windows.items[w];
        const float *logits = passage->logits.items + passage->logit_start.items[w] * (size_t)label_count;
        int32_t first_unit = unit_of_piece(passage, strategy, window.first), unit_count = 0;
        array_reserve(&probabilities, (size_t)window.count * (size_t)label_count);
        for (int32_t i = 0; i < window.count; i++)
            softmax(logits + (size_t)i * (size_t)label_count, label_count, probabilities.items + (size_t)i * (size_t)label_count);
        for (int32_t begin = 0, end; begin < window.count; begin = end) {
            int32_t unit = unit_of_piece(passage, strategy, window.first + begin);
            for (end = begin + 1; end < window.count && unit_of_piece(passage, strategy, window.first + end) == unit; end++)
                ;
            const float *row =
                unit_probabilities(strategy, probabilities.items + (size_t)begin * (size_t)label_count, end - begin, label_count);
            memmove(probabilities.items + (size_t)unit_count++ * (size_t)label_count, row, (size_t)label_count * sizeof(float));
        }
        decide_units(transitions, probabilities.items, unit_count, label_count, window.first == 0,
                     window.first + window.count == (int32_t)passage->ids.count, decisions);
        WindowDecisions entry = {.token_first = first_unit,
                                 .token_end = first_unit + unit_count,
                                 .owned_first = unit_of_piece(passage, strategy, window.owned_first),
                                 .owned_end = unit_of_piece(passage, strategy, window.owned_end),
                                 .decisions = decisions};
        array_push(windows, entry);
        decisions += unit_count;
    }
    array_free(&probabilities);
}

/* Entities come sorted by start, so that code points are counted in about one walk over the text. */
static void entities_count_code_points(const char *text, EntityArray *entities)
{
    int32_t byte = 0, point = 0;
    for (size_t i = 0; i < entities->count; i++) {
        Entity *entity = &entities->items[i];
        for (; byte < entity->start_byte; byte++)
            point += ((unsigned char)text[byte] & 0xC0) != 0x80;
        for (; byte > entity->start_byte; byte--)
            point -= ((unsigned char)text[byte - 1] & 0xC0) != 0x80;
        entity->start = entity->end = point;
        for (int32_t at = entity->start_byte; at < entity->end_byte; at++)
            entity->end += ((unsigned char)text[at] & 0xC0) != 0x80;
    }
}

static Entity make_entity(const Passage *passage, AggregationStrategy strategy, int32_t first_unit, int32_t last_unit,
                          const char *type, float score)
{
    Entity entity = {.score = score};
    snprintf(entity.type, sizeof entity.type, "%s", type);
    if (units_are_pieces(strategy)) {
        entity.start_byte = passage->piece_start.items[first_unit];
        entity.end_byte = passage->piece_end.items[last_unit];
        entity.first_word = passage->word_of_piece.items[first_unit];
        entity.last_word = passage->word_of_piece.items[last_unit];
        entity.index = strategy == AGGREGATE_NONE ? first_unit + 1 : 0;
    } else {
        entity.start_byte = passage->words.items[first_unit].start;
        entity.end_byte = passage->words.items[last_unit].end;
        entity.first_word = first_unit;
        entity.last_word = last_unit;
    }
    return entity;
}

/* AGGREGATE_NONE: every piece whose label is not O, from the window that owns it. */
static void pieces_as_entities(Predictor *predictor, const Passage *passage, const WindowDecisionsArray *windows,
                               EntityArray *entities)
{
    for (size_t w = 0; w < windows->count; w++) {
        const WindowDecisions *window = &windows->items[w];
        for (int32_t unit = window->owned_first; unit < window->owned_end; unit++) {
            TokenDecision decision = window->decisions[unit - window->token_first];
            if (predictor->table->prefixes[decision.label] != PREFIX_O &&
                (double)decision.probability >= predictor->options.min_confidence)
                array_push(entities, make_entity(passage, AGGREGATE_NONE, unit, unit, predictor->config.labels[decision.label],
                                                 decision.probability));
        }
    }
}

static void words_copy(const Passage *passage, WordArray *words)
{
    words->count = 0;
    for (size_t i = 0; i < passage->words.count; i++)
        array_push(words, passage->words.items[i]);
}

static double mean_probability(const WindowDecisionsArray *windows)
{
    double sum = 0;
    int64_t count = 0;
    for (size_t w = 0; w < windows->count; w++) {
        const WindowDecisions *window = &windows->items[w];
        for (int32_t unit = window->owned_first; unit < window->owned_end; unit++, count++)
            sum += (double)window->decisions[unit - window->token_first].probability;
    }
    return count > 0 ? sum / (double)count : 0;
}

static void spans_as_entities(const Predictor *predictor, const Passage *passage, AggregationStrategy strategy,
                              const ScoredSpanArray *spans, EntityArray *entities)
{
    for (size_t i = 0; i < spans->count; i++) {
        const ScoredSpan *scored = &spans->items[i];
        if ((double)scored->score >= predictor->options.min_confidence)
            array_push(entities, make_entity(passage, strategy, scored->span.start, scored->span.end - 1,
                                             predictor->table->type_names[scored->span.type], scored->score));
    }
}

static void passage_predict(Predictor *predictor, const Passage *passage, Prediction *prediction)
{
    AggregationStrategy strategy = predictor->options.aggregation;
    WindowDecisionsArray windows = {0};
    ScoredSpanArray spans = {0};
    size_t room = 1;
    for (size_t w = 0; w < passage->windows.count; w++)
        room += (size_t)passage->windows.items[w].count;
    TokenDecision *decisions = memory_allocate(room, sizeof *decisions);
    prediction->entities.count = 0;
    passage_decide(predictor, passage, strategy, decisions, &windows);
    if (strategy == AGGREGATE_NONE)
        pieces_as_entities(predictor, passage, &windows, &prediction->entities);
    else
        spans_merge_windows(predictor->table, windows.items, windows.count,
                            unit_of_piece(passage, strategy, (int32_t)passage->ids.count), predictor->options.merge, &spans, NULL);
    spans_as_entities(predictor, passage, strategy, &spans, &prediction->entities);
    entities_count_code_points(passage->text, &prediction->entities);
    words_copy(passage, &prediction->words);
    prediction->token_probability = mean_probability(&windows);
    array_free(&spans);
    array_free(&windows);
    free(decisions);
}

Status predictor_predict(Predictor *predictor, const char *const *texts, const size_t *sizes, size_t count, Prediction *predictions,
                         Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Passage *passages = memory_allocate(count + 1, sizeof *passages);
    for (size_t i = 0; i < count; i++) {
        TRY(passage_encode_text(predictor, &passages[i], texts[i], sizes[i], diagnostic));
    }
    TRY(passages_forward(predictor, passages, count, predictor->options.aggregation, diagnostic));
    for (size_t i = 0; i < count; i++)
        passage_predict(predictor, &passages[i], &predictions[i]);
out:
    for (size_t i = 0; i < count; i++)
        passage_free(&passages[i]);
    free(passages);
    return status;
}

Status predictor_texts(Predictor *predictor, const char *const *texts, const size_t *sizes, size_t count, EntityArray *results,
                       Diagnostic *diagnostic)
{
    Prediction *predictions = memory_allocate(count + 1, sizeof *predictions);
    for (size_t i = 0; i < count; i++)
        predictions[i].entities = results[i];
    Status status = predictor_predict(predictor, texts, sizes, count, predictions, diagnostic);
    for (size_t i = 0; i < count; i++) {
        results[i] = predictions[i].entities;
        array_free(&predictions[i].words);
    }
    free(predictions);
    return status;
}

Status predictor_text(Predictor *predictor, const char *text, size_t size, EntityArray *entities, Diagnostic *diagnostic)
{
    return predictor_texts(predictor, &text, &size, 1, entities, diagnostic);
}

/* labels: [n], scores: [n] or NULL, prediction: NULL or what is said of *text, the tokens joined by spaces. */
static Status tokens_predict(Predictor *predictor, const char *const *tokens, int32_t n, Text *text, const char **labels,
                             float *scores, Prediction *prediction, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Passage passage = {0};
    WindowDecisionsArray windows = {0};
    ScoredSpanArray spans = {0};
    int32_t *label_ids = memory_allocate((size_t)n + 1, sizeof *label_ids);
    TokenDecision *decisions = NULL;
    text_clear(text);
    text_append(text, "", 0);
    for (int32_t i = 0; i < n; i++) {
        text_append(text, " ", i > 0);
        Word word = {.start = (int32_t)text->size};
        text_append_string(text, tokens[i]);
        word.end = (int32_t)text->size;
        array_push(&passage.words, word);
    }
    passage.text = text->bytes;
    TRY(encode_words(predictor, &passage, diagnostic));
    passage_cut(predictor, &passage);
    TRY(passages_forward(predictor, &passage, 1, AGGREGATE_FIRST, diagnostic));
    size_t room = 1;
    for (size_t w = 0; w < passage.windows.count; w++)
        room += (size_t)passage.windows.items[w].count;
    decisions = memory_allocate(room, sizeof *decisions);
    passage_decide(predictor, &passage, AGGREGATE_FIRST, decisions, &windows);
    spans_merge_windows(predictor->table, windows.items, windows.count, n, predictor->options.merge, &spans, label_ids);
    for (int32_t i = 0; i < n; i++)
        labels[i] = predictor->config.labels[label_ids[i]];
    for (size_t w = 0; scores && w < windows.count; w++)
        for (int32_t i = windows.items[w].owned_first; i < windows.items[w].owned_end; i++)
            scores[i] = windows.items[w].decisions[i - windows.items[w].token_first].probability;
    if (prediction) {
        prediction->entities.count = 0;
        spans_as_entities(predictor, &passage, AGGREGATE_FIRST, &spans, &prediction->entities);
        entities_count_code_points(passage.text, &prediction->entities);
        words_copy(&passage, &prediction->words);
        prediction->token_probability = mean_probability(&windows);
    }
out:
    passage_free(&passage);
    array_free(&windows);
    array_free(&spans);
    free(label_ids);
    free(decisions);
    return status;
}

Status predictor_predict_tokens(Predictor *predictor, const char *const *tokens, int32_t n, Text *text, const char **labels,
                                Prediction *prediction, Diagnostic *diagnostic)
{
    return tokens_predict(predictor, tokens, n, text, labels, NULL, prediction, diagnostic);
}

Status predictor_tokens(Predictor *predictor, const char *const *tokens, int32_t n, const char **labels, float *scores,
                        Diagnostic *diagnostic)
{
    Text text = {0};
    Status status = tokens_predict(predictor, tokens, n, &text, labels, scores, NULL, diagnostic);
    text_free(&text);
    return status;
}
