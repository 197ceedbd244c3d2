/* nersweep stats: annotated files counted, side by side as tables, JSON, or a page of plots. */
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/html.h"
#include "cli/stats_view.h"
#include "cli/terminal.h"
#include "core/base/log.h"
#include "core/io/file.h"
#include "inference/notes.h"
#include "model/folder.h"
#include "shard/stats.h"

enum { FILE_LIMIT = 64 }; /* each keeps its hashes */

typedef struct StatsFlags {
    char *format, *model, *vocab, *html, *token_column, *label_column;
    int64_t max_seq_length;
    bool cased, json;
} StatsFlags;

static const OptionDescriptor stats_descriptors[] = {
    FLAG_STRING(StatsFlags, format,
                "file format: conll (tsv), csv, jsonl, prodigy, labelstudio, spacy or brat; found by content when not given"),
    FLAG_STRING(StatsFlags, html, "write a page with plots to this file, which needs nothing but itself"),
    FLAG_STRING(StatsFlags, model, "model folder: lengths in pieces of its vocabulary, and what its windows hold"),
    FLAG_STRING(StatsFlags, vocab, "vocab.txt: lengths in pieces as well"),
    FLAG_BOOLEAN(StatsFlags, cased, "--vocab: keep case and accents"),
    FLAG_INTEGER(StatsFlags, max_seq_length, 0, 65536, "0",
                 "pieces of a window, special ones included; 0: the model folder's, or with --vocab alone none"),
    FLAG_STRING(StatsFlags, token_column, "column of the token, from 1, negative from the end; default 1"),
    FLAG_STRING(StatsFlags, label_column, "column of the label; default -1, the last"),
    FLAG_BOOLEAN(StatsFlags, json, "one JSON object per file"),
};
static const OptionTable stats_table = {"Options", stats_descriptors, sizeof stats_descriptors / sizeof stats_descriptors[0],
                                        sizeof(StatsFlags)};

/* The model's vocabulary, and how many pieces its windows hold. */
static Status open_model(const StatsFlags *flags, Wordpiece **wordpiece, int64_t *max_seq_length, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    TokenizerFiles tokenizer = {0};
    BertConfig config = {0};
    PredictionNotes notes;
    char *path = path_join(flags->model, "config.json");
    TRY(bert_config_read(&config, path, diagnostic));
    TRY(model_folder_tokenizer(flags->model, &tokenizer, diagnostic));
    TRY(wordpiece_open(wordpiece, tokenizer.vocab_path, (WordpieceOptions){.lowercase = tokenizer.lowercase}, diagnostic));
    TRY(prediction_notes_read(&notes, flags->model, config.max_position_embeddings, diagnostic));
    *max_seq_length = notes.max_seq_length;
out:
    tokenizer_files_free(&tokenizer);
    bert_config_free(&config);
    free(path);
    return status;
}

static Status open_vocabulary(const StatsFlags *flags, Wordpiece **wordpiece, int64_t *window_pieces, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    int64_t max_seq_length = 0;
    if (flags->model)
        status = open_model(flags, wordpiece, &max_seq_length, diagnostic);
    else if (flags->vocab)
        status = wordpiece_open(wordpiece, flags->vocab, (WordpieceOptions){.lowercase = !flags->cased}, diagnostic);
    if (flags->max_seq_length > 0)
        max_seq_length = flags->max_seq_length;
    *window_pieces = max_seq_length > 0 ? max_seq_length - 2 : 0;
    return status;
}

static Status write_page(const char *path, const JsonArray *files, const StringArray *names, const StatsRowArray *rows,
                         Diagnostic *diagnostic)
{
    Text page = {0};
    stats_page(&page, files, names, rows);
    Status status = file_write_durable(file_system_posix(), path, page.bytes, page.size, diagnostic);
    text_free(&page);
    return status;
}

static Status show(const StatsFlags *flags, JsonArray *files, Diagnostic *diagnostic)
{
    StringArray names = {0};
    StatsRowArray rows = {0};
    Status status = STATUS_OK;
    stats_view_names(files, &names);
    stats_rows_make(files, &names, &rows);
    if (flags->html)
        status = write_page(flags->html, files, &names, &rows, diagnostic);
    if (status == STATUS_OK && flags->json)
        for (size_t i = 0; i < files->count; i++)
            command_print_json(&files->items[i], JSON_COMPACT);
    else if (status == STATUS_OK && !flags->html)
        stats_print(&rows, &names, stdout, terminal_width(stdout), command_colours(stdout));
    stats_rows_free(&rows);
    string_array_free(&names);
    return status == STATUS_OK ? command_flush(diagnostic) : status;
}

static Status show_files(const StatsFlags *flags, CorpusOptions columns, const PositionalArray *paths, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Wordpiece *wordpiece = NULL;
    ARRAY(CorpusStats *) stats = {0};
    JsonArray files = {0};
    CorpusStatsOptions options = {.corpus = columns};
    bool limit_reached = false;
    TRY(open_vocabulary(flags, &wordpiece, &options.window_pieces, diagnostic));
    options.wordpiece = wordpiece;
    for (size_t i = 0; i < paths->count; i++) {
        CorpusStats *made = NULL;
        options.earlier = (const CorpusStats *const *)stats.items;
        options.earlier_count = stats.count;
        TRY(corpus_stats_create(&made, paths->items[i], &options, diagnostic));
        array_push(&stats, made);
        array_push(&files, corpus_stats_json(made));
        limit_reached |= json_boolean_value(json_get(files.items[i], "limit_reached"), false);
    }
    if (limit_reached)
        LOG_WARNING(
            "more than %d sentences, tokens or surface forms are distinct: duplicates and overlaps are at least, unseen spans at "
            "most, what is said",
            STATS_HASH_LIMIT);
    TRY(show(flags, &files, diagnostic));
out:
    for (size_t i = 0; i < files.count; i++)
        json_destroy(&files.items[i]);
    for (size_t i = 0; i < stats.count; i++)
        corpus_stats_destroy(&stats.items[i]);
    array_free(&files);
    array_free(&stats);
    wordpiece_close(&wordpiece);
    return status;
}

/* What the table of flags cannot say. -1 to go on. */
static int check_usage(const Command *command, const StatsFlags *flags, const PositionalArray *files)
{
    if (files->count == 0)
        return command_usage_error(command, "no file is given");
    if (files->count > FILE_LIMIT)
        return command_usage_error(command, "%zu files are given: at most %d are compared at once", files->count, FILE_LIMIT);
    if (flags->html && files->count > HTML_SERIES_LIMIT)
        return command_usage_error(command, "--html takes at most %d files", HTML_SERIES_LIMIT);
    if (flags->model && flags->vocab)
        return command_usage_error(command, "--model and --vocab exclude each other");
    if (flags->cased && !flags->vocab)
        return command_usage_error(command, "--cased goes with --vocab");
    if (flags->max_seq_length > 0 && flags->max_seq_length < 3)
        return command_usage_error(command, "--max-seq-length %lld leaves no place beside the special pieces",
                                   (long long)flags->max_seq_length);
    return -1;
}

static int stats_run(const Command *command, int argc, char **argv)
{
    StatsFlags flags = {0};
    OptionBinding binding = {&stats_table, &flags};
    PositionalArray files = {0};
    CorpusOptions columns;
    Diagnostic diagnostic = {0};
    int code = command_parse(command, &binding, 1, argc, argv, &files);
    if (code < 0)
        code = check_usage(command, &flags, &files);
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

const Command command_stats = {"stats", "FILE... [--html OUT.html] [--model DIR] [--json]",
                               "sentences, spans, lengths, labels, diversity, duplicates; further files compared with the first",
                               stats_run};
