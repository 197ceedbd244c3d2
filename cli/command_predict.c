/* nersweep predict: text in, one JSON object per line out; or CoNLL in and out. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/lines.h"
#include "cli/tagging.h"

enum { BATCH_TEXTS = 64, BATCH_BYTES = 1 << 18 };

typedef enum PredictInput { INPUT_TEXT, INPUT_CONLL, INPUT_JSONL } PredictInput;
typedef enum PredictOutput { OUTPUT_JSON, OUTPUT_CONLL, OUTPUT_PRODIGY } PredictOutput;

static const char *const input_names[] = {"text", "conll", "jsonl", NULL};
static const char *const output_names[] = {"json", "conll", "prodigy", NULL};
static const char *const aggregation_names[] = {"none", "simple", "first", "average", "max", NULL};
static const char *const merge_names[] = {"confidence", "context", NULL};

typedef struct PredictFlags {
    char *model, *backend, *words, *token_column, *label_column;
    int input, output, aggregation_strategy, merge;
    double min_confidence;
    int64_t stride, max_seq_length, threads;
    bool json;
} PredictFlags;

static const OptionDescriptor predict_descriptors[] = {
    FLAG_STRING(PredictFlags, model, "model folder (required)"),
    FLAG_CHOICE(PredictFlags, input, input_names, "text", "one text per line, CoNLL tokens, or JSON Lines with \"text\""),
    FLAG_CHOICE(PredictFlags, output, output_names, "json", "JSON Lines, CoNLL (with --input conll), or Prodigy's JSON Lines"),
    FLAG_CHOICE(PredictFlags, aggregation_strategy, aggregation_names, "first", "how pieces become entities"),
    FLAG_CHOICE(PredictFlags, merge, merge_names, "confidence", "which span stays where windows disagree"),
    FLAG_REAL(PredictFlags, min_confidence, 0, 1, "0", "entities below are left out"),
    FLAG_INTEGER(PredictFlags, stride, -1, 65536, "-1", "overlap of windows in pieces; -1: the model folder's"),
    FLAG_INTEGER(PredictFlags, max_seq_length, 0, 65536, "0", "pieces of a window; 0: the model folder's"),
    FLAG_STRING(PredictFlags, words, "rule for words: whitespace, treebank, bert; default: the model folder's"),
    FLAG_STRING(PredictFlags, token_column, "--input conll: column of the token, from 1, negative from the end; default 1"),
    FLAG_STRING(PredictFlags, label_column, "--input conll: column of a label, which is not looked at; default -1, the last"),
    FLAG_STRING(PredictFlags, backend, "auto (default), cpu, reference"),
    FLAG_INTEGER(PredictFlags, threads, 0, 1024, "0", "CPU threads; 0: all processors"),
    FLAG_BOOLEAN(PredictFlags, json, "the same as --output json"),
};
static const OptionTable predict_table = {"Options", predict_descriptors,
                                          sizeof predict_descriptors / sizeof predict_descriptors[0], sizeof(PredictFlags)};

static Json *entity_json(const PredictFlags *flags, const char *text, const Entity *entity)
{
    Json *json = json_object();
    if (flags->output == OUTPUT_PRODIGY) {
        json_set(json, "start", json_integer(entity->start));
        json_set(json, "end", json_integer(entity->end));
        json_set(json, "label", json_string(entity->type));
        json_set(json, "score", json_real((double)entity->score));
        return json;
    }
    bool pieces = flags->aggregation_strategy == AGGREGATE_NONE;
    json_set(json, pieces ? "entity" : "entity_group", json_string(entity->type));
    json_set(json, "score", json_real((double)entity->score));
    if (pieces)
        json_set(json, "index", json_integer(entity->index));
    json_set(json, "word", json_string_bytes(text + entity->start_byte, (size_t)(entity->end_byte - entity->start_byte)));
    json_set(json, "start", json_integer(entity->start));
    json_set(json, "end", json_integer(entity->end));
    return json;
}

static void print_entities(const PredictFlags *flags, const char *text, size_t size, const EntityArray *entities)
{
    Json *json = json_object(), *list = json_array();
    for (size_t i = 0; i < entities->count; i++)
        json_append(list, entity_json(flags, text, &entities->items[i]));
    json_set(json, "text", json_string_bytes(text, size));
    json_set(json, flags->output == OUTPUT_PRODIGY ? "spans" : "entities", list);
    command_print_json(&json, JSON_COMPACT);
}

/* Texts wait here until a block is full, so that short lines share one forward pass; results come out in order. */
typedef struct TextBatch {
    char *texts[BATCH_TEXTS];
    size_t sizes[BATCH_TEXTS];
    EntityArray results[BATCH_TEXTS];
    size_t count, bytes;
} TextBatch;

static void batch_clear(TextBatch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        free(batch->texts[i]);
    batch->count = batch->bytes = 0;
}

static Status batch_flush(TextBatch *batch, Predictor *predictor, const PredictFlags *flags, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    if (batch->count > 0)
        status =
            predictor_texts(predictor, (const char *const *)batch->texts, batch->sizes, batch->count, batch->results, diagnostic);
    for (size_t i = 0; status == STATUS_OK && i < batch->count; i++)
        print_entities(flags, batch->texts[i], batch->sizes[i], &batch->results[i]);
    batch_clear(batch);
    return status == STATUS_OK ? command_flush(diagnostic) : status;
}

/* A line that is no UTF-8 is refused with its place before it spoils the batch it stands in. */
static Status check_text(const char *line, size_t size, const LineReader *reader, Diagnostic *diagnostic)
{
    Diagnostic inner = {0};
    WordArray words = {0};
    Status status = words_split(WORDS_WHITESPACE, line, size, &words, &inner);
    if (status != STATUS_OK)
        status = FAIL_AT(diagnostic, status, reader->name, reader->number, 1, "%s", inner.message);
    array_free(&words);
    return status;
}

/* The text of one input line; of JSON Lines the member "text". Owned by the caller. */
static Status line_text(const PredictFlags *flags, const char *line, size_t size, const LineReader *reader, char **text,
                        size_t *text_size, Diagnostic *diagnostic)
{
    if (flags->input == INPUT_TEXT) {
        *text_size = size;
        *text = memory_copy_bytes(line, size);
        return check_text(line, size, reader, diagnostic);
    }
    Json *json = NULL;
    Diagnostic inner = {0};
    Status status = json_parse(&json, line, size, reader->name, &inner);
    const char *value = status == STATUS_OK ? json_string_value(json_get(json, "text")) : NULL;
    *text_size = value ? strlen(value) : 0;
    *text = memory_copy_bytes(value ? value : "", *text_size);
    if (status != STATUS_OK)
        status = FAIL_AT(diagnostic, STATUS_INVALID_INPUT, reader->name, reader->number,
                         inner.input_column > 0 ? inner.input_column : 1, "%s", inner.message);
    else if (value == NULL)
        status = FAIL_AT(diagnostic, STATUS_INVALID_INPUT, reader->name, reader->number, 1,
                         "an object with a string \"text\" is expected on each line");
    json_destroy(&json);
    return status;
}

static bool batch_is_due(const TextBatch *batch, const LineReader *reader)
{
    return batch->count == BATCH_TEXTS || batch->bytes >= BATCH_BYTES || (batch->count > 0 && line_reader_would_wait(reader));
}

static Status predict_lines(Predictor *predictor, const PredictFlags *flags, const char *path, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    LineReader reader = {.file = -1};
    TextBatch batch = {.count = 0};
    const char *line;
    size_t size;
    TRY(line_reader_open(&reader, path, diagnostic));
    for (;;) {
        if (batch_is_due(&batch, &reader))
            TRY(batch_flush(&batch, predictor, flags, diagnostic));
        TRY(line_reader_next(&reader, &line, &size, diagnostic));
        if (line == NULL)
            break;
        if (size == 0 && flags->input == INPUT_JSONL)
            continue;
        status = line_text(flags, line, size, &reader, &batch.texts[batch.count], &batch.sizes[batch.count], diagnostic);
        if (status != STATUS_OK) {
            free(batch.texts[batch.count]);
            goto out;
        }
        batch.bytes += batch.sizes[batch.count++];
    }
out:;
    /* What came before a bad line is still answered; the first error is the one reported. */
    Status flushed = batch_flush(&batch, predictor, flags, status == STATUS_OK ? diagnostic : NULL);
    for (size_t i = 0; i < BATCH_TEXTS; i++)
        array_free(&batch.results[i]);
    line_reader_close(&reader);
    return status != STATUS_OK ? status : flushed;
}

static Status print_sentence(void *context, const CorpusSentence *sentence, const char *const *labels, Diagnostic *diagnostic)
{
    (void)context;
    for (int32_t i = 0; i < sentence->token_count; i++)
        printf("%s\t%s\n", sentence->tokens[i].text, labels[i]);
    putchar('\n');
    return ferror(stdout) ? command_flush(diagnostic) : STATUS_OK;
}

/* -1 to go on. */
static int check_usage(const Command *command, const PredictFlags *flags, const PositionalArray *positional, CorpusOptions *columns)
{
    if (flags->model == NULL)
        return command_usage_error(command, "--model is required");
    if (positional->count > 1)
        return command_usage_error(command, "more than one file is given");
    if ((flags->input == INPUT_CONLL) != (flags->output == OUTPUT_CONLL))
        return command_usage_error(command, "--input conll and --output conll go together");
    if (flags->json && flags->output != OUTPUT_JSON)
        return command_usage_error(command, "--json and --output %s exclude each other", output_names[flags->output]);
    return command_columns(command, flags->token_column, flags->label_column, columns);
}

static Status predict(const PredictFlags *flags, const char *path, CorpusOptions columns, Diagnostic *diagnostic)
{
    Predictor *predictor = NULL;
    PredictorOptions options = {.backend = flags->backend ? flags->backend : "auto",
                                .threads = flags->threads ? (int)flags->threads : (int)sysconf(_SC_NPROCESSORS_ONLN),
                                .max_seq_length = flags->max_seq_length,
                                .stride = flags->stride,
                                .merge = (MergeRule)flags->merge,
                                .aggregation = (AggregationStrategy)flags->aggregation_strategy,
                                .words = flags->words,
                                .min_confidence = flags->min_confidence};
    Status status = predictor_open(&predictor, flags->model, &options, diagnostic);
    if (status == STATUS_OK && flags->input == INPUT_CONLL)
        status = tag_corpus(predictor, path ? path : "-", columns, print_sentence, NULL, diagnostic);
    else if (status == STATUS_OK)
        status = predict_lines(predictor, flags, path, diagnostic);
    predictor_close(&predictor);
    return status;
}

static int predict_run(const Command *command, int argc, char **argv)
{
    PredictFlags flags = {0};
    OptionBinding binding = {&predict_table, &flags};
    PositionalArray positional = {0};
    CorpusOptions columns;
    Diagnostic diagnostic = {0};
    int code = command_parse(command, &binding, 1, argc, argv, &positional);
    if (code < 0)
        code = check_usage(command, &flags, &positional, &columns);
    if (code < 0) {
        Status status = predict(&flags, positional.count ? positional.items[0] : NULL, columns, &diagnostic);
        code = status == STATUS_OK ? 0 : command_fail(&diagnostic);
    }
    array_free(&positional);
    options_free(&predict_table, &flags);
    return code;
}

const Command command_predict = {"predict", "--model DIR [FILE] [--input text|conll|jsonl] [--output json|conll|prodigy]",
                                 "entities of texts, as JSON Lines", predict_run};
