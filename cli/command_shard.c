/* nersweep shard: corpus files into the shard store. */
#include <stdlib.h>

#include "cli/command.h"
#include "cli/shards.h"
#include "core/io/file.h"

typedef struct ShardFlags {
    StringArray train, dev, test, pseudo, weak;
    char *model, *vocab, *out, *words, *format;
    int64_t threads;
    bool cased, lowercase, json;
} ShardFlags;

static const OptionDescriptor shard_descriptors[] = {
    FLAG_LIST(ShardFlags, train, "training file; may be given several times"),
    FLAG_LIST(ShardFlags, pseudo,
              "further training file whose labels a model gave, with a column of weights or without; may be given several times"),
    FLAG_LIST(ShardFlags, weak,
              "further training file with weak labels; several ones label the same tokens and are voted on (weak_vote)"),
    FLAG_LIST(ShardFlags, dev, "[NAME=]FILE to evaluate on; may be given several times"),
    FLAG_LIST(ShardFlags, test, "test file"),
    FLAG_STRING(ShardFlags, model, "model folder, or a config.json (required)"),
    FLAG_STRING(ShardFlags, vocab, "vocab.txt, when it is not the model folder's"),
    FLAG_STRING(ShardFlags, out, "folder of the shards (required)"),
    FLAG_STRING(ShardFlags, words,
                "rule for words of raw text: corpus (default: the best of the others), treebank, whitespace, bert"),
    FLAG_STRING(ShardFlags, format,
                "format of the files: conll (tsv), csv, jsonl, prodigy, labelstudio or spacy; found by content when not given"),
    FLAG_INTEGER(ShardFlags, threads, 0, 1024, "0", "threads; 0: all processors. What is made is the same for any number"),
    FLAG_BOOLEAN(ShardFlags, cased, "keep case and accents, whatever the model folder says"),
    FLAG_BOOLEAN(ShardFlags, lowercase, "lower case, whatever the model folder says"),
    FLAG_BOOLEAN(ShardFlags, json, "print a summary as JSON"),
};
static const OptionTable shard_table = {"Options", shard_descriptors, sizeof shard_descriptors / sizeof shard_descriptors[0],
                                        sizeof(ShardFlags)};

/* The counts of a split that are worth a line of their own. */
static Json *split_summary(const Json *split)
{
    static const char *const counts[] = {"sequences", "sentences", "tokens", "pieces", "windows"};
    Json *summary = json_object();
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        json_set(summary, counts[i], json_copy(json_get(split, counts[i])));
    static const char *const kinds[] = {"pseudo", "weak"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (json_integer_value(json_get(json_get(split, kinds[i]), "sentences"), 0) > 0)
            json_set(summary, kinds[i], split_summary(json_get(split, kinds[i])));
    static const char *const losses[] = {"unlabelled_tokens", "dropped", "zero_piece_tokens"};
    for (size_t i = 0; i < sizeof losses / sizeof *losses; i++)
        if (json_integer_value(json_get(split, losses[i]), 0) > 0)
            json_set(summary, losses[i], json_copy(json_get(split, losses[i])));
    return summary;
}

static void print_line(const char *name, const Json *split)
{
    printf("%-16s %10lld sequences %10lld windows\n", name, (long long)json_integer_value(json_get(split, "sequences"), 0),
           (long long)json_integer_value(json_get(split, "windows"), 0));
}

static void print_summary(const Json *metadata, bool as_json)
{
    Json *json = json_object(), *splits = json_object();
    const Json *given = json_get(metadata, "splits");
    for (size_t i = 0; i < json_count(given); i++) {
        const char *name = json_string_value(json_get(json_at(given, i), "name"));
        Json *split = split_summary(json_at(given, i));
        if (!as_json) {
            print_line(name, split);
            if (json_get(split, "pseudo"))
                print_line("  pseudo-labelled", json_get(split, "pseudo"));
            if (json_get(split, "weak"))
                print_line("  weakly labelled", json_get(split, "weak"));
        }
        json_set(splits, name, split);
    }
    const char *scheme = json_string_value(json_get(metadata, "scheme")), *words = json_string_value(json_get(metadata, "words"));
    size_t labels = json_count(json_get(metadata, "labels"));
    json_set(json, "identity", json_copy(json_get(metadata, "identity")));
    json_set(json, "scheme", json_string(scheme));
    json_set(json, "words", json_string(words));
    json_set(json, "labels", json_integer((int64_t)labels));
    json_set(json, "splits", splits);
    if (as_json)
        command_print_json(&json, JSON_COMPACT);
    else
        printf("scheme %s, %zu labels, words rule %s\n", scheme, labels, words);
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
    Json *metadata = NULL;
    ShardFiles files = {&flags->train, &flags->pseudo, &flags->weak, &flags->dev, &flags->test};
    TRY(shards_sources(files, &sources, &names, diagnostic));
    ShardRequest request = {.model = flags->model,
                            .vocab = flags->vocab,
                            .lowercase = flags->cased       ? 0
                                         : flags->lowercase ? 1
                                                            : -1,
                            .words = flags->words,
                            .format = format,
                            .threads = (int32_t)flags->threads,
                            .options = data,
                            .sources = sources.items,
                            .source_count = sources.count,
                            .interrupted = command_catch_interrupts(),
                            .metadata = &metadata};
    TRY(shards_build(&request, flags->out, diagnostic));
    print_summary(metadata, flags->json);
out:
    json_destroy(&metadata);
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
