#include "shard/shard_inputs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/io/file.h"
#include "shard/words.h"

_Static_assert(SHARD_INPUT_LIMIT - 1 <= UINT16_MAX, "an input of a split has a number of two bytes");

static const char *const kind_names[] = {[SHARD_GOLD] = "gold", [SHARD_PSEUDO] = "pseudo", [SHARD_WEAK] = "weak"};
static const char *const vote_names[] = {[WEAK_VOTE_MAJORITY] = "majority", [WEAK_VOTE_ABSTAIN] = "abstain"};

Status build_validate(const ShardBuild *build, Diagnostic *diagnostic)
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

void build_inputs_free(BuildInputArray *inputs)
{
    for (size_t i = 0; i < inputs->count; i++)
        array_free(&inputs->items[i].files);
    array_free(inputs);
}

/* Number of the split of this name; a new one when it is not there. */
static int32_t split_number(ShardSplitArray *splits, const char *given)
{
    char *name = shard_split_full_name(given);
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
static Status format_check(CorpusFormat format, const char *path, Diagnostic *diagnostic)
{
    Status status = format == CORPUS_AUTO ? corpus_format_detect(path, &format, diagnostic) : STATUS_OK;
    if (status == STATUS_OK && format == CORPUS_BRAT)
        return FAIL(
            diagnostic, STATUS_UNSUPPORTED,
            "%s is in brat's format, of two files for each text: make one of them, nersweep convert %s corpus.jsonl --to prodigy",
            path, path);
    return status;
}

static Status file_look(InputFile *file, CorpusFormat format, Diagnostic *diagnostic)
{
    struct stat found;
    if (stat(file->path, &found) != 0)
        return FAIL(diagnostic, status_from_errno(errno), "cannot read the corpus file %s: %s", file->path, strerror(errno));
    if (!S_ISREG(found.st_mode))
        return FAIL(
            diagnostic, STATUS_INVALID_INPUT,
            "%s is not a regular file: expected a corpus in one file; for a folder of brat annotations see nersweep convert",
            file->path);
    Status status = format_check(format, file->path, diagnostic);
    file->size_bytes = (uint64_t)found.st_size;
    file->modified = found.st_mtim;
    return status;
}

static double weight_of(ShardSourceKind kind, const DataOptions *options)
{
    return kind == SHARD_PSEUDO ? options->pseudo_weight : kind == SHARD_WEAK ? options->weak_weight : 1;
}

/* All inputs of one kind in one split. */
static Status inputs_add(BuildInputArray *inputs, ShardSplitArray *splits, int32_t split, ShardSourceKind kind,
                         const ShardBuild *build, Diagnostic *diagnostic)
{
    for (size_t i = 0; i < build->source_count; i++) {
        const ShardSource *source = &build->sources[i];
        if (split_number(splits, source->split) != split || source->kind != kind)
            continue;
        InputFile file = {.path = source->path};
        Status status = file_look(&file, build->format, diagnostic);
        if (status != STATUS_OK)
            return status;
        BuildInput *last = inputs->count ? &inputs->items[inputs->count - 1] : NULL;
        bool same_split = last && last->split == split;
        if (!(kind == SHARD_WEAK && same_split && last->kind == SHARD_WEAK)) {
            BuildInput input = {.split = split,
                                .kind = kind,
                                .source = (uint16_t)(same_split ? last->source + 1 : 0),
                                .weight = weight_of(kind, &build->options)};
            array_push(inputs, input);
            last = &inputs->items[inputs->count - 1];
        }
        array_push(&last->files, file);
        last->size_bytes += file.size_bytes;
    }
    return STATUS_OK;
}

Status build_inputs_look(BuildInputArray *inputs, ShardSplitArray *splits, const ShardBuild *build, Diagnostic *diagnostic)
{
    bool gold = false;
    if (build->source_count > SHARD_INPUT_LIMIT)
        return FAIL(diagnostic, STATUS_LIMIT, "%zu files are more than the %d that shards may be made of", build->source_count,
                    SHARD_INPUT_LIMIT);
    for (size_t i = 0; i < build->source_count; i++) {
        bool train = strcmp(build->sources[i].split, "train") == 0;
        gold |= train && build->sources[i].kind == SHARD_GOLD;
        if (!train && build->sources[i].kind != SHARD_GOLD)
            return FAIL(diagnostic, STATUS_USAGE, "%s: %s labels are for training only, not for %s", build->sources[i].path,
                        kind_names[build->sources[i].kind], build->sources[i].split);
        split_number(splits, build->sources[i].split);
    }
    if (splits->count > SHARD_SPLIT_LIMIT)
        return FAIL(diagnostic, STATUS_LIMIT, "%zu splits are more than the %d that a store may have", splits->count,
                    SHARD_SPLIT_LIMIT);
    for (int32_t split = 0; split < (int32_t)splits->count; split++)
        for (int kind = SHARD_GOLD; kind <= SHARD_WEAK; kind++) {
            Status status = inputs_add(inputs, splits, split, (ShardSourceKind)kind, build, diagnostic);
            if (status != STATUS_OK)
                return status;
        }
    if (!gold)
        return FAIL(diagnostic, STATUS_USAGE, "there is no training file: the labels come from it");
    return STATUS_OK;
}

Status build_inputs_hash(BuildInputArray *inputs, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    for (size_t i = 0; i < inputs->count; i++)
        for (size_t k = 0; k < inputs->items[i].files.count && status == STATUS_OK; k++)
            status = sha256_file_hex(inputs->items[i].files.items[k].path, inputs->items[i].files.items[k].sha256, diagnostic);
    return status;
}

Status build_inputs_unchanged(const BuildInputArray *inputs, Diagnostic *diagnostic)
{
    for (size_t i = 0; i < inputs->count; i++)
        for (size_t k = 0; k < inputs->items[i].files.count; k++) {
            const InputFile *file = &inputs->items[i].files.items[k];
            struct stat found;
            if (stat(file->path, &found) != 0 || (uint64_t)found.st_size != file->size_bytes ||
                found.st_mtim.tv_sec != file->modified.tv_sec || found.st_mtim.tv_nsec != file->modified.tv_nsec)
                return FAIL(diagnostic, STATUS_INVALID_INPUT, "%s was changed while it was read: try again when nobody writes it",
                            file->path);
        }
    return STATUS_OK;
}

Json *build_inputs_json(const BuildInputArray *inputs, const ShardSplitArray *splits)
{
    Json *array = json_array();
    for (size_t i = 0; i < inputs->count; i++)
        for (size_t k = 0; k < inputs->items[i].files.count; k++) {
            const BuildInput *input = &inputs->items[i];
            const InputFile *file = &input->files.items[k];
            Json *item = json_object();
            json_set(item, "split", json_string(splits->items[input->split].name));
            json_set(item, "kind", json_string(kind_names[input->kind]));
            json_set(item, "weight", json_real(input->weight));
            json_set(item, "path", json_string(file->path));
            json_set(item, "sha256", json_string(file->sha256));
            json_set(item, "size_bytes", json_integer((int64_t)file->size_bytes));
            json_append(array, item);
        }
    return array;
}

char *build_input_key(const BuildInput *input, const ShardSplitArray *splits, const DataOptions *options)
{
    Text key = {0};
    text_format(&key, "%s %s %.17g", splits->items[input->split].name, kind_names[input->kind], input->weight);
    if (input->kind == SHARD_WEAK)
        text_format(&key, " %s", vote_names[options->weak_vote]);
    for (size_t i = 0; i < input->files.count; i++)
        text_format(&key, " %s", input->files.items[i].sha256);
    return text_take(&key);
}
