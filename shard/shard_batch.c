#include "shard/shard_batch.h"

#include <stdlib.h>

#include "shard/shard_survey.h"

_Static_assert((int)SEQUENCE_TEXT_SLACK >= (int)WORDPIECE_TOKEN_SLACK, "texts of a batch are tokens to be aligned");

/* A batch in work. */
typedef struct Making {
    BatchWork *work;
    const BatchRules *rules;
    const SequenceBatch *batch;
} Making;

BatchRules batch_rules(const Wordpiece *wordpiece, const ShardMetadata *metadata, const char *path, bool voted, uint16_t source)
{
    return (BatchRules){.wordpiece = wordpiece,
                        .metadata = metadata,
                        .path = path,
                        .voted = voted,
                        .records = {.specials = wordpiece_specials(wordpiece),
                                    .outside = label_set_find(metadata->labels, "O"),
                                    .later_piece = label_set_find(metadata->labels, LABEL_LATER_PIECE),
                                    .source = source}};
}

void batch_work_free(BatchWork *work)
{
    shard_records_free(&work->records);
    aligned_pieces_free(&work->pieces);
    array_free(&work->windows);
    array_free(&work->gold);
    array_free(&work->token_labels);
    array_free(&work->gold_of_name);
    array_free(&work->label_of_name);
    array_free(&work->texts);
    array_free(&work->sizes);
    *work = (BatchWork){0};
}

static Status violation_fail(const Making *making, Diagnostic *diagnostic)
{
    const SequenceBatch *batch = making->batch;
    int32_t violation = making->work->violation;
    const TokenPlace *place = &batch->places.items[violation];
    return FAIL_AT(diagnostic, STATUS_INVALID_INPUT, making->rules->path, (long)place->line, place->label_column,
                   "\"%.64s\" is not allowed here by the scheme %s: mend it, or go on without strict",
                   label_set_name(batch->names, batch->labels_written.items[violation]),
                   label_scheme_name(making->rules->metadata->scheme));
}

/* In a strict build, where the sequence is reached: which of two errors is told does not depend on where batches end. */
static bool is_forbidden(const Making *making, const Sequence *sequence)
{
    int32_t violation = making->work->violation;
    return making->rules->metadata->options.strict && violation >= 0 && violation < sequence->first_token + sequence->token_count;
}

/* Labels of the batch as those of the store. */
static void names_take(const Making *making)
{
    BatchWork *work = making->work;
    const LabelSet *names = making->batch->names, *all = making->rules->metadata->all_labels;
    work->gold_of_name.count = work->label_of_name.count = 0;
    work->outside = label_set_find(all, "O");
    for (int32_t name = 0; name < label_set_count(names); name++) {
        array_push(&work->gold_of_name, label_set_find(all, label_set_name(names, name)));
        array_push(&work->label_of_name, label_set_find(making->rules->metadata->labels, label_set_name(names, name)));
    }
}

/* The first token of a sequence whose label the first pass has not seen. */
static Status label_is_new(const Making *making, const Sequence *sequence, Diagnostic *diagnostic)
{
    const SequenceBatch *batch = making->batch;
    int32_t token = sequence->first_token;
    for (const int32_t *gold = making->work->gold.items; *gold >= 0; gold++)
        token++;
    int32_t name = batch->labels.items[token];
    return FAIL_AT(diagnostic, STATUS_INVALID_INPUT, making->rules->path, (long)batch->places.items[token].line,
                   batch->places.items[token].label_column, "the file was changed while it was read: the label \"%.64s\" is new",
                   name < 0 ? "O" : label_set_name(batch->names, name));
}

/* Tokens and labels of one sequence as aligning and the store want them. */
static Status sequence_take(const Making *making, const Sequence *sequence, Diagnostic *diagnostic)
{
    BatchWork *work = making->work;
    const SequenceBatch *batch = making->batch;
    size_t count = (size_t)sequence->token_count, first = (size_t)sequence->first_token;
    bool all_known = true;
    array_reserve(&work->texts, count);
    array_reserve(&work->sizes, count);
    array_reserve(&work->gold, count);
    array_reserve(&work->token_labels, count);
    for (size_t i = 0; i < count; i++) {
        int32_t name = batch->labels.items[first + i];
        work->texts.items[i] = batch->bytes.bytes + batch->text_offsets.items[first + i];
        work->sizes.items[i] = batch->text_sizes.items[first + i];
        work->gold.items[i] = name < 0 ? work->outside : work->gold_of_name.items[name];
        work->token_labels.items[i] = name < 0 ? -1 : work->label_of_name.items[name];
        all_known &= work->gold.items[i] >= 0;
    }
    return all_known ? STATUS_OK : label_is_new(making, sequence, diagnostic);
}

/* Tokens [from, from + count) of the sequence that was taken. */
static Status tokens_align(const Making *making, int32_t from, int32_t count, Diagnostic *diagnostic)
{
    BatchWork *work = making->work;
    const ShardMetadata *metadata = making->rules->metadata;
    aligned_pieces_clear(&work->pieces);
    return align_tokens(making->rules->wordpiece, work->texts.items + from, work->sizes.items + from,
                        work->token_labels.items + from, count, metadata->labels, metadata->scheme, &metadata->options,
                        &work->pieces, diagnostic);
}

/* The place of the token that cannot be aligned, found again one by one. */
static Status align_fail(const Making *making, const Sequence *sequence, Status status, Diagnostic *diagnostic)
{
    int32_t guilty = 0;
    while (guilty < sequence->token_count && tokens_align(making, guilty, 1, NULL) == STATUS_OK)
        guilty++;
    guilty = guilty < sequence->token_count ? guilty : 0; /* all of them together are too many */
    Diagnostic found = diagnostic ? *diagnostic : (Diagnostic){0};
    return FAIL_AT(diagnostic, status, making->rules->path, (long)making->batch->places.items[sequence->first_token + guilty].line,
                   1, "%s", found.message);
}

static void counts_take(const Making *making, const Sequence *sequence)
{
    const BatchWork *work = making->work;
    ShardCounts *counts = &making->work->counts;
    int32_t unk = wordpiece_specials(making->rules->wordpiece)->unk;
    int32_t unk_pieces = 0, unlabelled = 0;
    for (size_t i = 0; i < work->pieces.ids.count; i++)
        unk_pieces += work->pieces.ids.items[i] == unk;
    for (int32_t i = sequence->first_token; i < sequence->first_token + sequence->token_count; i++)
        unlabelled += making->batch->labels.items[i] == SEQUENCE_UNLABELLED;
    counts->sequences++;
    counts->sentences += sequence->sentence_count;
    counts->tokens += sequence->token_count;
    counts->windows += (int64_t)work->windows.count;
    counts->pieces += (int64_t)work->pieces.ids.count;
    counts->zero_piece_tokens += work->pieces.zero_piece_tokens;
    counts->unk_pieces += unk_pieces;
    if (making->rules->metadata->options.zero_piece == ZERO_PIECE_UNK)
        counts->unk_pieces -= work->pieces.zero_piece_tokens;
    counts->unlabelled_tokens += unlabelled;
}

static Status sequence_make(const Making *making, const Sequence *sequence, Diagnostic *diagnostic)
{
    BatchWork *work = making->work;
    const DataOptions *options = &making->rules->metadata->options;
    if (is_forbidden(making, sequence))
        return violation_fail(making, diagnostic);
    Status status = sequence_take(making, sequence, diagnostic);
    if (status != STATUS_OK)
        return status;
    status = tokens_align(making, 0, sequence->token_count, diagnostic);
    if (status != STATUS_OK)
        return align_fail(making, sequence, status, diagnostic);
    work->windows.count = 0;
    windows_cut(work->pieces.token_index.items, (int32_t)work->pieces.ids.count, options->max_seq_length, options->stride,
                &work->windows);
    counts_take(making, sequence);
    shard_records_add(&work->records, &making->rules->records, making->batch, sequence, work->gold.items, &work->pieces,
                      &work->windows);
    return STATUS_OK;
}

Status batch_work(BatchWork *work, const BatchRules *rules, const SequenceBatch *batch, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Making making = {work, rules, batch};
    work->counts = (ShardCounts){0};
    shard_records_clear(&work->records);
    names_take(&making);
    work->violation = rules->voted ? -1 : survey_first_violation(rules->metadata->scheme, batch);
    for (size_t s = 0; s < batch->sequences.count && status == STATUS_OK; s++)
        status = sequence_make(&making, &batch->sequences.items[s], diagnostic);
    return status;
}
