/* Builds a shard store in two passes over the corpus files: labels, scheme, words and casing first, then the records. Both go through a
 * pipeline of threads; inputs that the store of before has as well are taken over from it. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/thread.h"
#include "core/io/file.h"
#include "shard/pipeline.h"
#include "shard/shard_batch.h"
#include "shard/shard_inputs.h"
#include "shard/shard_survey.h"
#include "shard/shard_writer.h"

enum { MISSING_LABELS_SHOWN = 10, COPY_POLL_SEQUENCES = 1024 };
#define UNKNOWN_SHARE_LIMIT 0.10
#define MAP_SIZE_SMALLEST ((size_t)8 << 30) /* sparse; more than some tools and limits let a process map would buy nothing */
#define BATCHES_COST_LIMIT ((size_t)48 << 20)
#define SLOT_KEPT_BYTES ((size_t)8 << 20) /* a slot that has grown over it is given back after a long sequence */

typedef ARRAY(const char *) Strings;

/* A batch on its way, and what is made of it. */
typedef struct BuildSlot {
    SequencePart part;
    int64_t first_sentence; /* of the batch, in its input */
    InputSurvey survey;
    BatchWork work;
} BuildSlot;

typedef struct Builder {
    const ShardBuild *build;
    BuildInputArray inputs;             /* ordered by split; metadata.inputs has the same order */
    uint64_t input_bytes, bytes_before; /* of all files; of what is done, in both passes */
    Wordpiece *wordpiece;
    ShardMetadata metadata;
    InputSurvey total; /* of gold training files */
    ShardWriter *writer;
    ShardStore *old;       /* the store that is there, while anything may be taken over from it */
    Int32Array old_inputs; /* [inputs] the same input in the old store, or -1 */
    int64_t reused_sentences;
    int32_t threads;
    BuildSlot *slots; /* [slot_count] */
    void **slot_pointers;
    size_t slot_count;
} Builder;

/* One input on its way through the pipeline. */
typedef struct Pass {
    Builder *builder;
    size_t input;
    SequenceReader *reader;
    int64_t sentences, sequences;
    CasingCounts casing;
    BatchRules rules;
    bool violation_said;
} Pass;

static void slot_free(BuildSlot *slot)
{
    sequence_part_free(&slot->part);
    input_survey_free(&slot->survey);
    batch_work_free(&slot->work);
    *slot = (BuildSlot){0};
}

static void builder_free(Builder *builder)
{
    shard_writer_abandon(&builder->writer);
    shard_store_close(&builder->old);
    wordpiece_close(&builder->wordpiece);
    shard_metadata_free(&builder->metadata);
    input_survey_free(&builder->total);
    build_inputs_free(&builder->inputs);
    array_free(&builder->old_inputs);
    for (size_t i = 0; i < builder->slot_count; i++)
        slot_free(&builder->slots[i]);
    free(builder->slots);
    free(builder->slot_pointers);
}

static Json *build_json(const Builder *builder)
{
    const ShardBuild *build = builder->build;
    Json *json = json_object();
    json_set(json, "inputs", build_inputs_json(&builder->inputs, &builder->metadata.splits));
    json_set(json, "vocab_sha256", json_string(wordpiece_sha256(builder->wordpiece)));
    json_set(json, "lowercase", json_boolean(build->lowercase));
    json_set(json, "lowercase_given", json_boolean(build->lowercase_given));
    json_set(json, "words", json_string(build->words ? build->words : "corpus"));
    if (build->format != CORPUS_AUTO)
        json_set(json, "format", json_string(corpus_format_names[build->format]));
    json_set(json, "options", options_to_json(data_option_table(), &build->options));
    return json;
}

static Status interrupted_check(const Builder *builder, Diagnostic *diagnostic)
{
    const ShardBuild *build = builder->build;
    if (build->interrupted && *build->interrupted)
        return FAIL(diagnostic, STATUS_INTERRUPTED, "interrupted: no shards were made, those that were there are as before");
    return STATUS_OK;
}

static void progress_tell(const Builder *builder, uint64_t bytes_in_input)
{
    if (builder->build->progress)
        builder->build->progress(builder->build->progress_context, builder->bytes_before + bytes_in_input,
                                 2 * builder->input_bytes);
}

/* ---- the store that is there ---- */

/* To who asked for it. */
static void metadata_give(const Builder *builder, Json **json)
{
    if (!builder->build->metadata)
        return;
    *builder->build->metadata = *json;
    *json = NULL;
}

static bool same_texts(char *a, char *b)
{
    bool same = strcmp(a, b) == 0;
    free(a);
    free(b);
    return same;
}

/* Finds each input in the store that is there. */
static void old_inputs_find(Builder *builder)
{
    const ShardInputArray *old = &shard_store_metadata(builder->old)->inputs;
    for (size_t i = 0; i < builder->inputs.count; i++) {
        size_t same = 0;
        while (same < old->count && strcmp(old->items[same].key, builder->metadata.inputs.items[i].key) != 0)
            same++;
        array_push(&builder->old_inputs, same < old->count ? (int32_t)same : -1);
    }
}

static void old_forget(Builder *builder)
{
    for (size_t i = 0; i < builder->old_inputs.count; i++)
        builder->old_inputs.items[i] = -1;
    shard_store_close(&builder->old);
}

/* Has the folder's store, at path, what this build would make, or some of it? One that cannot be read is made again. */
static bool is_up_to_date(Builder *builder, const char *path, const char *folder, const Json *wanted, ShardSummary *summary)
{
    bool same = false;
    Json *json = NULL;
    Diagnostic diagnostic = {0};
    if (shard_store_open_metadata(&builder->old, folder, &json, &diagnostic) != STATUS_OK) {
        LOG_WARNING("%s is made again: %s", path, diagnostic.message);
        return false;
    }
    const Json *build = json_get(json, "build");
    same = same_texts(shard_metadata_build_text(build), shard_metadata_build_text(wanted));
    if (same) {
        *summary = shard_metadata_summary(shard_store_metadata(builder->old));
        summary->up_to_date = true;
        shard_store_close(&builder->old);
        metadata_give(builder, &json);
    } else if (!same_texts(shard_metadata_settings_text(build), shard_metadata_settings_text(wanted))) {
        LOG_INFO("%s is made again: the vocabulary or an option differs", path);
        shard_store_close(&builder->old);
    }
    json_destroy(&json);
    return same;
}

static bool same_labels(const LabelSet *a, const LabelSet *b)
{
    bool same = label_set_count(a) == label_set_count(b);
    for (int32_t id = 0; same && id < label_set_count(a); id++)
        same = strcmp(label_set_name(a, id), label_set_name(b, id)) == 0;
    return same;
}

/* Records hold what the labels and the scheme of all inputs have made of them: none is taken over when these are others now. */
static void old_check(Builder *builder)
{
    if (!builder->old)
        return;
    const ShardMetadata *now = &builder->metadata, *old = shard_store_metadata(builder->old);
    const char *what =
        !same_labels(now->all_labels, old->all_labels) || label_set_count(now->labels) != label_set_count(old->labels)
            ? "the labels"
        : now->scheme != old->scheme ? "the label scheme"
        : now->words != old->words   ? "the rule for words"
                                     : NULL;
    bool any = false;
    for (size_t i = 0; i < builder->old_inputs.count; i++)
        any |= builder->old_inputs.items[i] >= 0;
    if (what)
        LOG_INFO("all shards are made again: %s differ%s from before", what, strcmp(what, "the labels") ? "s" : "");
    if (what || !any)
        old_forget(builder);
}

/* ---- reading ---- */

static Status pass_fill(void *context, void *filled, bool *more, Diagnostic *diagnostic)
{
    Pass *pass = context;
    BuildSlot *slot = filled;
    Status status = interrupted_check(pass->builder, diagnostic);
    if (status == STATUS_OK)
        status = sequence_reader_take(pass->reader, SEQUENCE_PART_BYTES, &slot->part, more, diagnostic);
    else
        sequence_part_clear(&slot->part);
    progress_tell(pass->builder, sequence_reader_bytes_done(pass->reader));
    return status;
}

static Status pass_read(void *context, void *filled, Diagnostic *diagnostic)
{
    (void)context;
    return sequence_part_read(&((BuildSlot *)filled)->part, diagnostic);
}

static void pass_order(void *context, void *read)
{
    Pass *pass = context;
    BuildSlot *slot = read;
    sequence_part_tell(pass->reader, &slot->part);
    slot->first_sentence = pass->sentences;
    pass->sentences += (int64_t)slot->part.batch.sentence_starts.count;
    pass->sequences += (int64_t)slot->part.batch.sequences.count;
}

static size_t pass_cost(void *context, const void *slot)
{
    (void)context;
    return sequence_part_cost(&((const BuildSlot *)slot)->part);
}

/* After a long sequence. */
static void slot_trim(BuildSlot *slot)
{
    if (slot->work.records.bytes.capacity + sequence_part_bytes(&slot->part) > SLOT_KEPT_BYTES)
        slot_free(slot);
}

/* How every file is read. */
static Status corpus_options(const ShardBuild *build, CorpusOptions *corpus, Diagnostic *diagnostic)
{
    const DataOptions *options = &build->options;
    Status status = corpus_options_parse(corpus, options->token_column, options->label_column, diagnostic);
    corpus->format = build->format;
    corpus->words_given = build->words && words_rule_parse(build->words, &corpus->words);
    corpus->scheme_given = label_scheme_parse(options->scheme, &corpus->scheme);
    return status;
}

/* Sends one input through the pipeline. */
static Status pass_run(Pass *pass, Status (*work)(void *, void *, Diagnostic *), Status (*finish)(void *, void *, Diagnostic *),
                       Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Builder *builder = pass->builder;
    const BuildInput *input = &builder->inputs.items[pass->input];
    CorpusOptions corpus;
    Strings paths = {0};
    for (size_t i = 0; i < input->files.count; i++)
        array_push(&paths, input->files.items[i].path);
    SequenceFiles files = {.paths = paths.items,
                           .path_count = paths.count,
                           .weak = input->kind == SHARD_WEAK,
                           .vote = builder->build->options.weak_vote,
                           .weight = (float)input->weight,
                           .weight_columns = input->kind == SHARD_PSEUDO};
    PipelineStages stages = {.context = pass,
                             .fill = pass_fill,
                             .read = pass_read,
                             .order = pass_order,
                             .work = work,
                             .finish = finish,
                             .cost = pass_cost,
                             .cost_limit = BATCHES_COST_LIMIT};
    TRY(corpus_options(builder->build, &corpus, diagnostic));
    TRY(sequence_reader_open(&pass->reader, &files, corpus, builder->build->options.unit == UNIT_DOCUMENT, diagnostic));
    TRY(pipeline_run(&stages, builder->slot_pointers, builder->slot_count, builder->threads, diagnostic));
    if (pass->sequences == 0 && sequence_reader_dropped(pass->reader) == 0)
        TRY(FAIL_AT(diagnostic, STATUS_INVALID_INPUT, paths.items[0], 1, 0,
                    "the file holds no labelled token: expected one token and its label a line"));
out:
    for (size_t i = 0; i < builder->slot_count; i++)
        sequence_part_close(&builder->slots[i].part);
    array_free(&paths);
    return status;
}

static const char *input_path(const Pass *pass)
{
    return pass->builder->inputs.items[pass->input].files.items[0].path;
}

/* ---- first pass: what must be known before the first record is written ---- */

static bool is_train(const Builder *builder, size_t input)
{
    return strcmp(builder->metadata.splits.items[builder->inputs.items[input].split].name, "train") == 0;
}

static bool is_gold_train(const Builder *builder, size_t input)
{
    return is_train(builder, input) && builder->inputs.items[input].kind == SHARD_GOLD;
}

static Status survey_work(void *context, void *worked, Diagnostic *diagnostic)
{
    const Pass *pass = context;
    BuildSlot *slot = worked;
    input_survey_free(&slot->survey);
    return input_survey_add(&slot->survey, &slot->part.batch, !is_gold_train(pass->builder, pass->input), slot->first_sentence,
                            input_path(pass), diagnostic);
}

static Status survey_finish(void *context, void *worked, Diagnostic *diagnostic)
{
    Pass *pass = context;
    BuildSlot *slot = worked;
    input_survey_join(&pass->builder->metadata.inputs.items[pass->input].survey, &slot->survey);
    if (is_gold_train(pass->builder, pass->input)) /* here, in the order of the input: there is room for so many words only */
        survey_casing_add(&pass->casing, &slot->part.batch, slot->first_sentence);
    slot_trim(slot);
    return interrupted_check(pass->builder, diagnostic);
}

static Status input_survey_make(Builder *builder, size_t input, Diagnostic *diagnostic)
{
    Pass pass = {.builder = builder, .input = input};
    InputSurvey *survey = &builder->metadata.inputs.items[input].survey;
    Status status = STATUS_OK;
    if (builder->old && builder->old_inputs.items[input] >= 0)
        input_survey_join(survey, &shard_store_metadata(builder->old)->inputs.items[builder->old_inputs.items[input]].survey);
    else
        status = pass_run(&pass, survey_work, survey_finish, diagnostic);
    if (status == STATUS_OK && pass.casing.words)
        survey->casing = casing_evidence(&pass.casing, builder->wordpiece);
    builder->bytes_before += builder->inputs.items[input].size_bytes;
    casing_counts_free(&pass.casing);
    sequence_reader_close(&pass.reader);
    return status;
}

/* Labels that only the other splits have get ids after the training labels', and are named. */
static void labels_join(Builder *builder)
{
    ShardMetadata *metadata = &builder->metadata;
    LabelSet *others = metadata->all_labels;
    align_add_derived_labels(metadata->labels, builder->build->options.subword_labels);
    label_set_sort(metadata->labels, NULL);
    label_set_sort(others, NULL);
    metadata->all_labels = label_set_copy(metadata->labels);
    Text names = {0};
    int32_t missing = 0;
    for (int32_t id = 0; id < label_set_count(others); id++) {
        const char *name = label_set_name(others, id);
        if (label_set_find(metadata->labels, name) >= 0)
            continue;
        label_set_add(metadata->all_labels, name);
        if (missing++ < MISSING_LABELS_SHOWN)
            text_format(&names, "%s%s", missing > 1 ? ", " : "", name);
    }
    if (missing > 0)
        LOG_WARNING("the training files lack %d labels that other files have: %s%s; a model cannot learn them, and their spans "
                    "will count as missed",
                    missing, names.bytes, missing > MISSING_LABELS_SHOWN ? ", ..." : "");
    text_free(&names);
    label_set_destroy(&others);
}

static void words_choose(Builder *builder)
{
    const ShardBuild *build = builder->build;
    ShardMetadata *metadata = &builder->metadata;
    metadata->words = words_agreement_best(&builder->total.agreement);
    if (build->words && strcmp(build->words, "corpus") != 0) {
        bool known = words_rule_parse(build->words, &metadata->words);
        ASSERT(known); /* build_validate */
    }
    int64_t tokens = builder->total.agreement.tokens;
    metadata->words_agreement = tokens > 0 ? (double)builder->total.agreement.agreed[metadata->words] / (double)tokens : 0;
}

static Status survey(Builder *builder, Diagnostic *diagnostic)
{
    const ShardBuild *build = builder->build;
    ShardMetadata *metadata = &builder->metadata;
    metadata->labels = label_set_create();
    metadata->all_labels = label_set_create();
    for (size_t i = 0; i < builder->inputs.count; i++) {
        Status status = input_survey_make(builder, i, diagnostic);
        if (status != STATUS_OK)
            return status;
        const InputSurvey *found = &metadata->inputs.items[i].survey;
        for (int32_t id = 0; found->labels && id < label_set_count(found->labels); id++)
            label_set_add(is_train(builder, i) ? metadata->labels : metadata->all_labels, label_set_name(found->labels, id));
        if (is_gold_train(builder, i))
            input_survey_join(&builder->total, found);
    }
    Status status = casing_check(&builder->total.casing, build->vocab_path, build->lowercase, diagnostic);
    if (status != STATUS_OK)
        return status;
    labels_join(builder);
    words_choose(builder);
    metadata->scheme = scheme_guess_result(&builder->total.guess);
    if (build->options.scheme[0] && strcmp(build->options.scheme, "auto") != 0) {
        bool known = label_scheme_parse(build->options.scheme, &metadata->scheme);
        ASSERT(known); /* build_validate */
    }
    return STATUS_OK;
}

/* ---- second pass: sequences become records ---- */

static Status write_work(void *context, void *worked, Diagnostic *diagnostic)
{
    const Pass *pass = context;
    BuildSlot *slot = worked;
    return batch_work(&slot->work, &pass->rules, &slot->part.batch, diagnostic);
}

static Status write_finish(void *context, void *worked, Diagnostic *diagnostic)
{
    Pass *pass = context;
    Builder *builder = pass->builder;
    BuildSlot *slot = worked;
    Status status = interrupted_check(builder, diagnostic);
    int32_t violation = slot->work.violation;
    if (violation >= 0 && !pass->violation_said) {
        const TokenPlace *place = &slot->part.batch.places.items[violation];
        const char *label = label_set_name(slot->part.batch.names, slot->part.batch.labels_written.items[violation]);
        LOG_WARNING("%s:%ld:%ld: \"%.64s\" is not allowed here by the scheme %s; `nersweep lint` lists all such places",
                    input_path(pass), (long)place->line, (long)place->label_column, label,
                    label_scheme_name(builder->metadata.scheme));
        pass->violation_said = true;
    }
    if (status == STATUS_OK)
        status = shard_writer_add(builder->writer, builder->inputs.items[pass->input].split, &slot->work.records, diagnostic);
    shard_counts_add(&builder->metadata.inputs.items[pass->input].counts, &slot->work.counts);
    slot_trim(slot);
    return status;
}

static Status input_write(Builder *builder, size_t input, Diagnostic *diagnostic)
{
    Pass pass = {.builder = builder, .input = input};
    ShardCounts *counts = &builder->metadata.inputs.items[input].counts;
    const BuildInput *read = &builder->inputs.items[input];
    *counts = (ShardCounts){0};
    pass.rules = batch_rules(builder->wordpiece, &builder->metadata, input_path(&pass), read->kind == SHARD_WEAK, read->source);
    Status status = pass_run(&pass, write_work, write_finish, diagnostic);
    counts->dropped = pass.reader ? sequence_reader_dropped(pass.reader) : 0;
    if (status == STATUS_OK && counts->dropped > 0)
        LOG_WARNING("%lld sequences of weak labels are left out: their sources agree on none of their tokens",
                    (long long)counts->dropped);
    sequence_reader_close(&pass.reader);
    return status;
}

/* Takes the records of an input over from the store of before. */
static Status input_copy(Builder *builder, size_t input, Diagnostic *diagnostic)
{
    const ShardInputArray *old = &shard_store_metadata(builder->old)->inputs;
    int32_t from = builder->old_inputs.items[input], split = old->items[from].split;
    int64_t first = 0, count = old->items[from].counts.sequences;
    for (int32_t i = 0; i < from; i++)
        first += old->items[i].split == split ? old->items[i].counts.sequences : 0;
    if (first + count > shard_sequence_count(builder->old, split))
        return FAIL(diagnostic, STATUS_CORRUPT, "the inputs have more sequences than their split");
    for (int64_t i = first; i < first + count; i++) {
        Status status = (i - first) % COPY_POLL_SEQUENCES == 0 ? interrupted_check(builder, diagnostic) : STATUS_OK;
        if (status == STATUS_OK)
            status = shard_writer_copy(builder->writer, builder->inputs.items[input].split, builder->inputs.items[input].source,
                                       builder->old, split, i, diagnostic);
        if (status != STATUS_OK)
            return status;
    }
    builder->metadata.inputs.items[input].counts = old->items[from].counts;
    builder->reused_sentences += old->items[from].counts.sentences;
    return STATUS_OK;
}

static void splits_count(Builder *builder)
{
    for (size_t i = 0; i < builder->inputs.count; i++) {
        const ShardInput *input = &builder->metadata.inputs.items[i];
        ShardSplit *split = &builder->metadata.splits.items[input->split];
        shard_counts_add(&split->counts, &input->counts);
        if (builder->inputs.items[i].kind != SHARD_GOLD)
            shard_counts_add(builder->inputs.items[i].kind == SHARD_PSEUDO ? &split->pseudo : &split->weak, &input->counts);
    }
}

static Status unknown_check(const Builder *builder, Diagnostic *diagnostic)
{
    for (size_t i = 0; i < builder->metadata.splits.count; i++) {
        const ShardSplit *split = &builder->metadata.splits.items[i];
        if (split->counts.pieces == 0 || (double)split->counts.unk_pieces <= UNKNOWN_SHARE_LIMIT * (double)split->counts.pieces)
            continue;
        double share = 100.0 * (double)split->counts.unk_pieces / (double)split->counts.pieces;
        if (strcmp(split->name, "train") == 0)
            return FAIL(diagnostic, STATUS_MISMATCH,
                        "%.1f%% of the training pieces are [UNK] (%lld of %lld, over %.0f%%): does %s belong to this model, is its "
                        "casing (%s) right, and "
                        "is it made for this language?",
                        share, (long long)split->counts.unk_pieces, (long long)split->counts.pieces, 100 * UNKNOWN_SHARE_LIMIT,
                        builder->build->vocab_path, builder->build->lowercase ? "lower-cased" : "as written");
        LOG_WARNING("%.1f%% of the pieces of %s are [UNK]: is it of the same kind as the training files?", share, split->name);
    }
    return STATUS_OK;
}

static size_t map_size(const Builder *builder)
{
    const DataOptions *options = &builder->build->options;
    uint64_t overlap = (uint64_t)((options->max_seq_length - 2) / (options->max_seq_length - 2 - options->stride)) + 1;
    /* A byte may be a piece, a piece is up to 12 bytes in every window that has it. */
    uint64_t size = 2 * builder->input_bytes * 32 * overlap;
    return size > MAP_SIZE_SMALLEST ? (size_t)size : MAP_SIZE_SMALLEST;
}

static Status inputs_write(Builder *builder, const char *folder, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    TRY(shard_writer_begin(&builder->writer, folder, map_size(builder), builder->metadata.labels, diagnostic));
    builder->bytes_before = builder->input_bytes;
    builder->reused_sentences = 0;
    for (size_t i = 0; i < builder->inputs.count; i++) {
        bool copied = builder->old && builder->old_inputs.items[i] >= 0;
        TRY(copied ? input_copy(builder, i, diagnostic) : input_write(builder, i, diagnostic));
        builder->bytes_before += builder->inputs.items[i].size_bytes;
        progress_tell(builder, 0);
    }
out:
    return status;
}

static Status write_all(Builder *builder, const char *folder, Json **build, Diagnostic *diagnostic)
{
    Json *metadata = NULL;
    Status status = inputs_write(builder, folder, diagnostic);
    if (status == STATUS_CORRUPT && builder->old) {
        LOG_WARNING("all shards are made again, the old ones are damaged: %s", diagnostic ? diagnostic->message : "");
        shard_writer_abandon(&builder->writer);
        old_forget(builder);
        status = inputs_write(builder, folder, diagnostic);
    }
    if (status != STATUS_OK)
        goto out;
    splits_count(builder);
    TRY(unknown_check(builder, diagnostic));
    TRY(build_inputs_unchanged(&builder->inputs, diagnostic));
    TRY(interrupted_check(builder, diagnostic));
    metadata = shard_metadata_json(&builder->metadata, *build);
    *build = NULL;
    TRY(shard_writer_commit(&builder->writer, metadata, diagnostic));
    metadata_give(builder, &metadata);
out:
    json_destroy(&metadata);
    return status;
}

/* ---- the whole ---- */

static void slots_make(Builder *builder)
{
    builder->threads = builder->build->threads > 0 ? builder->build->threads : pipeline_processors();
    builder->slot_count = pipeline_slot_count(builder->threads);
    builder->slots = memory_allocate(builder->slot_count, sizeof *builder->slots);
    builder->slot_pointers = memory_allocate(builder->slot_count, sizeof *builder->slot_pointers);
    for (size_t i = 0; i < builder->slot_count; i++)
        builder->slot_pointers[i] = &builder->slots[i];
}

static Status builder_prepare(Builder *builder, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const ShardBuild *build = builder->build;
    ShardMetadata *metadata = &builder->metadata;
    TRY(build_inputs_look(&builder->inputs, &metadata->splits, build, diagnostic));
    for (size_t i = 0; i < builder->inputs.count; i++) {
        array_push(&metadata->inputs, (ShardInput){.split = builder->inputs.items[i].split});
        builder->input_bytes += builder->inputs.items[i].size_bytes;
    }
    WordpieceOptions wordpiece = {.lowercase = build->lowercase};
    TRY(wordpiece_open(&builder->wordpiece, build->vocab_path, wordpiece, diagnostic));
    if (build->model_vocab_size > 0)
        TRY(wordpiece_check_model(builder->wordpiece, build->model_vocab_size, diagnostic));
    memcpy(metadata->vocab_sha256, wordpiece_sha256(builder->wordpiece), SHA256_HEX_SIZE);
    metadata->lowercase = build->lowercase;
    metadata->vocab_size = wordpiece_vocab_size(builder->wordpiece);
    metadata->options = build->options;
    slots_make(builder);
out:
    return status;
}

static double seconds_now(void)
{
    const Clock *clock = clock_system();
    return (double)clock->monotonic_ns(clock->context) / 1e9;
}

static void keys_make(Builder *builder)
{
    ShardMetadata *metadata = &builder->metadata;
    for (size_t i = 0; i < builder->inputs.count; i++)
        metadata->inputs.items[i].key = build_input_key(&builder->inputs.items[i], &metadata->splits, &builder->build->options);
}

typedef struct Hashing {
    Builder *builder;
    Status status;
    Diagnostic diagnostic;
} Hashing;

static void *hash_files(void *context)
{
    Hashing *hashing = context;
    hashing->status = build_inputs_hash(&hashing->builder->inputs, &hashing->diagnostic);
    return NULL;
}

static Status survey_beside_hashes(Builder *builder, double *surveyed_s, Diagnostic *diagnostic)
{
    pthread_t thread;
    Hashing hashing = {.builder = builder};
    bool started = thread_start(&thread, hash_files, &hashing) == 0;
    if (!started)
        hash_files(&hashing);
    Status status = survey(builder, diagnostic);
    *surveyed_s = seconds_now();
    if (started)
        pthread_join(thread, NULL);
    if (hashing.status != STATUS_OK && diagnostic) /* what would have gone wrong first, one after the other */
        *diagnostic = hashing.diagnostic;
    return hashing.status != STATUS_OK ? hashing.status : status;
}

/* With the folder locked. */
static Status build_locked(Builder *builder, const char *folder, ShardSummary *summary, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Json *wanted = NULL;
    char *path = path_join(folder, SHARD_FILE_NAME);
    bool fresh = !path_exists(path);
    double start_s = seconds_now();
    TRY(builder_prepare(builder, diagnostic));
    bool beside = fresh && builder->threads > 1; /* nothing can be up to date: the first pass need not wait for the hashes */
    if (!beside)
        TRY(build_inputs_hash(&builder->inputs, diagnostic));
    double hashed_s = seconds_now(), surveyed_s = hashed_s;
    if (beside)
        TRY(survey_beside_hashes(builder, &surveyed_s, diagnostic));
    double begun_s = seconds_now();
    keys_make(builder);
    wanted = build_json(builder);
    if (!fresh && is_up_to_date(builder, path, folder, wanted, summary))
        goto out;
    if (builder->old)
        old_inputs_find(builder);
    if (!beside) {
        TRY(survey(builder, diagnostic));
        surveyed_s = begun_s = seconds_now();
    }
    old_check(builder);
    TRY(write_all(builder, folder, &wanted, diagnostic));
    *summary = shard_metadata_summary(&builder->metadata);
    summary->reused_sentences = builder->reused_sentences;
    summary->hash_s = hashed_s - start_s + (begun_s - surveyed_s);
    summary->survey_s = surveyed_s - hashed_s;
    summary->write_s = seconds_now() - begun_s;
out:
    json_destroy(&wanted);
    free(path);
    return status;
}

Status shard_store_build(const ShardBuild *build, const char *folder, ShardSummary *summary, Diagnostic *diagnostic)
{
    Builder builder = {.build = build};
    ShardSummary ignored;
    int lock = -1;
    bool made = !path_exists(folder);
    summary = summary ? summary : &ignored;
    *summary = (ShardSummary){0};
    Status status = build_validate(build, diagnostic);
    if (status != STATUS_OK)
        return status;
    TRY(folder_create(file_system_posix(), folder, diagnostic));
    TRY(shard_folder_lock(folder, build->interrupted, &lock, diagnostic));
    TRY(build_locked(&builder, folder, summary, diagnostic));
out:
    builder_free(&builder);
    if (lock >= 0)
        close(lock);
    if (status != STATUS_OK && made)
        rmdir(folder);
    return status;
}
