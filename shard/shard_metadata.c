#include "shard/shard_metadata.h"

#include <stdlib.h>
#include <string.h>

#include "shard/shard_format.h"

#define FORMAT_NAME "nersweep shards"
enum { LABEL_LIMIT = 100000 };

#define COUNT(field)                         \
    {                                        \
#field, offsetof(ShardCounts, field) \
    }
/* Counts by the name that they have in the metadata. */
static const struct {
    const char *key;
    size_t offset;
} count_fields[] = {COUNT(sequences),  COUNT(sentences),         COUNT(tokens),
                    COUNT(pieces),     COUNT(windows),           COUNT(zero_piece_tokens),
                    COUNT(unk_pieces), COUNT(unlabelled_tokens), COUNT(dropped)};
#undef COUNT
enum { COUNT_FIELDS = sizeof count_fields / sizeof *count_fields };
_Static_assert(COUNT_FIELDS * sizeof(int64_t) == sizeof(ShardCounts), "every count is in the metadata");

void shard_counts_add(ShardCounts *counts, const ShardCounts *more)
{
    for (int k = 0; k < COUNT_FIELDS; k++)
        *(int64_t *)(void *)((char *)counts + count_fields[k].offset) +=
            *(const int64_t *)(const void *)((const char *)more + count_fields[k].offset);
}

static void counts_set(Json *json, const ShardCounts *counts)
{
    for (int k = 0; k < COUNT_FIELDS; k++)
        json_set(json, count_fields[k].key,
                 json_integer(*(const int64_t *)(const void *)((const char *)counts + count_fields[k].offset)));
}

static Json *counts_json(const ShardCounts *counts)
{
    Json *json = json_object();
    counts_set(json, counts);
    return json;
}

static Status counts_parse(ShardCounts *counts, const Json *json, const char *path, Diagnostic *diagnostic)
{
    for (int k = 0; k < COUNT_FIELDS; k++) {
        /* Sequences and windows are numbered by 32 bits; so are at most 2^20 tokens each. */
        Status status = json_require_integer(json, count_fields[k].key, path, 0, INT64_MAX / 2,
                                             (int64_t *)(void *)((char *)counts + count_fields[k].offset), diagnostic);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

char *shard_split_full_name(const char *name)
{
    return memory_copy_string(strcmp(name, "dev") == 0 ? "dev:dev" : name);
}

void shard_metadata_free(ShardMetadata *metadata)
{
    label_set_destroy(&metadata->labels);
    label_set_destroy(&metadata->all_labels);
    for (size_t i = 0; i < metadata->splits.count; i++)
        free(metadata->splits.items[i].name);
    array_free(&metadata->splits);
    for (size_t i = 0; i < metadata->inputs.count; i++) {
        free(metadata->inputs.items[i].key);
        input_survey_free(&metadata->inputs.items[i].survey);
    }
    array_free(&metadata->inputs);
    *metadata = (ShardMetadata){0};
}

static Json *labels_json(const LabelSet *labels)
{
    Json *array = json_array();
    for (int32_t id = 0; id < label_set_count(labels); id++)
        json_append(array, json_string(label_set_name(labels, id)));
    return array;
}

static Json *inputs_json(const ShardMetadata *metadata)
{
    Json *array = json_array();
    for (size_t i = 0; i < metadata->inputs.count; i++) {
        const ShardInput *input = &metadata->inputs.items[i];
        Json *json = json_object();
        json_set(json, "key", json_string(input->key));
        json_set(json, "split", json_integer(input->split));
        counts_set(json, &input->counts);
        json_set(json, "survey", input_survey_json(&input->survey));
        json_append(array, json);
    }
    return array;
}

Json *shard_metadata_json(const ShardMetadata *metadata, Json *build)
{
    Json *json = json_object();
    json_set(json, "format", json_string(FORMAT_NAME));
    json_set(json, "version", json_integer(SHARD_FORMAT_VERSION));
    json_set(json, "build", build);
    json_set(json, "vocab_size", json_integer(metadata->vocab_size));
    json_set(json, "scheme", json_string(label_scheme_name(metadata->scheme)));
    json_set(json, "words", json_string(words_rule_name(metadata->words)));
    json_set(json, "words_agreement", json_real(metadata->words_agreement));
    json_set(json, "labels", labels_json(metadata->labels));
    json_set(json, "all_labels", labels_json(metadata->all_labels));
    Json *splits = json_array();
    for (size_t i = 0; i < metadata->splits.count; i++) {
        Json *split = json_object();
        json_set(split, "name", json_string(metadata->splits.items[i].name));
        counts_set(split, &metadata->splits.items[i].counts);
        json_set(split, "pseudo", counts_json(&metadata->splits.items[i].pseudo));
        json_set(split, "weak", counts_json(&metadata->splits.items[i].weak));
        json_append(splits, split);
    }
    json_set(json, "splits", splits);
    json_set(json, "inputs", inputs_json(metadata));
    char identity[SHA256_HEX_SIZE];
    shard_metadata_identity(json, identity);
    json_set(json, "identity", json_string(identity));
    return json;
}

/* A copy of an object without one of its keys. */
static Json *copy_without(const Json *object, const char *key)
{
    Json *copy = json_object();
    for (size_t i = 0; i < json_count(object); i++)
        if (strcmp(json_key_at(object, i), key) != 0)
            json_set(copy, json_key_at(object, i), json_copy(json_value_at(object, i)));
    return copy;
}

static Json *build_without_paths(const Json *build)
{
    Json *copy = copy_without(build, "inputs"), *inputs = json_array();
    const Json *given = json_get(build, "inputs");
    for (size_t i = 0; i < json_count(given); i++)
        json_append(inputs, copy_without(json_at(given, i), "path"));
    json_set(copy, "inputs", inputs);
    return copy;
}

char *shard_metadata_build_text(const Json *build)
{
    Json *copy = build_without_paths(build);
    char *text = json_text(copy, JSON_CANONICAL);
    json_destroy(&copy);
    return text;
}

char *shard_metadata_settings_text(const Json *build)
{
    static const char *const of_inputs[] = {"pseudo_weight", "weak_weight", "weak_vote"};
    Json *copy = copy_without(build, "inputs"), *options = json_copy(json_get(build, "options"));
    for (size_t i = 0; i < sizeof of_inputs / sizeof *of_inputs; i++) {
        Json *without = copy_without(options, of_inputs[i]);
        json_destroy(&options);
        options = without;
    }
    json_set(copy, "options", options);
    char *text = json_text(copy, JSON_CANONICAL);
    json_destroy(&copy);
    return text;
}

void shard_metadata_identity(const Json *json, char identity[SHA256_HEX_SIZE])
{
    Json *copy = copy_without(json, "identity");
    json_set(copy, "build", build_without_paths(json_get(json, "build")));
    char *text = json_text(copy, JSON_CANONICAL);
    sha256_hex(text, strlen(text), identity);
    free(text);
    json_destroy(&copy);
}

/* What is missing or of the wrong kind in a metadata record is corruption, not somebody's input. */
static Status as_corrupt(Status status, const char *path, Diagnostic *diagnostic)
{
    if (status == STATUS_OK)
        return status;
    if (diagnostic)
        diagnostic->code = STATUS_CORRUPT;
    diagnostic_prefix(diagnostic, "%s: the metadata is damaged, make the shards again", path);
    return STATUS_CORRUPT;
}

static Status parse_labels(LabelSet **labels, const Json *json, const char *key, const char *path, Diagnostic *diagnostic)
{
    const Json *array = json_get(json, key);
    size_t count = json_is_array(array) ? json_count(array) : 0;
    *labels = label_set_create();
    if (count == 0 || count > LABEL_LIMIT)
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: \"%s\" is not a list of 1 to %d labels", path, key, LABEL_LIMIT);
    for (size_t i = 0; i < count; i++) {
        const char *name = json_string_value(json_at(array, i));
        LabelParts parts;
        bool label = name && (label_split(name, &parts) || strcmp(name, LABEL_LATER_PIECE) == 0);
        if (!label || label_set_add(*labels, name) != (int32_t)i)
            return FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: entry %zu of \"%s\" is not a label, or there twice", path, i, key);
    }
    return STATUS_OK;
}

static Status parse_all_labels(ShardMetadata *metadata, const Json *json, const char *path, Diagnostic *diagnostic)
{
    Status status = parse_labels(&metadata->labels, json, "labels", path, diagnostic);
    if (status == STATUS_OK)
        status = parse_labels(&metadata->all_labels, json, "all_labels", path, diagnostic);
    if (status != STATUS_OK)
        return status;
    for (int32_t id = 0; id < label_set_count(metadata->labels); id++)
        if (label_set_find(metadata->all_labels, label_set_name(metadata->labels, id)) != id)
            return FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: \"all_labels\" does not begin with \"labels\"", path);
    return STATUS_OK;
}

static Status parse_splits(ShardMetadata *metadata, const Json *json, const char *path, Diagnostic *diagnostic)
{
    const Json *splits = json_get(json, "splits");
    size_t count = json_is_array(splits) ? json_count(splits) : 0;
    if (count == 0 || count > SHARD_SPLIT_LIMIT)
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: \"splits\" is not a list of 1 to %d splits", path, SHARD_SPLIT_LIMIT);
    for (size_t i = 0; i < count; i++) {
        const char *name;
        Status status = json_require_string(json_at(splits, i), "name", path, &name, diagnostic);
        if (status != STATUS_OK)
            return status;
        ShardSplit split = {.name = memory_copy_string(name)};
        array_push(&metadata->splits, split);
        ShardSplit *there = &metadata->splits.items[i];
        status = counts_parse(&there->counts, json_at(splits, i), path, diagnostic);
        if (status == STATUS_OK)
            status = counts_parse(&there->pseudo, json_get(json_at(splits, i), "pseudo"), path, diagnostic);
        if (status == STATUS_OK)
            status = counts_parse(&there->weak, json_get(json_at(splits, i), "weak"), path, diagnostic);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

static Status parse_inputs(ShardMetadata *metadata, const Json *json, const char *path, Diagnostic *diagnostic)
{
    const Json *inputs = json_get(json, "inputs");
    size_t count = json_is_array(inputs) ? json_count(inputs) : 0;
    if (count == 0 || count > SHARD_INPUT_LIMIT)
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: \"inputs\" is not a list of 1 to %d inputs", path, SHARD_INPUT_LIMIT);
    for (size_t i = 0; i < count; i++) {
        const Json *item = json_at(inputs, i);
        const char *key;
        int64_t split;
        Status status = json_require_string(item, "key", path, &key, diagnostic);
        if (status == STATUS_OK)
            status = json_require_integer(item, "split", path, 0, (int64_t)metadata->splits.count - 1, &split, diagnostic);
        if (status != STATUS_OK)
            return status;
        ShardInput input = {.key = memory_copy_string(key), .split = (int32_t)split};
        array_push(&metadata->inputs, input);
        ShardInput *there = &metadata->inputs.items[i];
        status = counts_parse(&there->counts, item, path, diagnostic);
        if (status == STATUS_OK)
            status = input_survey_parse(&there->survey, json_get(item, "survey"), path, diagnostic);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

static Status parse_names(ShardMetadata *metadata, const Json *json, const char *path, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const Json *build = json_get(json, "build");
    const char *scheme, *words, *vocab, *identity;
    TRY(json_require_string(json, "scheme", path, &scheme, diagnostic));
    TRY(json_require_string(json, "words", path, &words, diagnostic));
    TRY(json_require_string(json, "identity", path, &identity, diagnostic));
    TRY(json_require_string(build, "vocab_sha256", path, &vocab, diagnostic));
    if (!label_scheme_parse(scheme, &metadata->scheme) || !words_rule_parse(words, &metadata->words))
        TRY_FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: unknown scheme \"%s\" or words rule \"%s\"", path, scheme, words);
    if (strlen(vocab) != SHA256_HEX_SIZE - 1)
        TRY_FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: \"vocab_sha256\" is not a SHA-256", path);
    memcpy(metadata->vocab_sha256, vocab, SHA256_HEX_SIZE);
    shard_metadata_identity(json, metadata->identity);
    if (strcmp(metadata->identity, identity) != 0)
        TRY_FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: the metadata was changed: its identity is not %.64s", path, identity);
    metadata->lowercase = json_boolean_value(json_get(build, "lowercase"), false);
    metadata->lowercase_given = json_boolean_value(json_get(build, "lowercase_given"), false);
    TRY(options_from_json(data_option_table(), &metadata->options, json_get(build, "options"), path, diagnostic));
out:
    return status;
}

static Status parse_version(const Json *json, const char *path, Diagnostic *diagnostic)
{
    const char *format = json_string_value(json_get(json, "format"));
    int64_t version = json_integer_value(json_get(json, "version"), -1);
    if (!format || strcmp(format, FORMAT_NAME) != 0)
        return FAIL(diagnostic, STATUS_CORRUPT, "%s: the metadata is not that of a shard store", path);
    if (version != SHARD_FORMAT_VERSION)
        return FAIL(diagnostic, STATUS_UNSUPPORTED, "%s has shard format %lld, this program reads %d: make the shards again", path,
                    (long long)version, SHARD_FORMAT_VERSION);
    return STATUS_OK;
}

Status shard_metadata_parse(ShardMetadata *metadata, const char *text, size_t size, const char *path, Json **json,
                            Diagnostic *diagnostic)
{
    *metadata = (ShardMetadata){0};
    Json *parsed = NULL;
    int64_t vocab_size;
    Status status = as_corrupt(json_parse(&parsed, text, size, path, diagnostic), path, diagnostic);
    if (status == STATUS_OK)
        status = parse_version(parsed, path, diagnostic);
    if (status != STATUS_OK)
        goto out;
    TRY(as_corrupt(parse_names(metadata, parsed, path, diagnostic), path, diagnostic));
    TRY(as_corrupt(json_require_integer(parsed, "vocab_size", path, 1, INT32_MAX, &vocab_size, diagnostic), path, diagnostic));
    metadata->vocab_size = (int32_t)vocab_size;
    metadata->words_agreement = json_number_value(json_get(parsed, "words_agreement"), 0);
    TRY(as_corrupt(parse_all_labels(metadata, parsed, path, diagnostic), path, diagnostic));
    TRY(as_corrupt(parse_splits(metadata, parsed, path, diagnostic), path, diagnostic));
    TRY(as_corrupt(parse_inputs(metadata, parsed, path, diagnostic), path, diagnostic));
    if (json) {
        *json = parsed;
        parsed = NULL;
    }
out:
    if (status != STATUS_OK)
        shard_metadata_free(metadata);
    json_destroy(&parsed);
    return status;
}

ShardSummary shard_metadata_summary(const ShardMetadata *metadata)
{
    ShardSummary summary = {.words_agreement = metadata->words_agreement};
    for (size_t i = 0; i < metadata->splits.count; i++) {
        const ShardSplit *split = &metadata->splits.items[i];
        summary.sentences += split->counts.sentences;
        summary.tokens += split->counts.tokens;
        summary.pieces += split->counts.pieces;
        summary.windows += split->counts.windows;
        summary.zero_piece_tokens += split->counts.zero_piece_tokens;
        summary.unk_pieces += split->counts.unk_pieces;
        summary.unlabelled_tokens += split->counts.unlabelled_tokens;
        summary.dropped += split->counts.dropped;
        summary.pseudo_sentences += split->pseudo.sentences;
        summary.weak_sentences += split->weak.sentences;
    }
    return summary;
}
