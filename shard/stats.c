/* Statistics of a corpus file, gathered in one pass: hashes and counts are kept, never the text. */
#include <stdlib.h>
#include <string.h>

#include "core/io/hash.h"
#include "shard/stats_internal.h"

/* What one pass needs beside the results. */
typedef struct StatsPass {
    CorpusStats *stats;
    const CorpusStatsOptions *options;
    size_t hash_limit;
    LabelTable *table;   /* of stats->labels as they are now */
    Int32Array type_ids; /* [table->type_count] index in stats->types; -1: not met yet */
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
    array_free(&pass->type_ids);
    array_free(&pass->label_texts);
    array_free(&pass->label_ids);
    array_free(&pass->spans);
    text_free(&pass->joined);
    wordpiece_output_free(&pass->pieces);
}

static void length_add(LengthCounts *lengths, int64_t length)
{
    size_t slot = length < STATS_LENGTH_LIMIT ? (size_t)length : STATS_LENGTH_LIMIT;
    while (lengths->counts.count <= slot)
        array_push(&lengths->counts, 0);
    lengths->counts.items[slot]++;
    lengths->total++;
    lengths->sum += length;
    lengths->max = length > lengths->max ? length : lengths->max;
}

/* Adds a hash while there is room. *count (of all sets that share the room) rises when it is new. True when it was there before. */
static bool hash_met(StatsPass *pass, HashSet *set, size_t *count, uint64_t hash)
{
    if (hash_set_has(set, hash))
        return true;
    if (*count >= pass->hash_limit) {
        pass->stats->limit_reached = true;
        return false;
    }
    ++*count;
    hash_set_add(set, hash);
    return false;
}

static Status table_make(StatsPass *pass, Diagnostic *diagnostic)
{
    label_table_destroy(&pass->table);
    Status status = label_table_create(&pass->table, pass->stats->labels, diagnostic);
    pass->type_ids.count = 0;
    for (int32_t type = 0; status == STATUS_OK && type < pass->table->type_count; type++)
        array_push(&pass->type_ids, -1);
    return status;
}

static Status label_add(StatsPass *pass, const CorpusToken *token, Diagnostic *diagnostic)
{
    CorpusStats *stats = pass->stats;
    LabelParts parts;
    int32_t id = label_set_find(stats->labels, token->label);
    if (id < 0 && !label_split(token->label, &parts))
        return FAIL_AT(diagnostic, STATUS_INVALID_INPUT, stats->path, token->line, token->label_column,
                       "\"%.64s\" is no label: expected O, or B-, I-, E-, S-, L- or U- and a type [unknown-prefix]", token->label);
    if (id < 0 && label_set_count(stats->labels) == STATS_LABEL_LIMIT)
        return FAIL_AT(diagnostic, STATUS_LIMIT, stats->path, token->line, token->label_column,
                       "\"%.64s\" is one label more than the %d that a file may have: is this the column of the labels?",
                       token->label, STATS_LABEL_LIMIT);
    if (id < 0) {
        id = label_set_add(stats->labels, token->label);
        array_push(&stats->label_counts, 0);
    }
    stats->label_counts.items[id]++;
    array_push(&pass->label_ids, id);
    array_push(&pass->label_texts, token->label);
    return STATUS_OK;
}

static Status labels_add(StatsPass *pass, const CorpusSentence *sentence, Diagnostic *diagnostic)
{
    int32_t known = label_set_count(pass->stats->labels);
    pass->label_ids.count = pass->label_texts.count = 0;
    for (int32_t i = 0; i < sentence->token_count; i++) {
        Status status = label_add(pass, &sentence->tokens[i], diagnostic);
        if (status != STATUS_OK)
            return status;
    }
    scheme_guess_add(&pass->guess, pass->label_texts.items, sentence->token_count);
    bool fits = pass->table && label_set_count(pass->stats->labels) == known;
    return fits ? STATUS_OK : table_make(pass, diagnostic);
}

static void sentence_join(Text *joined, const CorpusSentence *sentence, int32_t start, int32_t end)
{
    text_clear(joined);
    for (int32_t i = start; i < end; i++) {
        text_append(joined, sentence->tokens[i].text, sentence->tokens[i].text_size);
        text_append(joined, "\n", 1); /* no token holds one */
    }
}

static int32_t type_find(const CorpusStats *stats, const char *name)
{
    for (size_t i = 0; i < stats->types.count; i++)
        if (strcmp(stats->types.items[i].name, name) == 0)
            return (int32_t)i;
    return -1;
}

/* The statistics of a type of the table, begun when it is met first. */
static TypeStats *type_of(StatsPass *pass, int32_t table_type)
{
    CorpusStats *stats = pass->stats;
    int32_t *id = &pass->type_ids.items[table_type];
    const char *name = pass->table->type_names[table_type];
    if (*id < 0)
        *id = type_find(stats, name);
    if (*id < 0) {
        TypeStats type = {.name = memory_copy_string(name)};
        const CorpusStats *train = pass->options->earlier_count > 0 ? pass->options->earlier[0] : NULL;
        int32_t in_train = train ? type_find(train, name) : -1;
        if (in_train >= 0)
            type.train_forms = &train->types.items[in_train].forms;
        *id = (int32_t)stats->types.count;
        array_push(&stats->types, type);
    }
    return &stats->types.items[*id];
}

static void spans_add(StatsPass *pass, const CorpusSentence *sentence)
{
    CorpusStats *stats = pass->stats;
    pass->spans.count = 0;
    spans_extract_default(pass->table, pass->label_ids.items, sentence->token_count, &pass->spans);
    stats->spans += (int64_t)pass->spans.count;
    stats->all_o_sentences += pass->spans.count == 0;
    for (size_t i = 0; i < pass->spans.count; i++) {
        const Span *span = &pass->spans.items[i];
        TypeStats *type = type_of(pass, span->type);
        sentence_join(&pass->joined, sentence, span->start, span->end);
        uint64_t hash = checksum64(pass->joined.bytes, pass->joined.size);
        bool unseen = pass->options->earlier_count > 0 && !(type->train_forms && hash_set_has(type->train_forms, hash));
        type->spans++;
        type->tokens += span->end - span->start;
        type->unseen += unseen;
        stats->unseen += unseen;
        length_add(&stats->span_lengths, span->end - span->start);
        hash_met(pass, &type->forms, &stats->form_count, hash);
    }
}

static Status pieces_add(StatsPass *pass, const CorpusSentence *sentence, Diagnostic *diagnostic)
{
    const Wordpiece *wordpiece = pass->options->wordpiece;
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
    length_add(&pass->stats->piece_lengths, (int64_t)pass->pieces.ids.count);
    return STATUS_OK;
}

static void distinct_add(StatsPass *pass, const CorpusSentence *sentence)
{
    CorpusStats *stats = pass->stats;
    for (int32_t i = 0; i < sentence->token_count; i++) {
        const CorpusToken *token = &sentence->tokens[i];
        size_t tokens = stats->distinct_tokens.count;
        hash_met(pass, &stats->distinct_tokens, &tokens, checksum64(token->text, token->text_size));
    }
    sentence_join(&pass->joined, sentence, 0, sentence->token_count);
    uint64_t hash = checksum64(pass->joined.bytes, pass->joined.size);
    size_t sentences = stats->distinct_sentences.count;
    stats->duplicate_sentences += hash_met(pass, &stats->distinct_sentences, &sentences, hash);
    for (size_t i = 0; i < pass->options->earlier_count; i++)
        stats->overlaps.items[i].sentences += hash_set_has(&pass->options->earlier[i]->distinct_sentences, hash);
}

static Status sentence_add(StatsPass *pass, const CorpusSentence *sentence, Diagnostic *diagnostic)
{
    Status status = labels_add(pass, sentence, diagnostic);
    if (status == STATUS_OK && pass->options->wordpiece)
        status = pieces_add(pass, sentence, diagnostic);
    if (status != STATUS_OK)
        return status;
    pass->stats->sentences++;
    pass->stats->tokens += sentence->token_count;
    length_add(&pass->stats->token_lengths, sentence->token_count);
    spans_add(pass, sentence);
    distinct_add(pass, sentence);
    return STATUS_OK;
}

static int compare_types(const void *a, const void *b)
{
    return strcmp(((const TypeStats *)a)->name, ((const TypeStats *)b)->name);
}

static CorpusStats *stats_begin(const char *path, const CorpusStatsOptions *options)
{
    CorpusStats *stats = memory_allocate(1, sizeof *stats);
    stats->path = memory_copy_string(path);
    stats->labels = label_set_create();
    stats->has_pieces = options->wordpiece != NULL;
    stats->window_pieces = options->window_pieces;
    for (size_t i = 0; i < options->earlier_count; i++) {
        FileOverlap overlap = {.path = memory_copy_string(options->earlier[i]->path)};
        array_push(&stats->overlaps, overlap);
        stats->limit_reached |= options->earlier[i]->limit_reached;
    }
    return stats;
}

Status corpus_stats_create(CorpusStats **stats, const char *path, const CorpusStatsOptions *options, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    CorpusReader *reader = NULL;
    CorpusStats *made = stats_begin(path, options);
    StatsPass pass = {
        .stats = made, .options = options, .hash_limit = options->hash_limit ? options->hash_limit : STATS_HASH_LIMIT};
    *stats = made;
    TRY(corpus_reader_open(&reader, path, options->corpus, NULL, NULL, diagnostic));
    for (const CorpusSentence *sentence;;) {
        TRY(corpus_reader_next(reader, &sentence, diagnostic));
        if (!sentence)
            break;
        TRY(sentence_add(&pass, sentence, diagnostic));
    }
    made->scheme = scheme_guess_result(&pass.guess);
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
    for (size_t i = 0; i < ended->overlaps.count; i++)
        free(ended->overlaps.items[i].path);
    array_free(&ended->types);
    array_free(&ended->overlaps);
    array_free(&ended->label_counts);
    array_free(&ended->token_lengths.counts);
    array_free(&ended->piece_lengths.counts);
    array_free(&ended->span_lengths.counts);
    hash_set_free(&ended->distinct_sentences);
    hash_set_free(&ended->distinct_tokens);
    label_set_destroy(&ended->labels);
    free(ended->path);
    free(ended);
}
