/* Statistics of a corpus file, gathered in one pass: a few bytes per sentence are kept, never the text. */
#include <stdlib.h>
#include <string.h>

#include "core/io/hash.h"
#include "shard/hash_set.h"
#include "shard/stats.h"

typedef struct TypeStats {
    char *name;
    int64_t spans;
    HashSet forms;
} TypeStats;

struct CorpusStats {
    char *path;
    int64_t sentences, tokens, spans, unk_pieces;
    bool has_pieces;
    LabelScheme scheme;
    LabelSet *labels;
    ARRAY(int64_t) label_counts; /* by id in labels */
    ARRAY(TypeStats) types;
    Int32Array token_lengths, piece_lengths; /* of each sentence */
    ARRAY(uint64_t) sentence_hashes;
    HashSet distinct;
};

/* What one pass needs beside the results. */
typedef struct StatsPass {
    CorpusStats *stats;
    LabelTable *table; /* of stats->labels as they are now */
    SchemeGuess guess;
    ARRAY(const char *) label_texts;
    Int32Array label_ids;
    SpanArray spans;
    Text joined;
    WordpieceOutput pieces;
} StatsPass;

static void pass_free(StatsPass *pass)
{
    label_table_destroy(&pass->table);
    array_free(&pass->label_texts);
    array_free(&pass->label_ids);
    array_free(&pass->spans);
    text_free(&pass->joined);
    wordpiece_output_free(&pass->pieces);
}

static Status labels_add(StatsPass *pass, const CorpusSentence *sentence, Diagnostic *diagnostic)
{
    CorpusStats *stats = pass->stats;
    int32_t known = label_set_count(stats->labels);
    pass->label_ids.count = pass->label_texts.count = 0;
    for (int32_t i = 0; i < sentence->token_count; i++) {
        const CorpusToken *token = &sentence->tokens[i];
        LabelParts parts;
        int32_t id = label_set_find(stats->labels, token->label);
        if (id < 0 && !label_split(token->label, &parts))
            return FAIL_AT(diagnostic, STATUS_INVALID_INPUT, stats->path, token->line, token->label_column,
                           "\"%.64s\" is no label: expected O, or B-, I-, E-, S-, L- or U- and a type [unknown-prefix]",
                           token->label);
        if (id < 0) {
            id = label_set_add(stats->labels, token->label);
            array_push(&stats->label_counts, 0);
        }
        stats->label_counts.items[id]++;
        array_push(&pass->label_ids, id);
        array_push(&pass->label_texts, token->label);
    }
    scheme_guess_add(&pass->guess, pass->label_texts.items, sentence->token_count);
    if (pass->table && label_set_count(stats->labels) == known)
        return STATUS_OK;
    label_table_destroy(&pass->table);
    return label_table_create(&pass->table, stats->labels, diagnostic);
}

static void sentence_join(Text *joined, const CorpusSentence *sentence, int32_t start, int32_t end)
{
    text_clear(joined);
    for (int32_t i = start; i < end; i++) {
        text_append(joined, sentence->tokens[i].text, sentence->tokens[i].text_size);
        text_append(joined, "\n", 1); /* no token holds one */
    }
}

static TypeStats *type_find(CorpusStats *stats, const char *name)
{
    for (size_t i = 0; i < stats->types.count; i++)
        if (strcmp(stats->types.items[i].name, name) == 0)
            return &stats->types.items[i];
    TypeStats type = {.name = memory_copy_string(name)};
    array_push(&stats->types, type);
    return &stats->types.items[stats->types.count - 1];
}

static void spans_add(StatsPass *pass, const CorpusSentence *sentence)
{
    CorpusStats *stats = pass->stats;
    pass->spans.count = 0;
    spans_extract_default(pass->table, pass->label_ids.items, sentence->token_count, &pass->spans);
    stats->spans += (int64_t)pass->spans.count;
    for (size_t i = 0; i < pass->spans.count; i++) {
        const Span *span = &pass->spans.items[i];
        TypeStats *type = type_find(stats, pass->table->type_names[span->type]);
        sentence_join(&pass->joined, sentence, span->start, span->end);
        type->spans++;
        hash_set_add(&type->forms, checksum64(pass->joined.bytes, pass->joined.size));
    }
}

static Status pieces_add(StatsPass *pass, const CorpusSentence *sentence, const Wordpiece *wordpiece, Diagnostic *diagnostic)
{
    wordpiece_output_clear(&pass->pieces);
    for (int32_t i = 0; i < sentence->token_count; i++) {
        const CorpusToken *token = &sentence->tokens[i];
        Status status = wordpiece_encode_token(wordpiece, token->text, token->text_size, i, &pass->pieces, diagnostic);
        if (status != STATUS_OK)
            return status;
    }
    int32_t unk = wordpiece_specials(wordpiece)->unk;
    for (size_t i = 0; i < pass->pieces.ids.count; i++)
        pass->stats->unk_pieces += pass->pieces.ids.items[i] == unk;
    array_push(&pass->stats->piece_lengths, (int32_t)pass->pieces.ids.count);
    return STATUS_OK;
}

static Status sentence_add(StatsPass *pass, const CorpusSentence *sentence, const Wordpiece *wordpiece, Diagnostic *diagnostic)
{
    CorpusStats *stats = pass->stats;
    Status status = labels_add(pass, sentence, diagnostic);
    if (status == STATUS_OK && wordpiece)
        status = pieces_add(pass, sentence, wordpiece, diagnostic);
    if (status != STATUS_OK)
        return status;
    stats->sentences++;
    stats->tokens += sentence->token_count;
    array_push(&stats->token_lengths, sentence->token_count);
    spans_add(pass, sentence);
    sentence_join(&pass->joined, sentence, 0, sentence->token_count);
    uint64_t hash = checksum64(pass->joined.bytes, pass->joined.size);
    array_push(&stats->sentence_hashes, hash);
    hash_set_add(&stats->distinct, hash);
    return STATUS_OK;
}

static int compare_lengths(const void *a, const void *b)
{
    int32_t left = *(const int32_t *)a, right = *(const int32_t *)b;
    return left < right ? -1 : left > right;
}

static int compare_types(const void *a, const void *b)
{
    return strcmp(((const TypeStats *)a)->name, ((const TypeStats *)b)->name);
}

static void lengths_sort(Int32Array *lengths)
{
    if (lengths->count > 0)
        qsort(lengths->items, lengths->count, sizeof *lengths->items, compare_lengths);
}

Status corpus_stats_create(CorpusStats **stats, const char *path, CorpusOptions options, const Wordpiece *wordpiece,
                           Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    CorpusReader *reader = NULL;
    CorpusStats *made = memory_allocate(1, sizeof *made);
    StatsPass pass = {.stats = made};
    *stats = made;
    made->path = memory_copy_string(path);
    made->labels = label_set_create();
    made->has_pieces = wordpiece != NULL;
    TRY(corpus_reader_open(&reader, path, options, NULL, NULL, diagnostic));
    for (const CorpusSentence *sentence;;) {
        TRY(corpus_reader_next(reader, &sentence, diagnostic));
        if (!sentence)
            break;
        TRY(sentence_add(&pass, sentence, wordpiece, diagnostic));
    }
    made->scheme = scheme_guess_result(&pass.guess);
    lengths_sort(&made->token_lengths);
    lengths_sort(&made->piece_lengths);
    if (made->types.count > 0)
        qsort(made->types.items, made->types.count, sizeof *made->types.items, compare_types);
out:
    corpus_reader_close(&reader);
    pass_free(&pass);
    if (status != STATUS_OK)
        corpus_stats_destroy(stats);
    return status;
}

void corpus_stats_destroy(CorpusStats **stats)
{
    CorpusStats *ended = *stats;
    *stats = NULL;
    if (!ended)
        return;
    for (size_t i = 0; i < ended->types.count; i++) {
        free(ended->types.items[i].name);
        hash_set_free(&ended->types.items[i].forms);
    }
    array_free(&ended->types);
    array_free(&ended->label_counts);
    array_free(&ended->token_lengths);
    array_free(&ended->piece_lengths);
    array_free(&ended->sentence_hashes);
    hash_set_free(&ended->distinct);
    label_set_destroy(&ended->labels);
    free(ended->path);
    free(ended);
}

/* Of sorted lengths; the median of an even number of them is the mean of both middle ones, p95 the smallest that 95% are not above. */
static Json *lengths_json(const Int32Array *lengths)
{
    Json *json = json_object();
    size_t count = lengths->count;
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += lengths->items[i];
    json_set(json, "mean", json_real(count ? sum / (double)count : 0));
    json_set(json, "median", json_real(count ? 0.5 * lengths->items[(count - 1) / 2] + 0.5 * lengths->items[count / 2] : 0));
    json_set(json, "p95", json_integer(count ? lengths->items[(count * 95 + 99) / 100 - 1] : 0));
    json_set(json, "max", json_integer(count ? lengths->items[count - 1] : 0));
    return json;
}

static Json *label_counts_json(const CorpusStats *stats)
{
    LabelSet *sorted = label_set_copy(stats->labels);
    label_set_sort(sorted, NULL);
    Json *json = json_object();
    for (int32_t id = 0; id < label_set_count(sorted); id++) {
        const char *name = label_set_name(sorted, id);
        json_set(json, name, json_integer(stats->label_counts.items[label_set_find(stats->labels, name)]));
    }
    label_set_destroy(&sorted);
    return json;
}

Json *corpus_stats_json(const CorpusStats *stats, const CorpusStats *train)
{
    Json *json = json_object(), *by_type = json_object(), *diversity = json_object();
    for (size_t i = 0; i < stats->types.count; i++) {
        const TypeStats *type = &stats->types.items[i];
        json_set(by_type, type->name, json_integer(type->spans));
        json_set(diversity, type->name, json_real((double)type->forms.count / (double)type->spans));
    }
    json_set(json, "file", json_string(stats->path));
    json_set(json, "sentences", json_integer(stats->sentences));
    json_set(json, "tokens", json_integer(stats->tokens));
    json_set(json, "spans", json_integer(stats->spans));
    json_set(json, "spans_by_type", by_type);
    json_set(json, "labels", label_counts_json(stats));
    json_set(json, "scheme", json_string(label_scheme_name(stats->scheme)));
    json_set(json, "length", lengths_json(&stats->token_lengths));
    if (stats->has_pieces) {
        Json *pieces = lengths_json(&stats->piece_lengths);
        json_set(pieces, "unk", json_integer(stats->unk_pieces));
        json_set(json, "pieces", pieces);
    }
    json_set(json, "duplicate_sentences", json_integer(stats->sentences - (int64_t)stats->distinct.count));
    json_set(json, "span_diversity", diversity);
    if (train) {
        int64_t overlap = 0;
        for (size_t i = 0; i < stats->sentence_hashes.count; i++)
            overlap += hash_set_has(&train->distinct, stats->sentence_hashes.items[i]);
        json_set(json, "overlap_with_train", json_integer(overlap));
    }
    return json;
}
