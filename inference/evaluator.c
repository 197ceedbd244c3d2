#include "inference/evaluator.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_BATCH_PIECES = 4096 };

typedef ARRAY(ShardWindow) ShardWindowArray;
typedef ARRAY(ShardSequence) ShardSequenceArray;

/* One run over a part of a split. Sequences go through in groups: all of their windows in as few blocks as the batch size allows, then
 * decoded one by one, so that memory is bounded by the batch or by the longest sequence. */
typedef struct Pass {
    Model *model;
    const ShardStore *store;
    int32_t split;
    const EvaluationOptions *options;
    Evaluation *evaluation;
    LabelTable *table;
    Transitions *transitions; /* NULL: argmax */
    int32_t label_count;      /* C */
    int64_t batch_pieces;
    int32_t sequence_limit; /* windows in one block */
    ShardWindowArray windows;
    ShardSequenceArray sequences;
    int64_t pieces;    /* in windows */
    FloatArray logits; /* [pieces, C] */
    TokenBlock *block;
    bool *wanted; /* [batch_pieces] pieces of the block whose logits are looked at */
    ARRAY(TokenDecision) decisions;
    ARRAY(WindowDecisions) window_decisions;
    SpanArray gold, predicted;
    ScoredSpanArray scored;
    Int32Array labels;
    Arena *arena; /* of what is read for a group */
} Pass;

Status evaluation_label_table(LabelTable **table, const ShardStore *store, Diagnostic *diagnostic)
{
    return label_table_create(table, shard_store_all_labels(store), diagnostic);
}

/* First sequence of a part: cut where the pieces before it reach the part's share, never inside a sequence. */
static Status part_begin(const Pass *pass, int32_t part, int64_t *sequence, Diagnostic *diagnostic)
{
    int64_t window_count = shard_window_count(pass->store, pass->split);
    const ShardWindowInfo *infos = shard_window_infos(pass->store, pass->split);
    *sequence = 0;
    if (part == 0)
        return STATUS_OK;
    *sequence = shard_sequence_count(pass->store, pass->split);
    int64_t total = 0, before = 0, window = 0;
    for (int64_t w = 0; w < window_count; w++)
        total += infos[w].length;
    int64_t share = total / pass->options->part_count * part + total % pass->options->part_count * part / pass->options->part_count;
    while (window < window_count && before < share)
        before += infos[window++].length;
    if (part == pass->options->part_count || window == window_count)
        return STATUS_OK;
    ShardWindow read;
    Status status = shard_window_read(pass->store, pass->split, window, pass->arena, &read, diagnostic);
    if (status == STATUS_OK)
        *sequence = read.sequence;
    return status;
}

void evaluation_block(const ShardStore *store, int32_t split, int64_t batch_pieces, int64_t *pieces, int32_t *sequences)
{
    int64_t window_count = shard_window_count(store, split);
    const ShardWindowInfo *infos = shard_window_infos(store, split);
    int64_t longest = EVALUATION_SHORTEST_WINDOW, total = 0;
    for (int64_t w = 0; w < window_count; w++) {
        longest = infos[w].length > longest ? infos[w].length : longest;
        total += infos[w].length;
    }
    int64_t wanted = batch_pieces > 0 ? batch_pieces : DEFAULT_BATCH_PIECES;
    wanted = wanted < total ? wanted : total;
    *pieces = wanted > longest ? wanted : longest;
    int64_t most = *pieces / EVALUATION_SHORTEST_WINDOW;
    *sequences = (int32_t)(most < window_count ? most : window_count);
    if (*sequences < 1)
        *sequences = 1;
}

static Status pass_plan(Pass *pass, Diagnostic *diagnostic)
{
    evaluation_block(pass->store, pass->split, pass->options->batch_pieces, &pass->batch_pieces, &pass->sequence_limit);
    if (pass->batch_pieces > INT32_MAX)
        return FAIL(diagnostic, STATUS_LIMIT, "an evaluation batch of %" PRId64 " pieces is too large", pass->batch_pieces);
    return model_plan(pass->model, (int32_t)pass->batch_pieces, pass->sequence_limit, false, diagnostic);
}

/* A token is decided by its first piece, and the loss counts what has a label: no other logits are needed. */
static void window_wanted(const Pass *pass, const ShardWindow *window, bool *wanted)
{
    int32_t last = -1;
    for (int32_t i = 0; i < window->length; i++) {
        int32_t token = window->token_index[i];
        wanted[i] = (token >= 0 && token != last) || (pass->options->want_loss && window->labels[i] != TOKEN_LABEL_IGNORED);
        last = token >= 0 ? token : last;
    }
}

/* Logits of all windows of the group, block by block. */
static Status group_forward(Pass *pass, Diagnostic *diagnostic)
{
    size_t width = (size_t)pass->label_count;
    array_reserve(&pass->logits, (size_t)pass->pieces * width);
    int64_t done = 0;
    for (size_t w = 0; w < pass->windows.count;) {
        if (pass->options->interrupted && *pass->options->interrupted)
            return FAIL(diagnostic, STATUS_INTERRUPTED, "evaluation of %s was interrupted",
                        shard_split_name(pass->store, pass->split));
        token_block_clear(pass->block);
        for (; w < pass->windows.count && pass->block->sequence_count < pass->sequence_limit; w++) {
            const ShardWindow *window = &pass->windows.items[w];
            if (pass->block->piece_count + window->length > pass->batch_pieces)
                break;
            window_wanted(pass, window, pass->wanted + pass->block->piece_count);
            token_block_append(pass->block, window->ids, NULL, 1.0f, window->length, (uint32_t)pass->block->sequence_count);
        }
        Status status =
            model_forward(pass->model, pass->block, pass->wanted, pass->logits.items + (size_t)done * width, diagnostic);
        if (status != STATUS_OK)
            return status;
        done += pass->block->piece_count;
        if (pass->options->on_progress)
            pass->options->on_progress(pass->options->context, pass->evaluation->sequences,
                                       shard_sequence_count(pass->store, pass->split));
    }
    return STATUS_OK;
}

static void window_loss(Pass *pass, const ShardWindow *window, const float *logits, double *loss)
{
    for (int32_t i = 0; i < window->length; i++) {
        int32_t label = window->labels[i];
        if (label == TOKEN_LABEL_IGNORED)
            continue;
        const float *row = logits + (size_t)i * (size_t)pass->label_count;
        double largest = row[0], sum = 0;
        for (int32_t c = 1; c < pass->label_count; c++)
            largest = (double)row[c] > largest ? (double)row[c] : largest;
        for (int32_t c = 0; c < pass->label_count; c++)
            sum += exp((double)row[c] - largest);
        *loss += largest + log(sum) - (double)row[label];
        pass->evaluation->labelled_pieces++;
    }
}

/* The tokens for which a window has the most context: those whose first piece it owns. */
static void window_owned_tokens(const ShardWindow *window, WindowDecisions *decisions)
{
    decisions->owned_first = decisions->owned_end = decisions->token_end;
    bool any = false;
    for (int32_t i = 0, last = -1; i < window->length; i++) {
        int32_t token = window->token_index[i];
        if (token < 0 || token == last)
            continue;
        last = token;
        if (i < window->owned_first || i >= window->owned_end)
            continue;
        if (!any)
            decisions->owned_first = token;
        any = true;
        decisions->owned_end = token + 1;
    }
}

static Status sequence_check(const Pass *pass, const ShardSequence *sequence, int64_t index, Diagnostic *diagnostic)
{
    int32_t all = label_set_count(shard_store_all_labels(pass->store));
    for (int32_t t = 0; t < sequence->token_count; t++) {
        if (sequence->gold[t] < 0 || sequence->gold[t] >= all)
            return FAIL(diagnostic, STATUS_CORRUPT, "shards: split %s, sequence %" PRId64 ": gold label %d is none of %d",
                        shard_split_name(pass->store, pass->split), index, sequence->gold[t], all);
    }
    return STATUS_OK;
}

/* Every window's decisions, one after another; the pointers are set at the end since the array may move. */
static Status sequence_decide(Pass *pass, const ShardSequence *sequence, const ShardWindow *windows, const float *logits,
                              Diagnostic *diagnostic)
{
    pass->window_decisions.count = pass->decisions.count = 0;
    double loss = 0;
    for (int32_t w = 0; w < sequence->window_count; w++) {
        const ShardWindow *window = &windows[w];
        for (int32_t i = 0; i < window->length; i++) {
            if (window->token_index[i] >= sequence->token_count)
                return FAIL(diagnostic, STATUS_CORRUPT, "shards: split %s: a window points to token %d of %d",
                            shard_split_name(pass->store, pass->split), window->token_index[i], sequence->token_count);
        }
        array_reserve(&pass->decisions, pass->decisions.count + (size_t)sequence->token_count + 1);
        WindowDecisions decided = {0};
        window_decode(logits, window->token_index, window->length, pass->label_count, pass->transitions, sequence->token_count,
                      &decided.token_first, &decided.token_end, pass->decisions.items + pass->decisions.count);
        window_owned_tokens(window, &decided);
        pass->decisions.count += (size_t)(decided.token_end - decided.token_first);
        array_push(&pass->window_decisions, decided);
        if (pass->options->want_loss)
            window_loss(pass, window, logits, &loss);
        logits += (size_t)window->length * (size_t)pass->label_count;
        pass->evaluation->pieces += window->length;
    }
    const TokenDecision *decisions = pass->decisions.items;
    for (size_t w = 0; w < pass->window_decisions.count; w++) {
        pass->window_decisions.items[w].decisions = decisions;
        decisions += pass->window_decisions.items[w].token_end - pass->window_decisions.items[w].token_first;
    }
    pass->evaluation->loss_sum += loss;
    return STATUS_OK;
}

static void sequence_score(Pass *pass, const ShardSequence *sequence, int64_t index)
{
    bool strict = pass->options->metric_mode == METRIC_STRICT;
    LabelScheme scheme = shard_store_scheme(pass->store);
    pass->scored.count = pass->gold.count = pass->predicted.count = 0;
    array_reserve(&pass->labels, (size_t)sequence->token_count + 1);
    if (strict) {
        spans_extract_strict(pass->table, scheme, sequence->gold, sequence->token_count, &pass->gold);
        spans_merge_windows_strict(pass->table, scheme, pass->window_decisions.items, pass->window_decisions.count,
                                   sequence->token_count, pass->options->merge, &pass->scored, pass->labels.items);
    } else {
        spans_extract_default(pass->table, sequence->gold, sequence->token_count, &pass->gold);
        spans_merge_windows(pass->table, pass->window_decisions.items, pass->window_decisions.count, sequence->token_count,
                            pass->options->merge, &pass->scored, pass->labels.items);
    }
    for (size_t i = 0; i < pass->scored.count; i++)
        array_push(&pass->predicted, pass->scored.items[i].span);
    score_counts_add(pass->evaluation->counts, pass->gold.items, pass->gold.count, pass->predicted.items, pass->predicted.count);
    score_counts_add_tokens(pass->evaluation->counts, sequence->gold, pass->labels.items, sequence->token_count);
    if (pass->options->on_sequence)
        pass->options->on_sequence(pass->options->context, index, &pass->gold, &pass->scored);
    pass->evaluation->sequences++;
}

/* Forward, decode and score what was gathered; the group is empty afterwards. first: index of its first sequence. */
static Status group_run(Pass *pass, int64_t first, Diagnostic *diagnostic)
{
    Status status = group_forward(pass, diagnostic);
    const float *logits = pass->logits.items;
    const ShardWindow *windows = pass->windows.items;
    for (size_t s = 0; s < pass->sequences.count && status == STATUS_OK; s++) {
        const ShardSequence *sequence = &pass->sequences.items[s];
        status = sequence_decide(pass, sequence, windows, logits, diagnostic);
        if (status != STATUS_OK)
            break;
        sequence_score(pass, sequence, first + (int64_t)s);
        for (int32_t w = 0; w < sequence->window_count; w++)
            logits += (size_t)windows[w].length * (size_t)pass->label_count;
        windows += sequence->window_count;
    }
    pass->windows.count = pass->sequences.count = 0;
    pass->pieces = 0;
    arena_reset(pass->arena);
    return status;
}

static Status group_add(Pass *pass, const ShardSequence *sequence, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    for (int32_t w = 0; status == STATUS_OK && w < sequence->window_count; w++) {
        ShardWindow window;
        status = shard_window_read(pass->store, pass->split, sequence->first_window + w, pass->arena, &window, diagnostic);
        if (status != STATUS_OK)
            break;
        array_push(&pass->windows, window);
        pass->pieces += window.length;
    }
    if (status == STATUS_OK)
        array_push(&pass->sequences, *sequence);
    return status;
}

/* All sequences of [begin, end) in groups that fill one block each; a sequence longer than a block is a group of its own. */
static Status pass_run(Pass *pass, int64_t begin, int64_t end, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const ShardWindowInfo *infos = shard_window_infos(pass->store, pass->split);
    for (int64_t index = begin; index < end; index++) {
        ShardSequence sequence;
        TRY(shard_sequence_read(pass->store, pass->split, index, pass->arena, &sequence, diagnostic));
        TRY(sequence_check(pass, &sequence, index, diagnostic));
        int64_t pieces = 0;
        for (int32_t w = 0; w < sequence.window_count; w++)
            pieces += infos[sequence.first_window + w].length;
        if (pass->pieces > 0 && pass->pieces + pieces > pass->batch_pieces) {
            TRY(group_run(pass, index - (int64_t)pass->sequences.count, diagnostic));
            TRY(shard_sequence_read(pass->store, pass->split, index, pass->arena, &sequence,
                                    diagnostic)); /* it went with the group */
        }
        TRY(group_add(pass, &sequence, diagnostic));
    }
    TRY(group_run(pass, end - (int64_t)pass->sequences.count, diagnostic));
out:
    return status;
}

static void pass_free(Pass *pass)
{
    label_table_destroy(&pass->table);
    transitions_destroy(&pass->transitions);
    token_block_destroy(&pass->block);
    free(pass->wanted);
    array_free(&pass->windows);
    array_free(&pass->sequences);
    array_free(&pass->logits);
    array_free(&pass->decisions);
    array_free(&pass->window_decisions);
    array_free(&pass->gold);
    array_free(&pass->predicted);
    array_free(&pass->scored);
    array_free(&pass->labels);
    arena_destroy(&pass->arena);
}

static Status pass_check(const Pass *pass, Diagnostic *diagnostic)
{
    const LabelSet *labels = shard_store_labels(pass->store);
    if (label_set_count(labels) != pass->label_count)
        return FAIL(diagnostic, STATUS_MISMATCH,
                    "the model has %d labels, the shards were made with %d: make the shards for this model", pass->label_count,
                    label_set_count(labels));
    const BertConfig *config = model_config(pass->model);
    for (int32_t i = 0; i < pass->label_count; i++) {
        if (config->labels && strcmp(config->labels[i], label_set_name(labels, i)) != 0)
            return FAIL(diagnostic, STATUS_MISMATCH,
                        "label %d is \"%s\" in the model and \"%s\" in the shards: make the shards for this model", i,
                        config->labels[i], label_set_name(labels, i));
    }
    return STATUS_OK;
}

Status evaluation_run(Evaluation *evaluation, Model *model, const ShardStore *store, int32_t split,
                      const EvaluationOptions *options, Diagnostic *diagnostic)
{
    ASSERT(options->part >= 0 && options->part < options->part_count);
    *evaluation = (Evaluation){0};
    Pass pass = {.model = model, .store = store, .split = split, .options = options, .evaluation = evaluation};
    pass.label_count = model_config(model)->label_count;
    Status status = STATUS_OK;
    TRY(pass_check(&pass, diagnostic));
    TRY(evaluation_label_table(&pass.table, store, diagnostic));
    if (options->decode == DECODE_VITERBI)
        pass.transitions = transitions_create(pass.table, pass.label_count, shard_store_scheme(store));
    evaluation->counts = score_counts_create(pass.table->type_count);
    TRY(pass_plan(&pass, diagnostic));
    pass.wanted = memory_allocate((size_t)pass.batch_pieces, sizeof *pass.wanted);
    pass.block = token_block_create((int32_t)pass.batch_pieces, pass.sequence_limit);
    pass.arena = arena_create(1 << 16);
    int64_t begin, end;
    TRY(part_begin(&pass, options->part, &begin, diagnostic));
    TRY(part_begin(&pass, options->part + 1, &end, diagnostic));
    TRY(pass_run(&pass, begin, end, diagnostic));
out:
    pass_free(&pass);
    if (status != STATUS_OK) {
        diagnostic_prefix(diagnostic, "evaluating %s", shard_split_name(store, split));
        evaluation_free(evaluation);
    }
    return status;
}

void evaluation_free(Evaluation *evaluation)
{
    score_counts_destroy(&evaluation->counts);
}
