/* nersweep inspect: what training will see, piece by piece; or a trial's batch plan. */
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/sequence_view.h"
#include "core/base/log.h"
#include "shard/batch_plan.h"
#include "shard/shard_store.h"

typedef struct InspectFlags {
    char *split, *vocab, *contains;
    int64_t n, index, epoch;
    bool with_entities, plan, json;
} InspectFlags;

static const OptionDescriptor inspect_descriptors[] = {
    FLAG_STRING(InspectFlags, split, "train (default), dev:NAME or test"),
    FLAG_INTEGER(InspectFlags, n, 1, 1000000, "5", "sequences, or steps of the plan, to show"),
    FLAG_INTEGER(InspectFlags, index, -1, 1e15, "-1", "begin with this sequence of the split, from 0; -1: with the first"),
    FLAG_STRING(InspectFlags, contains, "only sequences whose tokens, joined by spaces, hold this text"),
    FLAG_BOOLEAN(InspectFlags, with_entities, "only sequences with a label other than O"),
    FLAG_STRING(InspectFlags, vocab, "vocab.txt: shows pieces as text instead of ids"),
    FLAG_BOOLEAN(InspectFlags, plan, "show the batch plan and its oversampling instead"),
    FLAG_INTEGER(InspectFlags, epoch, 0, 1000000, "0", "epoch of the plan"),
    FLAG_BOOLEAN(InspectFlags, json, "one JSON object per window or step"),
};
static const OptionTable inspect_table = {"Options", inspect_descriptors,
                                          sizeof inspect_descriptors / sizeof inspect_descriptors[0], sizeof(InspectFlags)};

static void print_step(const ShardWindowInfo *infos, int64_t step, const int64_t *windows, int32_t count, bool as_json)
{
    int64_t pieces = 0, spans = 0;
    for (int32_t i = 0; i < count; i++) {
        pieces += infos[windows[i]].length;
        spans += infos[windows[i]].has_span;
    }
    if (as_json) {
        Json *json = json_object(), *list = json_array();
        for (int32_t i = 0; i < count; i++)
            json_append(list, json_integer(windows[i]));
        json_set(json, "step", json_integer(step));
        json_set(json, "pieces", json_integer(pieces));
        json_set(json, "with_spans", json_integer(spans));
        json_set(json, "windows", list);
        command_print_json(&json, JSON_COMPACT);
        return;
    }
    printf("step %5lld: %4d windows, %6lld pieces, %3lld with spans:", (long long)step, count, (long long)pieces, (long long)spans);
    for (int32_t i = 0; i < count; i++)
        printf(" %lld", (long long)windows[i]);
    putchar('\n');
}

static Status show_plan(const ShardStore *store, int32_t split, const InspectFlags *flags, const TrainingOptions *training,
                        Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    BatchPlan *plan = NULL;
    TRY(training_options_validate(training, diagnostic));
    TRY(batch_plan_create(&plan, store, split, training, flags->epoch, diagnostic));
    if (!flags->json)
        printf("epoch %lld: %lld windows in the split, %lld after oversampling, %lld steps\n", (long long)flags->epoch,
               (long long)shard_window_count(store, split), (long long)batch_plan_window_count(plan),
               (long long)batch_plan_step_count(plan));
    for (int64_t step = 0; step < flags->n && step < batch_plan_step_count(plan); step++) {
        const int64_t *windows;
        int32_t count;
        batch_plan_step(plan, step, &windows, &count);
        print_step(shard_window_infos(store, split), step, windows, count, flags->json);
        if (ferror(stdout))
            TRY(command_flush(diagnostic));
    }
out:
    batch_plan_destroy(&plan);
    return status;
}

static Status show_sequences(const ShardStore *store, int32_t split, const InspectFlags *flags, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Wordpiece *wordpiece = NULL;
    LabelTable *table = NULL;
    Arena *arena = arena_create(1 << 14);
    int64_t shown = 0, count = shard_sequence_count(store, split), first = flags->index < 0 ? 0 : flags->index;
    if (first > 0 && first >= count)
        TRY_FAIL(diagnostic, STATUS_NOT_FOUND, "--index %lld: the split has %lld sequences, counted from 0", (long long)first,
                 (long long)count);
    if (flags->vocab)
        TRY(wordpiece_open(&wordpiece, flags->vocab, (WordpieceOptions){.lowercase = shard_store_lowercase(store)}, diagnostic));
    if (wordpiece && strcmp(wordpiece_sha256(wordpiece), shard_store_vocab_sha256(store)) != 0)
        TRY_FAIL(diagnostic, STATUS_MISMATCH, "%s is not the vocabulary that these shards were made with", flags->vocab);
    TRY(label_table_create(&table, shard_store_all_labels(store), diagnostic));
    SequenceView view = {
        .store = store, .split = split, .wordpiece = wordpiece, .table = table, .arena = arena, .json = flags->json};
    for (int64_t i = first; i < count && shown < flags->n; i++) {
        ShardSequence sequence;
        arena_reset(arena);
        TRY(shard_sequence_read(store, split, i, arena, &sequence, diagnostic));
        if (!sequence_view_wanted(table, &sequence, flags->contains, flags->with_entities))
            continue;
        TRY(sequence_view_show(&view, i, &sequence, diagnostic));
        TRY(command_flush(diagnostic));
        shown++;
    }
    if (shown == 0 && (flags->contains || flags->with_entities))
        LOG_WARNING("no sequence of the split %s is like that", shard_split_name(store, split));
out:
    label_table_destroy(&table);
    arena_destroy(&arena);
    wordpiece_close(&wordpiece);
    return status;
}

static Status inspect(const char *folder, const InspectFlags *flags, const TrainingOptions *training, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    ShardStore *store = NULL;
    const char *name = flags->split ? flags->split : "train";
    TRY(shard_store_open(&store, folder, diagnostic));
    int32_t split = shard_split_find(store, name);
    if (split < 0)
        TRY_FAIL(diagnostic, STATUS_NOT_FOUND, "these shards have no split \"%s\"; the first one is \"%s\"", name,
                 shard_split_name(store, 0));
    TRY(flags->plan ? show_plan(store, split, flags, training, diagnostic) : show_sequences(store, split, flags, diagnostic));
out:
    shard_store_close(&store);
    return status;
}

static int inspect_run(const Command *command, int argc, char **argv)
{
    InspectFlags flags = {0};
    TrainingOptions training;
    OptionBinding bindings[] = {{&inspect_table, &flags}, {training_option_table(), &training}};
    PositionalArray positional = {0};
    Diagnostic diagnostic = {0};
    int code = command_parse(command, bindings, 2, argc, argv, &positional);
    if (code < 0 && positional.count != 1)
        code = command_usage_error(command, "one folder of shards is expected");
    if (code < 0 && flags.plan && (flags.index >= 0 || flags.contains || flags.with_entities))
        code = command_usage_error(command, "--plan shows steps: --index, --contains and --with-entities choose sequences");
    if (code < 0)
        code = inspect(positional.items[0], &flags, &training, &diagnostic) == STATUS_OK ? 0 : command_fail(&diagnostic);
    array_free(&positional);
    options_free(&inspect_table, &flags);
    return code;
}

const Command command_inspect = {
    "inspect", "DIR [--split train] [--n 5] [--index I] [--contains TEXT] [--with-entities] [--vocab FILE] [--plan ...]",
    "pieces beside labels as training sees them; or the batch plan", inspect_run};
