/* nersweep shard: corpus files into the shard store. */
#include <stdlib.h>

#include "cli/command.h"
#include "cli/shards.h"
#include "core/io/file.h"

typedef struct ShardFlags {
    StringArray train, dev, test;
    char *model, *vocab, *out, *words, *format;
    bool cased, lowercase, json;
} ShardFlags;

static const OptionDescriptor shard_descriptors[] = {
    FLAG_LIST(ShardFlags, train, "training file; may be given several times"),
    FLAG_LIST(ShardFlags, dev, "[NAME=]FILE to evaluate on; may be given several times"),
    FLAG_LIST(ShardFlags, test, "test file"),
    FLAG_STRING(ShardFlags, model, "model folder, or a config.json (required)"),
    FLAG_STRING(ShardFlags, vocab, "vocab.txt, when it is not the model folder's"),
    FLAG_STRING(ShardFlags, out, "folder of the shards (required)"),
    FLAG_STRING(ShardFlags, words,
                "rule for words of raw text: corpus (default: the best of the others), treebank, whitespace, bert"),
    FLAG_STRING(ShardFlags, format,
                "format of the files: conll (tsv), csv, jsonl, prodigy, labelstudio or spacy; found by content when not given"),
    FLAG_BOOLEAN(ShardFlags, cased, "keep case and accents, whatever the model folder says"),
    FLAG_BOOLEAN(ShardFlags, lowercase, "lower case, whatever the model folder says"),
    FLAG_BOOLEAN(ShardFlags, json, "print a summary as JSON"),
};
static const OptionTable shard_table = {"Options", shard_descriptors, sizeof shard_descriptors / sizeof shard_descriptors[0],
                                        sizeof(ShardFlags)};

static void print_summary(const ShardStore *store, bool as_json)
{
    Json *json = json_object(), *splits = json_object();
    for (int32_t i = 0; i < shard_split_count(store); i++) {
        Json *split = json_object();
        json_set(split, "sequences", json_integer(shard_sequence_count(store, i)));
        json_set(split, "windows", json_integer(shard_window_count(store, i)));
        json_set(splits, shard_split_name(store, i), split);
        if (!as_json)
            printf("%-16s %10lld sequences %10lld windows\n", shard_split_name(store, i), (long long)shard_sequence_count(store, i),
                   (long long)shard_window_count(store, i));
    }
    json_set(json, "identity", json_string(shard_store_identity(store)));
    json_set(json, "scheme", json_string(label_scheme_name(shard_store_scheme(store))));
    json_set(json, "words", json_string(words_rule_name(shard_store_words(store))));
    json_set(json, "labels", json_integer(label_set_count(shard_store_labels(store))));
    json_set(json, "splits", splits);
    if (as_json)
        command_print_json(&json, JSON_COMPACT);
    else
        printf("scheme %s, %d labels, words rule %s\n", label_scheme_name(shard_store_scheme(store)),
               label_set_count(shard_store_labels(store)), words_rule_name(shard_store_words(store)));
    json_destroy(&json);
}

/* What the tables of flags cannot say. -1 to go on. */
static int check_usage(const Command *command, const ShardFlags *flags, const DataOptions *data, const PositionalArray *positional)
{
    Diagnostic diagnostic = {0};
    if (positional->count)
        return command_usage_error(command, "%s is not expected here", positional->items[0]);
    if (flags->train.count == 0 || flags->model == NULL || flags->out == NULL)
        return command_usage_error(command, "--train, --model and --out are required");
    if (!path_is_folder(flags->model) && flags->vocab == NULL && path_exists(flags->model))
        return command_usage_error(command, "--model %s is a file: --vocab is needed beside a config.json", flags->model);
    if (flags->cased && flags->lowercase)
        return command_usage_error(command, "--cased and --lowercase exclude each other");
    if (data_options_validate(data, &diagnostic) != STATUS_OK)
        return command_usage_error(command, "%s", diagnostic.message);
    return -1;
}

static Status shard(const ShardFlags *flags, const DataOptions *data, CorpusFormat format, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    ShardSourceArray sources = {0};
    StringArray names = {0};
    ShardStore *store = NULL;
    TRY(shards_sources(&flags->train, &flags->dev, &flags->test, &sources, &names, diagnostic));
    ShardRequest request = {.model = flags->model,
                            .vocab = flags->vocab,
                            .lowercase = flags->cased       ? 0
                                         : flags->lowercase ? 1
                                                            : -1,
                            .words = flags->words,
                            .format = format,
                            .options = data,
                            .sources = sources.items,
                            .source_count = sources.count,
                            .interrupted = command_catch_interrupts()};
    TRY(shards_build(&request, flags->out, diagnostic));
    TRY(shard_store_open(&store, flags->out, diagnostic));
    print_summary(store, flags->json);
out:
    shard_store_close(&store);
    array_free(&sources);
    string_array_free(&names);
    return status;
}

static int shard_run(const Command *command, int argc, char **argv)
{
    ShardFlags flags = {0};
    DataOptions data;
    CorpusFormat format;
    OptionBinding bindings[] = {{&shard_table, &flags}, {data_option_table(), &data}};
    PositionalArray positional = {0};
    Diagnostic diagnostic = {0};
    int code = command_parse(command, bindings, 2, argc, argv, &positional);
    if (code < 0)
        code = check_usage(command, &flags, &data, &positional);
    if (code < 0)
        code = command_format(command, "format", flags.format, &format);
    if (code < 0)
        code = shard(&flags, &data, format, &diagnostic) == STATUS_OK ? 0 : command_fail(&diagnostic);
    array_free(&positional);
    options_free(&shard_table, &flags);
    return code;
}

const Command command_shard = {"shard", "--train FILE --dev [NAME=]FILE --model DIR --out DIR [...]",
                               "tokenised, label-aligned shards of a data set", shard_run};
