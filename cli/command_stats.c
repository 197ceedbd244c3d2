/* nersweep stats */
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "shard/stats.h"

typedef struct StatsFlags {
    char *format, *vocab, *token_column, *label_column;
    bool cased, json;
} StatsFlags;

static const OptionDescriptor stats_descriptors[] = {
    FLAG_STRING(StatsFlags, format,
                "file format: conll (tsv), csv, jsonl, prodigy, labelstudio, spacy or brat; found by content when not given"),
    FLAG_STRING(StatsFlags, vocab, "vocab.txt: lengths in pieces as well"),
    FLAG_BOOLEAN(StatsFlags, cased, "keep case and accents"),
    FLAG_STRING(StatsFlags, token_column, "column of the token, from 1, negative from the end; default 1"),
    FLAG_STRING(StatsFlags, label_column, "column of the label; default -1, the last"),
    FLAG_BOOLEAN(StatsFlags, json, "one JSON object per file"),
};
static const OptionTable stats_table = {"Options", stats_descriptors, sizeof stats_descriptors / sizeof stats_descriptors[0],
                                        sizeof(StatsFlags)};

/* Nested objects become indented lines; the order is the library's. */
static void print_object(const Json *json, int indent)
{
    for (size_t i = 0; i < json_count(json); i++) {
        const Json *value = json_value_at(json, i);
        if (json_is_object(value)) {
            printf("%*s%s\n", indent, "", json_key_at(json, i));
            print_object(value, indent + 2);
        } else if (json_is_string(value)) {
            printf("%*s%-24s %s\n", indent, "", json_key_at(json, i), json_string_value(value));
        } else if (json_is_integer(value)) {
            printf("%*s%-24s %lld\n", indent, "", json_key_at(json, i), (long long)json_integer_value(value, 0));
        } else if (json_is_number(value)) {
            printf("%*s%-24s %.4g\n", indent, "", json_key_at(json, i), json_number_value(value, 0));
        }
    }
}

/* The first file is what the overlap of the others is counted against. */
static Status show_files(const StatsFlags *flags, CorpusOptions columns, const PositionalArray *files, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Wordpiece *wordpiece = NULL;
    CorpusStats *first = NULL, *stats = NULL;
    if (flags->vocab)
        TRY(wordpiece_open(&wordpiece, flags->vocab, (WordpieceOptions){.lowercase = !flags->cased}, diagnostic));
    for (size_t i = 0; i < files->count; i++) {
        TRY(corpus_stats_create(&stats, files->items[i], columns, wordpiece, diagnostic));
        Json *json = corpus_stats_json(stats, first);
        if (flags->json)
            command_print_json(&json, JSON_COMPACT);
        else {
            print_object(json, 0);
            putchar('\n');
        }
        json_destroy(&json);
        if (first == NULL) {
            first = stats;
            stats = NULL;
        }
        corpus_stats_destroy(&stats);
        TRY(command_flush(diagnostic));
    }
out:
    corpus_stats_destroy(&stats);
    corpus_stats_destroy(&first);
    wordpiece_close(&wordpiece);
    return status;
}

static int stats_run(const Command *command, int argc, char **argv)
{
    StatsFlags flags = {0};
    OptionBinding binding = {&stats_table, &flags};
    PositionalArray files = {0};
    CorpusOptions columns;
    Diagnostic diagnostic = {0};
    int code = command_parse(command, &binding, 1, argc, argv, &files);
    if (code < 0 && files.count == 0)
        code = command_usage_error(command, "no file is given");
    if (code < 0)
        code = command_columns(command, flags.token_column, flags.label_column, &columns);
    if (code < 0)
        code = command_format(command, "format", flags.format, &columns.format);
    if (code < 0)
        code = show_files(&flags, columns, &files, &diagnostic) == STATUS_OK ? 0 : command_fail(&diagnostic);
    array_free(&files);
    options_free(&stats_table, &flags);
    return code;
}

const Command command_stats = {"stats", "FILE... [--vocab FILE] [--json]",
                               "sentences, tokens, spans, lengths, duplicates; overlap of further files with the first", stats_run};
