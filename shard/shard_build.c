/* Builds a shard store in two passes over the corpus files: labels, scheme, words and casing first, then the records. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/io/file.h"
#include "core/io/hash.h"
#include "shard/casing.h"
#include "shard/sequence_reader.h"
#include "shard/shard_metadata.h"
#include "shard/shard_writer.h"

enum { MISSING_LABELS_SHOWN = 10 };
#define UNKNOWN_SHARE_LIMIT 0.10
#define MAP_SIZE_SMALLEST ((size_t)8 << 30) /* sparse; more than some tools and limits let a process map would buy nothing */

/* One corpus file. */
typedef struct Input {
    const char *path;
    int32_t split;
    char sha256[SHA256_HEX_SIZE];
    uint64_t size_bytes;
    struct timespec modified;
} Input;

typedef struct Builder {
    const ShardBuild *build;
    ARRAY(Input) inputs;   /* ordered by split */
    uint64_t bytes_total;  /* of both passes */
    uint64_t bytes_before; /* of the files that are done */
    Wordpiece *wordpiece;
    ShardMetadata metadata;
    SchemeGuess guess;
    WordsAgreement agreement;
    CasingCounts casing;
    ShardWriter *writer;
    AlignedPieces pieces;
    WindowArray windows;
    Int32Array gold, token_labels;
    size_t scheme_warned; /* inputs up to this one were warned about, or had no reason */
} Builder;

static void builder_free(Builder *builder)
{
    shard_writer_abandon(&builder->writer);
    wordpiece_close(&builder->wordpiece);
    shard_metadata_free(&builder->metadata);
    casing_counts_free(&builder->casing);
    aligned_pieces_free(&builder->pieces);
    array_free(&builder->windows);
    array_free(&builder->gold);
    array_free(&builder->token_labels);
    array_free(&builder->inputs);
}

static Status build_validate(const ShardBuild *build, Diagnostic *diagnostic)
{
    const DataOptions *options = &build->options;
    if (options->max_seq_length < 3)
        return FAIL(diagnostic, STATUS_USAGE, "max_seq_length is %lld: expected at least 3, two pieces are special ones",
                    (long long)options->max_seq_length);
    int64_t longest = build->max_positions ? build->max_positions : CORPUS_SENTENCE_LIMIT;
    if (options->max_seq_length > longest)
        return FAIL(diagnostic, STATUS_MISMATCH,
                    "max_seq_length is %lld, and the model has %lld positions: choose at most that many",
                    (long long)options->max_seq_length, (long long)longest);
    if (options->stride < 0 || options->stride >= options->max_seq_length - 2)
        return FAIL(diagnostic, STATUS_USAGE, "stride is %lld: expected 0 or more, and less than max_seq_length - 2 = %lld",
                    (long long)options->stride, (long long)options->max_seq_length - 2);
    WordsRule rule;
    if (build->words && strcmp(build->words, "corpus") != 0 && !words_rule_parse(build->words, &rule))
        return FAIL(diagnostic, STATUS_USAGE, "words is \"%s\": expected corpus, treebank, whitespace or bert", build->words);
    LabelScheme scheme;
    if (options->scheme[0] && strcmp(options->scheme, "auto") != 0 && !label_scheme_parse(options->scheme, &scheme))
        return FAIL(diagnostic, STATUS_USAGE, "scheme is \"%s\": expected auto, IO, IOB1, IOB2, IOE1, IOE2, IOBES or BILOU",
                    options->scheme);
    for (size_t i = 0; i < build->source_count; i++) {
        const char *split = build->sources[i].split;
        bool known = strcmp(split, "train") == 0 || strcmp(split, "test") == 0 || strcmp(split, "dev") == 0;
        if (!known && (strncmp(split, "dev:", 4) != 0 || !split[4]))
            return FAIL(diagnostic, STATUS_USAGE, "there is no split \"%s\": expected train, dev, dev:NAME or test", split);
    }
    return STATUS_OK;
}

/* Number of the split of this name; a new one when it is not there. */
static int32_t split_number(Builder *builder, const char *given)
{
    char *name = shard_split_full_name(given);
    ShardSplitArray *splits = &builder->metadata.splits;
    for (size_t i = 0; i < splits->count; i++) {
        if (strcmp(splits->items[i].name, name) == 0) {
            free(name);
            return (int32_t)i;
        }
    }
    ShardSplit split = {.name = name};
    array_push(splits, split);
    return (int32_t)splits->count - 1;
}

/* Whether anything has changed is told by one hash a file, and brat's corpora are pairs of files. */
static Status input_format_check(const ShardBuild *build, const char *path, Diagnostic *diagnostic)
{
    CorpusFormat format = build->format;
    Status status = format == CORPUS_AUTO ? corpus_format_detect(path, &format, diagnostic) : STATUS_OK;
    if (status == STATUS_OK && format == CORPUS_BRAT)
        return FAIL(
            diagnostic, STATUS_UNSUPPORTED,
            "%s is in brat's format, of two files for each text: make one of them, nersweep convert %s corpus.jsonl --to prodigy",
            path, path);
    return status;
}

/* Looks at every file once: its hash says whether anything changed. */
static Status inputs_hash(Builder *builder, Diagnostic *diagnostic)
{
    const ShardBuild *build = builder->build;
    for (size_t i = 0; i < build->source_count; i++)
        split_number(builder, build->sources[i].split);
    if (builder->metadata.splits.count > SHARD_SPLIT_LIMIT)
        return FAIL(diagnostic, STATUS_LIMIT, "%zu splits are more than the %d that a store may have",
                    builder->metadata.splits.count, SHARD_SPLIT_LIMIT);
    for (int32_t split = 0; split < (int32_t)builder->metadata.splits.count; split++)
        for (size_t i = 0; i < build->source_count; i++) {
            Input input = {.path = build->sources[i].path, .split = split};
            if (split_number(builder, build->sources[i].split) != split)
                continue;
            struct stat found;
            if (stat(input.path, &found) != 0)
                return FAIL(diagnostic, status_from_errno(errno), "cannot read the corpus file %s: %s", input.path,
                            strerror(errno));
            if (!S_ISREG(found.st_mode))
                return FAIL(diagnostic, STATUS_INVALID_INPUT,
                            "%s is not a regular file: expected a corpus in one file; for a folder of brat annotations see "
                            "nersweep convert",
                            input.path);
            Status status = input_format_check(build, input.path, diagnostic);
            if (status == STATUS_OK)
                status = sha256_file_hex(input.path, input.sha256, diagnostic);
            if (status != STATUS_OK)
                return status;
            input.size_bytes = (uint64_t)found.st_size;
            input.modified = found.st_mtim;
            builder->bytes_total += 2 * input.size_bytes;
            array_push(&builder->inputs, input);
        }
    for (size_t i = 0; i < builder->metadata.splits.count; i++)
        if (strcmp(builder->metadata.splits.items[i].name, "train") == 0)
            return STATUS_OK;
    return FAIL(diagnostic, STATUS_USAGE, "there is no training file: the labels come from it");
}

static Status inputs_unchanged(const Builder *builder, Diagnostic *diagnostic)
{
    for (size_t i = 0; i < builder->inputs.count; i++) {
        const Input *input = &builder->inputs.items[i];
        struct stat found;
        if (stat(input->path, &found) != 0 || (uint64_t)found.st_size != input->size_bytes ||
            found.st_mtim.tv_sec != input->modified.tv_sec || found.st_mtim.tv_nsec != input->modified.tv_nsec)
            return FAIL(diagnostic, STATUS_INVALID_INPUT, "%s was changed while it was read: try again when nobody writes it",
                        input->path);
    }
    return STATUS_OK;
}

static Json *build_json(const Builder *builder)
{
    const ShardBuild *build = builder->build;
    Json *json = json_object(), *inputs = json_array();
    for (size_t i = 0; i < builder->inputs.count; i++) {
        const Input *input = &builder->inputs.items[i];
        Json *item = json_object();
        json_set(item, "split", json_string(builder->metadata.splits.items[input->split].name));
        json_set(item, "path", json_string(input->path));
        json_set(item, "sha256", json_string(input->sha256));
        json_set(item, "size_bytes", json_integer((int64_t)input->size_bytes));
        json_append(inputs, item);
    }
    json_set(json, "inputs", inputs);
    json_set(json, "vocab_sha256", json_string(wordpiece_sha256(builder->wordpiece)));
    json_set(json, "lowercase", json_boolean(build->lowercase));
    json_set(json, "words", json_string(build->words ? build->words : "corpus"));
    if (build->format != CORPUS_AUTO)
        json_set(json, "format", json_string(corpus_format_names[build->format]));
    json_set(json, "options", options_to_json(data_option_table(), &build->options));
    return json;
}

/* Has the folder what this build would make? A store that cannot be read is made again. */
static bool is_up_to_date(const char *folder, const Json *wanted, ShardSummary *summary)
{
    bool same = false;
    ShardMetadata metadata = {0};
    Json *json = NULL;
    Diagnostic diagnostic = {0};
    char *path = path_join(folder, SHARD_FILE_NAME);
    if (path_exists(path)) {
        if (shard_store_metadata(folder, &metadata, &json, &diagnostic) == STATUS_OK) {
            char *there = shard_metadata_build_text(json_get(json, "build")), *here = shard_metadata_build_text(wanted);
            same = strcmp(there, here) == 0;
            free(there);
            free(here);
        } else {
            LOG_WARNING("%s is made again: %s", path, diagnostic.message);
        }
    }
    if (same)
        *summary = shard_metadata_summary(&metadata);
    summary->up_to_date = same;
    shard_metadata_free(&metadata);
    json_destroy(&json);
    free(path);
    return same;
}

static Status builder_poll(const Builder *builder, uint64_t bytes_in_file, Diagnostic *diagnostic)
{
    const ShardBuild *build = builder->build;
    if (build->interrupted && *build->interrupted)
        return FAIL(diagnostic, STATUS_INTERRUPTED, "interrupted: no shards were made, those that were there are as before");
    if (build->progress)
        build->progress(build->progress_context, builder->bytes_before + bytes_in_file, builder->bytes_total);
    return STATUS_OK;
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

typedef Status (*SequenceVisit)(Builder *builder, size_t input, const Sequence *sequence, Diagnostic *diagnostic);

/* Calls visit for every sequence of every input. */
static Status each_sequence(Builder *builder, SequenceVisit visit, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    SequenceReader *reader = NULL;
    CorpusOptions corpus;
    bool documents = builder->build->options.unit == UNIT_DOCUMENT;
    TRY(corpus_options(builder->build, &corpus, diagnostic));
    for (size_t i = 0; i < builder->inputs.count; i++) {
        TRY(sequence_reader_open(&reader, builder->inputs.items[i].path, corpus, documents, diagnostic));
        for (int64_t read = 0;; read++) {
            const Sequence *sequence;
            TRY(builder_poll(builder, sequence_reader_bytes_done(reader), diagnostic));
            TRY(sequence_reader_next(reader, &sequence, diagnostic));
            if (!sequence && read == 0)
                status = FAIL_AT(diagnostic, STATUS_INVALID_INPUT, builder->inputs.items[i].path, 1, 0,
                                 "the file holds no labelled token: expected one token and its label a line");
            if (status != STATUS_OK)
                goto out;
            if (!sequence)
                break;
            TRY(visit(builder, i, sequence, diagnostic));
        }
        sequence_reader_close(&reader);
        builder->bytes_before += builder->inputs.items[i].size_bytes;
    }
out:
    sequence_reader_close(&reader);
    return status;
}

static bool is_train(const Builder *builder, size_t input)
{
    return strcmp(builder->metadata.splits.items[builder->inputs.items[input].split].name, "train") == 0;
}

/* First pass: what must be known before the first record is written. */
static Status sequence_survey(Builder *builder, size_t input, const Sequence *sequence, Diagnostic *diagnostic)
{
    bool train = is_train(builder, input);
    LabelSet *labels = train ? builder->metadata.labels : builder->metadata.all_labels;
    for (int32_t i = 0; i < sequence->token_count; i++) {
        LabelParts parts;
        if (label_set_find(labels, sequence->labels[i]) >= 0)
            continue;
        if (!label_split(sequence->labels[i], &parts))
            return FAIL_AT(diagnostic, STATUS_INVALID_INPUT, builder->inputs.items[input].path, sequence->tokens[i].line,
                           sequence->tokens[i].label_column,
                           "\"%.64s\" is no label: expected O, or B-, I-, E-, S-, L- or U- and a type [unknown-prefix]",
                           sequence->labels[i]);
        label_set_add(labels, sequence->labels[i]);
    }
    if (!train)
        return STATUS_OK;
    for (int32_t s = 0; s < sequence->sentence_count; s++) {
        int32_t start = sequence->sentence_starts[s], count = sequence->sentence_starts[s + 1] - start;
        scheme_guess_add(&builder->guess, sequence->labels_written + start, count);
        words_agreement_add(&builder->agreement, sequence->texts + start, count);
    }
    for (int32_t i = 0; i < sequence->token_count; i++)
        casing_counts_add(&builder->casing, sequence->texts[i], sequence->sizes[i]);
    return STATUS_OK;
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
    metadata->words = words_agreement_best(&builder->agreement);
    if (build->words && strcmp(build->words, "corpus") != 0) {
        bool known = words_rule_parse(build->words, &metadata->words);
        ASSERT(known); /* build_validate */
    }
    int64_t tokens = builder->agreement.tokens;
    metadata->words_agreement = tokens > 0 ? (double)builder->agreement.agreed[metadata->words] / (double)tokens : 0;
}

static Status survey(Builder *builder, Diagnostic *diagnostic)
{
    const ShardBuild *build = builder->build;
    builder->metadata.labels = label_set_create();
    builder->metadata.all_labels = label_set_create();
    Status status = each_sequence(builder, sequence_survey, diagnostic);
    if (status == STATUS_OK)
        status = casing_check(&builder->casing, builder->wordpiece, build->vocab_path, build->lowercase, diagnostic);
    if (status != STATUS_OK)
        return status;
    labels_join(builder);
    words_choose(builder);
    builder->metadata.scheme = scheme_guess_result(&builder->guess);
    if (build->options.scheme[0] && strcmp(build->options.scheme, "auto") != 0) {
        bool known = label_scheme_parse(build->options.scheme, &builder->metadata.scheme);
        ASSERT(known); /* build_validate */
    }
    return STATUS_OK;
}

/* Labels that the scheme does not allow are read as the default mode reads them, with a warning for the first one of a file. */
static Status scheme_check(Builder *builder, size_t input, const Sequence *sequence, Diagnostic *diagnostic)
{
    const char *scheme = label_scheme_name(builder->metadata.scheme);
    for (int32_t s = 0; s < sequence->sentence_count; s++) {
        int32_t start = sequence->sentence_starts[s];
        int32_t violation = scheme_first_violation(builder->metadata.scheme, sequence->labels_written + start,
                                                   sequence->sentence_starts[s + 1] - start);
        if (violation < 0)
            continue;
        const CorpusToken *token = &sequence->tokens[start + violation];
        const char *path = builder->inputs.items[input].path;
        if (builder->build->options.strict)
            return FAIL_AT(diagnostic, STATUS_INVALID_INPUT, path, token->line, token->label_column,
                           "\"%.64s\" is not allowed here by the scheme %s: mend it, or go on without strict", token->label,
                           scheme);
        if (builder->scheme_warned <= input)
            LOG_WARNING("%s:%ld:%ld: \"%.64s\" is not allowed here by the scheme %s; `nersweep lint` lists all such places", path,
                        token->line, token->label_column, token->label, scheme);
        builder->scheme_warned = input + 1;
        break;
    }
    return STATUS_OK;
}

/* The place of the token that cannot be aligned, found again one by one. */
static Status align_fail(Builder *builder, size_t input, const Sequence *sequence, Status status, Diagnostic *diagnostic)
{
    const CorpusToken *guilty = &sequence->tokens[0];
    for (int32_t i = 0; i < sequence->token_count; i++) {
        aligned_pieces_clear(&builder->pieces);
        if (align_tokens(builder->wordpiece, sequence->texts + i, sequence->sizes + i, builder->token_labels.items + i, 1,
                         builder->metadata.labels, builder->metadata.scheme, &builder->build->options, &builder->pieces,
                         NULL) != STATUS_OK) {
            guilty = &sequence->tokens[i];
            break;
        }
    }
    Diagnostic found = diagnostic ? *diagnostic : (Diagnostic){0};
    return FAIL_AT(diagnostic, status, builder->inputs.items[input].path, guilty->line, 1, "%s", found.message);
}

static void counts_add(Builder *builder, ShardSplit *split, const Sequence *sequence)
{
    int32_t unk = wordpiece_specials(builder->wordpiece)->unk;
    split->sequences++;
    split->sentences += sequence->sentence_count;
    split->tokens += sequence->token_count;
    split->windows += (int64_t)builder->windows.count;
    split->pieces += (int64_t)builder->pieces.ids.count;
    split->zero_piece_tokens += builder->pieces.zero_piece_tokens;
    int64_t unknown = 0;
    for (size_t i = 0; i < builder->pieces.ids.count; i++)
        unknown += builder->pieces.ids.items[i] == unk;
    if (builder->build->options.zero_piece == ZERO_PIECE_UNK)
        unknown -= builder->pieces.zero_piece_tokens;
    split->unk_pieces += unknown;
}

/* Second pass: one sequence becomes records. */
static Status sequence_write(Builder *builder, size_t input, const Sequence *sequence, Diagnostic *diagnostic)
{
    const ShardMetadata *metadata = &builder->metadata;
    const DataOptions *options = &builder->build->options;
    ShardSplit *split = &metadata->splits.items[builder->inputs.items[input].split];
    Status status = scheme_check(builder, input, sequence, diagnostic);
    if (status != STATUS_OK)
        return status;
    builder->gold.count = builder->token_labels.count = 0;
    for (int32_t i = 0; i < sequence->token_count; i++) {
        array_push(&builder->gold, label_set_find(metadata->all_labels, sequence->labels[i]));
        array_push(&builder->token_labels, label_set_find(metadata->labels, sequence->labels[i]));
        if (builder->gold.items[i] < 0)
            return FAIL_AT(diagnostic, STATUS_INVALID_INPUT, builder->inputs.items[input].path, sequence->tokens[i].line,
                           sequence->tokens[i].label_column, "the file was changed while it was read: the label \"%.64s\" is new",
                           sequence->labels[i]);
    }
    aligned_pieces_clear(&builder->pieces);
    status = align_tokens(builder->wordpiece, sequence->texts, sequence->sizes, builder->token_labels.items, sequence->token_count,
                          metadata->labels, metadata->scheme, options, &builder->pieces, diagnostic);
    if (status != STATUS_OK)
        return align_fail(builder, input, sequence, status, diagnostic);
    builder->windows.count = 0;
    windows_cut(builder->pieces.token_index.items, (int32_t)builder->pieces.ids.count, options->max_seq_length, options->stride,
                &builder->windows);
    counts_add(builder, split, sequence);
    return shard_writer_add(builder->writer, builder->inputs.items[input].split, (uint32_t)input, sequence, builder->gold.items,
                            &builder->pieces, &builder->windows, wordpiece_specials(builder->wordpiece), metadata->labels,
                            diagnostic);
}

static Status unknown_check(const Builder *builder, Diagnostic *diagnostic)
{
    for (size_t i = 0; i < builder->metadata.splits.count; i++) {
        const ShardSplit *split = &builder->metadata.splits.items[i];
        if (split->pieces == 0 || (double)split->unk_pieces <= UNKNOWN_SHARE_LIMIT * (double)split->pieces)
            continue;
        double share = 100.0 * (double)split->unk_pieces / (double)split->pieces;
        if (strcmp(split->name, "train") == 0)
            return FAIL(diagnostic, STATUS_MISMATCH,
                        "%.1f%% of the training pieces are [UNK] (%lld of %lld, over %.0f%%): does %s belong to this model, is its "
                        "casing (%s) right, and "
                        "is it made for this language?",
                        share, (long long)split->unk_pieces, (long long)split->pieces, 100 * UNKNOWN_SHARE_LIMIT,
                        builder->build->vocab_path, builder->build->lowercase ? "lower-cased" : "as written");
        LOG_WARNING("%.1f%% of the pieces of %s are [UNK]: is it of the same kind as the training files?", share, split->name);
    }
    return STATUS_OK;
}

static size_t map_size(const Builder *builder)
{
    const DataOptions *options = &builder->build->options;
    uint64_t overlap = (uint64_t)((options->max_seq_length - 2) / (options->max_seq_length - 2 - options->stride)) + 1;
    uint64_t size =
        builder->bytes_total * 32 * overlap; /* a byte may be a piece, a piece is 12 bytes in every window that has it */
    return size > MAP_SIZE_SMALLEST ? (size_t)size : MAP_SIZE_SMALLEST;
}

static Status write_all(Builder *builder, const char *folder, Json **build, Diagnostic *diagnostic)
{
    Json *metadata = NULL;
    Status status = STATUS_OK;
    TRY(shard_writer_begin(&builder->writer, folder, map_size(builder), diagnostic));
    TRY(each_sequence(builder, sequence_write, diagnostic));
    TRY(unknown_check(builder, diagnostic));
    TRY(inputs_unchanged(builder, diagnostic));
    metadata = shard_metadata_json(&builder->metadata, *build);
    *build = NULL;
    TRY(shard_writer_commit(&builder->writer, metadata, diagnostic));
out:
    json_destroy(&metadata);
    return status;
}

/* With the folder locked. */
static Status build_locked(Builder *builder, const char *folder, ShardSummary *summary, Diagnostic *diagnostic)
{
    const ShardBuild *build = builder->build;
    Status status = STATUS_OK;
    Json *wanted = NULL;
    TRY(inputs_hash(builder, diagnostic));
    WordpieceOptions wordpiece = {.lowercase = build->lowercase};
    TRY(wordpiece_open(&builder->wordpiece, build->vocab_path, wordpiece, diagnostic));
    if (build->model_vocab_size > 0)
        TRY(wordpiece_check_model(builder->wordpiece, build->model_vocab_size, diagnostic));
    memcpy(builder->metadata.vocab_sha256, wordpiece_sha256(builder->wordpiece), SHA256_HEX_SIZE);
    builder->metadata.lowercase = build->lowercase;
    builder->metadata.vocab_size = wordpiece_vocab_size(builder->wordpiece);
    builder->metadata.options = build->options;
    wanted = build_json(builder);
    if (is_up_to_date(folder, wanted, summary))
        goto out;
    TRY(survey(builder, diagnostic));
    TRY(write_all(builder, folder, &wanted, diagnostic));
    *summary = shard_metadata_summary(&builder->metadata);
out:
    json_destroy(&wanted);
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
