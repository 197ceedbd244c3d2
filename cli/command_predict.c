/* nersweep predict: text in, one JSON object per line out; or CoNLL in and out. What is not sure enough can go to a review queue, and what is to
 * a file of pseudo-labels. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/lines.h"
#include "cli/prediction_json.h"
#include "cli/pseudo_labels.h"
#include "cli/review_queue.h"
#include "cli/tagging.h"
#include "core/base/log.h"

enum { BATCH_TEXTS = 64, BATCH_BYTES = 1 << 18 };

typedef enum PredictInput { INPUT_TEXT, INPUT_CONLL, INPUT_JSONL } PredictInput;
typedef enum PredictOutput { OUTPUT_JSON, OUTPUT_CONLL, OUTPUT_PRODIGY, OUTPUT_LABELSTUDIO } PredictOutput;

static const char *const input_names[] = {"text", "conll", "jsonl", NULL};
static const char *const output_names[] = {"json", "conll", "prodigy", "labelstudio", NULL};
static const char *const review_names[] = {"prodigy", "labelstudio", NULL};
static const char *const aggregation_names[] = {"none", "simple", "first", "average", "max", NULL};
static const char *const decode_names[] = {"argmax", "viterbi", NULL};
static const char *const merge_names[] = {"confidence", "context", NULL};

typedef struct PredictFlags {
    char *model, *backend, *words, *decode, *token_column, *label_column, *review, *review_format, *pseudo_labels;
    StringArray min_confidence_type;
    int input, output, aggregation_strategy, merge;
    double min_confidence;
    int64_t stride, max_seq_length, threads;
    bool json;
} PredictFlags;

static const OptionDescriptor predict_descriptors[] = {
    FLAG_STRING(PredictFlags, model, "model folder (required)"),
    FLAG_CHOICE(PredictFlags, input, input_names, "text", "one text per line, CoNLL tokens, or JSON Lines with \"text\""),
    FLAG_CHOICE(PredictFlags, output, output_names, "json",
                "JSON Lines, CoNLL (with --input conll), Prodigy's JSON Lines, or tasks with predictions for Label Studio"),
    FLAG_CHOICE(PredictFlags, aggregation_strategy, aggregation_names, "first", "how pieces become entities"),
    FLAG_CHOICE(PredictFlags, merge, merge_names, "confidence", "which span stays where windows disagree"),
    {.name = "decode",
     .type = OPTION_STRING,
     .offset = offsetof(PredictFlags, decode),
     .size = sizeof(char *),
     .choices = decode_names,
     .default_text = "",
     .help = "a word's label: argmax, or viterbi for the best sequence that the scheme allows; by default as the model was evaluated"},
    FLAG_REAL(PredictFlags, min_confidence, -1, 1, "-1",
              "entities below are left out; -1: none are, or with --review or --pseudo-labels those below 0.85"),
    FLAG_LIST(PredictFlags, min_confidence_type, "TYPE=MINIMUM[,TYPE=MINIMUM...]: other minima for some types"),
    FLAG_STRING(PredictFlags, review, "file for texts with an entity below its minimum, least sure first"),
    {.name = "review_format",
     .type = OPTION_STRING,
     .offset = offsetof(PredictFlags, review_format),
     .size = sizeof(char *),
     .choices = review_names,
     .default_text = "",
     .help = "prodigy or labelstudio; by default from the name: .jsonl or .json"},
    FLAG_STRING(PredictFlags, pseudo_labels, "CoNLL file for the other texts: token, label, and the text's confidence as a weight"),
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

/* One run over an input. */
typedef struct PredictRun {
    const PredictFlags *flags;
    Predictor *predictor;
    ConfidenceRule rule;
    ReviewQueue *review;             /* NULL: not asked for */
    PseudoLabels *pseudo;            /* likewise */
    const volatile int *interrupted; /* with either: an interrupt must not leave half a file */
    int64_t texts;
} PredictRun;

static Json *entity_json(const PredictFlags *flags, const char *text, const Entity *entity)
{
    Json *json = json_object();
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

static Json *entities_json(const PredictRun *run, const PredictedText *predicted)
{
    Json *json = json_object(), *list = json_array();
    for (size_t i = 0; i < predicted->prediction->entities.count; i++) {
        const Entity *entity = &predicted->prediction->entities.items[i];
        if (confidence_accepts(&run->rule, entity))
            json_append(list, entity_json(run->flags, predicted->text, entity));
    }
    json_set(json, "text", json_string_bytes(predicted->text, predicted->size));
    json_set(json, "entities", list);
    return json;
}

static void print_text(const PredictRun *run, const PredictedText *predicted)
{
    Json *json = NULL;
    switch ((PredictOutput)run->flags->output) {
    case OUTPUT_PRODIGY:
        json = prediction_prodigy(predicted);
        break;
    case OUTPUT_LABELSTUDIO:
        json = prediction_labelstudio(predicted);
        break;
    default:
        json = entities_json(run, predicted);
    }
    char *text = json_text(json, JSON_COMPACT);
    if (run->flags->output == OUTPUT_LABELSTUDIO)
        printf("%s%s", predicted->number == 1 ? "[\n" : ",\n", text);
    else
        puts(text);
    free(text);
    json_destroy(&json);
}

/* What is sure is kept to be trained on, what is not goes to a person. */
static Status text_sort(PredictRun *run, const PredictedText *predicted, Diagnostic *diagnostic)
{
    const Prediction *prediction = predicted->prediction;
    if (run->interrupted && *run->interrupted)
        return FAIL(diagnostic, STATUS_INTERRUPTED, "interrupted: no file of texts to be reviewed or trained on is written");
    if (prediction->words.count == 0)
        return STATUS_OK;
    if (confidence_accepts_all(&run->rule, prediction))
        return run->pseudo ? pseudo_labels_add(run->pseudo, predicted->text, prediction, diagnostic) : STATUS_OK;
    return run->review ? review_queue_add(run->review, predicted, diagnostic) : STATUS_OK;
}

/* Texts wait here until a block is full, so that short lines share one forward pass; results come out in order. */
typedef struct TextBatch {
    char *texts[BATCH_TEXTS];
    size_t sizes[BATCH_TEXTS];
    Prediction results[BATCH_TEXTS];
    size_t count, bytes;
} TextBatch;

static void batch_clear(TextBatch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        free(batch->texts[i]);
    batch->count = batch->bytes = 0;
}

static Status batch_flush(TextBatch *batch, PredictRun *run, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    if (batch->count > 0)
        status = predictor_predict(run->predictor, (const char *const *)batch->texts, batch->sizes, batch->count, batch->results,
                                   diagnostic);
    for (size_t i = 0; status == STATUS_OK && i < batch->count; i++) {
        PredictedText predicted = {batch->texts[i], batch->sizes[i], &batch->results[i], &run->rule, ++run->texts};
        print_text(run, &predicted);
        status = text_sort(run, &predicted, diagnostic);
    }
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

static Status predict_lines(PredictRun *run, const char *path, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const PredictFlags *flags = run->flags;
    LineReader reader = {.file = -1};
    TextBatch batch = {.count = 0};
    const char *line;
    size_t size;
    TRY(line_reader_open(&reader, path, diagnostic));
    reader.interrupted = run->interrupted;
    for (;;) {
        if (batch_is_due(&batch, &reader))
            TRY(batch_flush(&batch, run, diagnostic));
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
    Status flushed = batch_flush(&batch, run, status == STATUS_OK ? diagnostic : NULL);
    if (status == STATUS_OK && flushed == STATUS_OK && flags->output == OUTPUT_LABELSTUDIO) {
        puts(run->texts == 0 ? "[]" : "\n]");
        flushed = command_flush(diagnostic);
    }
    for (size_t i = 0; i < BATCH_TEXTS; i++)
        prediction_free(&batch.results[i]);
    line_reader_close(&reader);
    return status != STATUS_OK ? status : flushed;
}

/* Tokens of entities that are not sure enough become O. */
static void labels_filter(const PredictRun *run, const CorpusSentence *sentence, const Tagging *tagging)
{
    const EntityArray *entities = &tagging->prediction->entities;
    for (size_t i = 0; i < entities->count; i++) {
        const Entity *entity = &entities->items[i];
        for (int32_t word = entity->first_word; word <= entity->last_word && word < sentence->token_count; word++)
            if (!confidence_accepts(&run->rule, entity))
                tagging->labels[word] = "O";
    }
}

static Status print_sentence(void *context, const CorpusSentence *sentence, Tagging *tagging, Diagnostic *diagnostic)
{
    PredictRun *run = context;
    labels_filter(run, sentence, tagging);
    for (int32_t i = 0; i < sentence->token_count; i++)
        printf("%s\t%s\n", sentence->tokens[i].text, tagging->labels[i]);
    putchar('\n');
    PredictedText predicted = {tagging->text, tagging->text_size, tagging->prediction, &run->rule, ++run->texts};
    Status status = text_sort(run, &predicted, diagnostic);
    return status == STATUS_OK && ferror(stdout) ? command_flush(diagnostic) : status;
}

static bool ends_with(const char *text, const char *end)
{
    size_t size = strlen(text), end_size = strlen(end);
    return size > end_size && strcmp(text + size - end_size, end) == 0;
}

static bool review_format_find(const PredictFlags *flags, ReviewFormat *format)
{
    if (flags->review_format)
        *format = strcmp(flags->review_format, "prodigy") == 0 ? REVIEW_PRODIGY : REVIEW_LABELSTUDIO;
    else if (ends_with(flags->review, ".jsonl"))
        *format = REVIEW_PRODIGY;
    else if (ends_with(flags->review, ".json"))
        *format = REVIEW_LABELSTUDIO;
    else
        return false;
    return true;
}

/* What only the review queue and pseudo-labels ask. -1 to go on. */
static int check_annotation(const Command *command, const PredictFlags *flags)
{
    bool grouped = flags->aggregation_strategy != AGGREGATE_NONE,
         words = grouped && flags->aggregation_strategy != AGGREGATE_SIMPLE;
    ReviewFormat format;
    if (flags->min_confidence < 0 && flags->min_confidence != -1) /* exactly as the default is written */
        return command_usage_error(command, "--min-confidence %g: expected a number from 0 to 1", flags->min_confidence);
    if (flags->review_format && !flags->review)
        return command_usage_error(command, "--review-format goes with --review");
    if (flags->review && !review_format_find(flags, &format))
        return command_usage_error(command, "--review %s: name it .jsonl or .json, or say --review-format prodigy or labelstudio",
                                   flags->review);
    if (flags->review && flags->pseudo_labels && strcmp(flags->review, flags->pseudo_labels) == 0)
        return command_usage_error(command, "--review and --pseudo-labels name the same file");
    if (!grouped && (flags->review || flags->output == OUTPUT_PRODIGY || flags->output == OUTPUT_LABELSTUDIO))
        return command_usage_error(command, "--aggregation-strategy none gives pieces, not spans to be reviewed");
    if (flags->pseudo_labels && !words)
        return command_usage_error(command, "--pseudo-labels labels words: --aggregation-strategy first, average or max");
    return -1;
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
    int code = check_annotation(command, flags);
    return code < 0 ? command_columns(command, flags->token_column, flags->label_column, columns) : code;
}

static Status run_begin(PredictRun *run, Diagnostic *diagnostic)
{
    static const double usual_minimum = 0.85;
    Status status = STATUS_OK;
    const PredictFlags *flags = run->flags;
    bool sorted = flags->review || flags->pseudo_labels;
    ReviewFormat format;
    /* Entities of every confidence are asked for: which ones count is said by the rule, type by type. */
    PredictorOptions options = {.backend = flags->backend ? flags->backend : "auto",
                                .threads = flags->threads ? (int)flags->threads : (int)sysconf(_SC_NPROCESSORS_ONLN),
                                .max_seq_length = flags->max_seq_length,
                                .stride = flags->stride,
                                .merge = (MergeRule)flags->merge,
                                .aggregation = (AggregationStrategy)flags->aggregation_strategy,
                                .words = flags->words,
                                .decode = flags->decode};
    if (sorted)
        run->interrupted = command_catch_interrupts();
    run->rule.minimum = flags->min_confidence >= 0 ? flags->min_confidence : sorted ? usual_minimum : 0;
    for (size_t i = 0; i < flags->min_confidence_type.count; i++)
        TRY(confidence_rule_parse(&run->rule, flags->min_confidence_type.items[i], diagnostic));
    TRY(predictor_open(&run->predictor, flags->model, &options, diagnostic));
    const BertConfig *config = predictor_config(run->predictor);
    TRY(confidence_rule_check(&run->rule, (const char *const *)config->labels, config->label_count, diagnostic));
    if (flags->review && review_format_find(flags, &format))
        TRY(review_queue_begin(&run->review, flags->review, format, 0, diagnostic));
    if (flags->pseudo_labels)
        TRY(pseudo_labels_begin(&run->pseudo, flags->pseudo_labels, predictor_scheme(run->predictor), diagnostic));
out:
    return status;
}

/* The files appear; pseudo-labels last, so that where they are, nothing is missing in the queue. */
static Status run_commit(PredictRun *run, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    if (run->review) {
        bool sorted;
        long long count = (long long)review_queue_count(run->review);
        TRY(review_queue_commit(&run->review, &sorted, diagnostic));
        LOG_INFO("%lld of %lld texts to be reviewed are in %s, %s", count, (long long)run->texts, run->flags->review,
                 sorted ? "the least sure first" : "as they came: they are too many to be sorted");
    }
    if (run->pseudo) {
        long long count = (long long)pseudo_labels_count(run->pseudo), left_out = (long long)pseudo_labels_left_out(run->pseudo);
        TRY(pseudo_labels_commit(&run->pseudo, diagnostic));
        LOG_INFO("%lld of %lld texts are pseudo-labels in %s", count, (long long)run->texts, run->flags->pseudo_labels);
        if (left_out > 0)
            LOG_WARNING("%lld texts have words that a CoNLL file cannot hold and are left out of %s", left_out,
                        run->flags->pseudo_labels);
    }
out:
    return status;
}

static Status predict(const PredictFlags *flags, const char *path, CorpusOptions columns, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    PredictRun run = {.flags = flags};
    TRY(run_begin(&run, diagnostic));
    if (flags->input == INPUT_CONLL)
        TRY(tag_corpus(run.predictor, path ? path : "-", columns, print_sentence, &run, diagnostic));
    else
        TRY(predict_lines(&run, path, diagnostic));
    TRY(command_flush(diagnostic));
    TRY(run_commit(&run, diagnostic));
out:
    review_queue_abandon(&run.review);
    pseudo_labels_abandon(&run.pseudo);
    predictor_close(&run.predictor);
    confidence_rule_free(&run.rule);
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

const Command command_predict = {"predict",
                                 "--model DIR [FILE] [--input text|conll|jsonl] [--output json|conll|prodigy|labelstudio] "
                                 "[--review FILE] [--pseudo-labels FILE]",
                                 "entities of texts; what is to be reviewed, and what is sure enough to train on", predict_run};
