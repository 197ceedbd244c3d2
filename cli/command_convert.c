/* nersweep convert: annotated files from one format and label scheme to another. */
#include <stdlib.h>

#include "cli/command.h"
#include "shard/convert.h"

typedef struct ConvertFlags {
    char *from, *to, *scheme, *words, *token_column, *label_column, *sentence_column, *label_list;
    int flatten, misaligned;
    bool merge_adjacent, repair, json;
} ConvertFlags;

static const OptionDescriptor convert_descriptors[] = {
    FLAG_STRING(ConvertFlags, from,
                "format of IN: conll (tsv), csv, jsonl, prodigy, labelstudio, spacy or brat; found by content when not given"),
    FLAG_STRING(ConvertFlags, to, "format of OUT (required)"),
    FLAG_STRING(
        ConvertFlags, scheme,
        "label scheme of OUT: IO, IOB1, IOB2, IOE1, IOE2, IOBES, BILOU; default that of IN, IOB2 where IN has spans of a text"),
    FLAG_CHOICE(ConvertFlags, flatten, flatten_policy_names, "error",
                "spans that overlap: error, or keep the outermost, innermost, longest or first"),
    FLAG_CHOICE(ConvertFlags, misaligned, misaligned_policy_names, "error",
                "spans that cut a token: error, or expand, contract or drop them"),
    FLAG_STRING(ConvertFlags, words, "rule for words of raw text: treebank (default), whitespace, bert"),
    FLAG_BOOLEAN(ConvertFlags, merge_adjacent, "spans of one type that meet may become one (scheme IO)"),
    FLAG_BOOLEAN(ConvertFlags, repair, "mend labels that the scheme of IN does not allow: I- without B- becomes B-"),
    FLAG_STRING(ConvertFlags, token_column, "column of the token: from 1, negative from the end, or a name in a CSV header"),
    FLAG_STRING(ConvertFlags, label_column, "column of the label, likewise"),
    FLAG_STRING(ConvertFlags, sentence_column, "column of the sentence's id in a CSV file, likewise"),
    FLAG_STRING(ConvertFlags, label_list, "labels of the numbers in ner_tags, separated by commas, the first is 0"),
    FLAG_BOOLEAN(ConvertFlags, json, "print a summary as JSON"),
};
static const OptionTable convert_table = {"Options", convert_descriptors,
                                          sizeof convert_descriptors / sizeof convert_descriptors[0], sizeof(ConvertFlags)};

static void show_repair(void *context, const char *file, long line, long column, const char *before, const char *after)
{
    (void)context;
    fprintf(stderr, "%s:%ld:%ld: repaired: %s becomes %s\n", file, line, column, before, after);
}

static void print_summary(const ConvertFlags *flags, const ConvertOptions *options, const ConvertSummary *summary)
{
    const CorpusCounts *counts = &summary->counts;
    if (!flags->json) {
        fprintf(stderr, "%lld sentences, %s to %s", (long long)summary->sentences, corpus_format_names[summary->from],
                corpus_format_names[options->to]);
        if (flags->repair)
            fprintf(stderr, ", %lld labels repaired", (long long)summary->repaired);
        if (flags->misaligned != MISALIGNED_ERROR)
            fprintf(stderr, ", %lld misaligned spans", (long long)counts->misaligned);
        if (flags->flatten != FLATTEN_ERROR)
            fprintf(stderr, ", %lld overlapping spans left out", (long long)counts->flattened);
        fprintf(stderr, "\n");
        return;
    }
    Json *json = json_object();
    json_set(json, "from", json_string(corpus_format_names[summary->from]));
    json_set(json, "to", json_string(corpus_format_names[options->to]));
    json_set(json, "sentences", json_integer(summary->sentences));
    json_set(json, "tokens", json_integer(summary->tokens));
    json_set(json, "repaired", json_integer(summary->repaired));
    json_set(json, "misaligned", json_integer(counts->misaligned));
    json_set(json, "flattened", json_integer(counts->flattened));
    json_set(json, "duplicates", json_integer(counts->duplicates));
    json_set(json, "utf16", json_integer(counts->utf16));
    json_set(json, "skipped", json_integer(counts->skipped));
    command_print_json(&json, JSON_COMPACT);
}

/* What the tables of flags cannot say. -1 to go on. */
static int check_usage(const Command *command, const ConvertFlags *flags, const PositionalArray *files, ConvertOptions *options)
{
    if (files->count != 2)
        return command_usage_error(command, "expected IN and OUT, %zu files are given", files->count);
    if (!flags->to)
        return command_usage_error(command, "--to is required: the format of OUT");
    int code = command_columns(command, flags->token_column, flags->label_column, &options->corpus);
    if (code < 0)
        code = command_format(command, "from", flags->from, &options->corpus.format);
    if (code < 0)
        code = command_format(command, "to", flags->to, &options->to);
    if (code >= 0)
        return code;
    if (options->to == CORPUS_AUTO)
        return command_usage_error(command, "--to auto: name the format of OUT");
    CorpusOptions *corpus = &options->corpus;
    corpus->scheme_given = flags->scheme != NULL;
    corpus->words_given = flags->words != NULL;
    if (flags->scheme && !label_scheme_parse(flags->scheme, &corpus->scheme))
        return command_usage_error(command, "--scheme %s is no label scheme", flags->scheme);
    if (flags->words && !words_rule_parse(flags->words, &corpus->words))
        return command_usage_error(command, "--words %s: expected treebank, whitespace or bert", flags->words);
    corpus->sentence_column = flags->sentence_column;
    corpus->label_list = flags->label_list;
    corpus->flatten = (FlattenPolicy)flags->flatten;
    corpus->misaligned = (MisalignedPolicy)flags->misaligned;
    corpus->merge_adjacent = flags->merge_adjacent;
    options->repair = flags->repair;
    return -1;
}

static int convert_run(const Command *command, int argc, char **argv)
{
    ConvertFlags flags = {0};
    OptionBinding binding = {&convert_table, &flags};
    PositionalArray files = {0};
    ConvertOptions options = {0};
    ConvertSummary summary;
    Diagnostic diagnostic = {0};
    int code = command_parse(command, &binding, 1, argc, argv, &files);
    if (code < 0)
        code = check_usage(command, &flags, &files, &options);
    if (code < 0) {
        code = 0;
        if (corpus_convert(files.items[0], files.items[1], &options, show_repair, NULL, &summary, &diagnostic) == STATUS_OK)
            print_summary(&flags, &options, &summary);
        else
            code = command_fail(&diagnostic);
    }
    array_free(&files);
    options_free(&convert_table, &flags);
    return code;
}

const Command command_convert = {"convert", "IN OUT --to FORMAT [--from FORMAT] [--scheme S] [...]",
                                 "annotated files from one format and label scheme to another", convert_run};
