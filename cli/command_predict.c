/* nersweep predict: text in, one JSON object per line out; or CoNLL in and out. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "inference/predictor.h"
#include "shard/corpus.h"

enum { BATCH_TEXTS = 64 };

typedef enum PredictInput { INPUT_TEXT, INPUT_CONLL, INPUT_JSONL } PredictInput;
typedef enum PredictOutput { OUTPUT_JSON, OUTPUT_CONLL, OUTPUT_PRODIGY } PredictOutput;

static const char *const input_names[] = {"text", "conll", "jsonl", NULL};
static const char *const output_names[] = {"json", "conll", "prodigy", NULL};
static const char *const aggregation_names[] = {"none", "simple", "first", "average", "max", NULL};
static const char *const merge_names[] = {"confidence", "context", NULL};

typedef struct PredictFlags {
    char *model, *backend, *words;
    int input, output, aggregation_strategy, merge;
    double min_confidence;
    int64_t stride, max_seq_length, threads;
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
    FLAG_STRING(PredictFlags, backend, "auto (default), cpu, reference"),
    FLAG_INTEGER(PredictFlags, threads, 0, 1024, "0", "CPU threads; 0: all processors"),
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
    size_t count;
} TextBatch;

static Status flush_batch(Predictor *predictor, const PredictFlags *flags, TextBatch *batch, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    if (batch->count > 0)
        status =
            predictor_texts(predictor, (const char *const *)batch->texts, batch->sizes, batch->count, batch->results, diagnostic);
    for (size_t i = 0; i < batch->count; i++) {
        if (status == STATUS_OK)
            print_entities(flags, batch->texts[i], batch->sizes[i], &batch->results[i]);
        free(batch->texts[i]);
    }
    batch->count = 0;
    fflush(stdout);
    return status;
}

/* The text of one input line; of JSON Lines the member "text". Owned by the caller. */
static Status line_text(const PredictFlags *flags, const char *line, size_t size, const char *name, long number, char **text,
                        size_t *text_size, Diagnostic *diagnostic)
{
    if (flags->input == INPUT_TEXT) {
        *text = memory_copy_bytes(line, size);
        *text_size = size;
        return STATUS_OK;
    }
    Json *json = NULL;
    Diagnostic inner = {0};
    Status status = json_parse(&json, line, size, name, &inner);
    const char *value = status == STATUS_OK ? json_string_value(json_get(json, "text")) : NULL;
    if (status != STATUS_OK)
        status = FAIL_AT(diagnostic, STATUS_INVALID_INPUT, name, number, inner.input_column, "error: %s", inner.message);
    else if (value == NULL)
        status = FAIL_AT(diagnostic, STATUS_INVALID_INPUT, name, number, 1,
                         "error: an object with a string \"text\" is expected on each line");
    else {
        *text_size = strlen(value);
        *text = memory_copy_bytes(value, *text_size);
    }
    json_destroy(&json);
    return status;
}

static Status predict_lines(Predictor *predictor, const PredictFlags *flags, FILE *stream, const char *name, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    TextBatch batch = {.count = 0};
    char *line = NULL;
    size_t capacity = 0, batch_size = isatty(fileno(stream)) ? 1 : BATCH_TEXTS;
    ssize_t size;
    for (long number = 1; (size = getline(&line, &capacity, stream)) >= 0; number++) {
        while (size > 0 && (line[size - 1] == '\n' || line[size - 1] == '\r'))
            size--;
        if (size == 0 && flags->input == INPUT_JSONL)
            continue;
        TRY(line_text(flags, line, (size_t)size, name, number, &batch.texts[batch.count], &batch.sizes[batch.count], diagnostic));
        batch.count++;
        if (batch.count == batch_size)
            TRY(flush_batch(predictor, flags, &batch, diagnostic));
    }
    if (ferror(stream))
        TRY_FAIL(diagnostic, STATUS_IO, "cannot read %s: %s", name, strerror(errno));
out:;
    /* What came before a bad line is still answered; the first error is the one reported. */
    Status flushed = flush_batch(predictor, flags, &batch, status == STATUS_OK ? diagnostic : NULL);
    for (size_t i = 0; i < BATCH_TEXTS; i++)
        array_free(&batch.results[i]);
    free(line);
    return status != STATUS_OK ? status : flushed;
}

static Status predict_conll(Predictor *predictor, const PredictFlags *flags, const char *path, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    CorpusReader *reader = NULL;
    const CorpusSentence *sentence = NULL;
    ARRAY(const char *) tokens = {0}, labels = {0};
    TRY(corpus_reader_open(&reader, path, (CorpusOptions){0, 0}, NULL, NULL, diagnostic));
    for (;;) {
        TRY(corpus_reader_next(reader, &sentence, diagnostic));
        if (sentence == NULL)
            break;
        array_reserve(&tokens, (size_t)sentence->token_count);
        array_reserve(&labels, (size_t)sentence->token_count);
        for (int32_t i = 0; i < sentence->token_count; i++)
            tokens.items[i] = sentence->tokens[i].text;
        TRY(predictor_tokens(predictor, tokens.items, sentence->token_count, labels.items, NULL, diagnostic));
        for (int32_t i = 0; i < sentence->token_count; i++)
            printf("%s\t%s\n", tokens.items[i], labels.items[i]);
        putchar('\n');
    }
out:
    (void)flags;
    corpus_reader_close(&reader);
    array_free(&tokens);
    array_free(&labels);
    return status;
}

static Status predict(Predictor *predictor, const PredictFlags *flags, const char *path, Diagnostic *diagnostic)
{
    if (flags->input == INPUT_CONLL)
        return predict_conll(predictor, flags, path ? path : "/dev/stdin", diagnostic);
    FILE *stream = path ? fopen(path, "r") : stdin;
    if (stream == NULL)
        return FAIL(diagnostic, status_from_errno(errno), "cannot open %s: %s", path, strerror(errno));
    Status status = predict_lines(predictor, flags, stream, path ? path : "standard input", diagnostic);
    if (path)
        fclose(stream);
    return status;
}

static int predict_run(const Command *command, int argc, char **argv)
{
    PredictFlags flags = {0};
    OptionBinding binding = {&predict_table, &flags};
    PositionalArray positional = {0};
    Predictor *predictor = NULL;
    Diagnostic diagnostic = {0};
    int code = command_parse(command, &binding, 1, argc, argv, &positional);
    if (code >= 0)
        goto out;
    code = 0;
    if (flags.model == NULL || positional.count > 1) {
        code = command_usage_error(command, flags.model ? "more than one file is given" : "--model is required");
        goto out;
    }
    if ((flags.input == INPUT_CONLL) != (flags.output == OUTPUT_CONLL)) {
        code = command_usage_error(command, "--input conll and --output conll go together");
        goto out;
    }
    PredictorOptions options = {.backend = flags.backend ? flags.backend : "auto",
                                .threads = flags.threads ? (int)flags.threads : (int)sysconf(_SC_NPROCESSORS_ONLN),
                                .max_seq_length = flags.max_seq_length,
                                .stride = flags.stride,
                                .merge = (MergeRule)flags.merge,
                                .aggregation = (AggregationStrategy)flags.aggregation_strategy,
                                .words = flags.words,
                                .min_confidence = flags.min_confidence};
    Status status = predictor_open(&predictor, flags.model, &options, &diagnostic);
    if (status == STATUS_OK)
        status = predict(predictor, &flags, positional.count ? positional.items[0] : NULL, &diagnostic);
    if (status != STATUS_OK)
        code = command_fail(&diagnostic);
out:
    predictor_close(&predictor);
    array_free(&positional);
    options_free(&predict_table, &flags);
    return code;
}

const Command command_predict = {"predict", "--model DIR [FILE] [--input text|conll|jsonl] [--output json|conll|prodigy]",
                                 "entities of texts, as JSON Lines", predict_run};
