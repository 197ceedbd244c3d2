/* nersweep eval: seqeval's numbers of two files over the same tokens, of nested spans over the same texts, or of a model on annotated files. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/comparison.h"
#include "cli/eval_report.h"
#include "cli/shards.h"
#include "cli/tagging.h"

typedef struct EvalFlags {
    char *gold, *pred, *compare, *model, *scheme, *backend, *token_column, *label_column;
    StringArray data;
    int mode;
    CorpusOptions columns; /* no flag: of the two above */
    double zero_division;
    int64_t threads, resamples;
    bool json;
} EvalFlags;

static const OptionDescriptor eval_descriptors[] = {
    FLAG_STRING(EvalFlags, gold, "file with the true labels"),
    FLAG_STRING(EvalFlags, pred, "file with predicted labels over the same tokens; with --mode nested spans of the same texts"),
    FLAG_STRING(EvalFlags, compare, "another system's predictions: is it really better than --pred?"),
    FLAG_STRING(EvalFlags, model, "model folder that predicts instead"),
    FLAG_LIST(EvalFlags, data, "[NAME=]FILE to score the model on; may be given several times"),
    FLAG_CHOICE(
        EvalFlags, mode, eval_mode_names, "default",
        "seqeval's default (conlleval) or strict mode; nested: spans as they stand in prodigy, labelstudio, spacy or brat files; "
        "muc: strict, exact, partial and type"),
    FLAG_STRING(EvalFlags, scheme, "label scheme for --mode strict: IOB1, IOB2, IOE1, IOE2, IOBES, BILOU; default IOB2"),
    FLAG_REAL(EvalFlags, zero_division, 0, 1, "0", "what 0/0 counts as"),
    FLAG_INTEGER(EvalFlags, resamples, 0, 1000000, "1000", "of sentences, for the interval of F1 and for --compare; 0: none"),
    FLAG_STRING(EvalFlags, token_column, "column of the token, from 1, negative from the end; default 1"),
    FLAG_STRING(EvalFlags, label_column, "column of the label; default -1, the last"),
    FLAG_STRING(EvalFlags, backend, "auto (default), cpu, reference"),
    FLAG_INTEGER(EvalFlags, threads, 0, 1024, "0", "CPU threads; 0: all processors"),
    FLAG_BOOLEAN(EvalFlags, json, "print one JSON object"),
};
static const OptionTable eval_table = {"Options", eval_descriptors, sizeof eval_descriptors / sizeof eval_descriptors[0],
                                       sizeof(EvalFlags)};

static Status add_label(LabelPairs *pairs, Int32Array *to, const char *file, const CorpusToken *token, Diagnostic *diagnostic)
{
    LabelParts parts;
    if (!label_split(token->label, &parts))
        return FAIL_AT(diagnostic, STATUS_INVALID_INPUT, file, token->line, token->label_column,
                       "\"%s\" is no label: O or a prefix B-, I-, E-, S-, L-, U- and a type is expected", token->label);
    array_push(to, label_set_add(pairs->labels, token->label));
    return STATUS_OK;
}

/* Both sentences, or none: files of different length or tokens are refused with the place. */
static Status check_aligned(const EvalFlags *flags, const char *path, const CorpusSentence *gold, const CorpusSentence *predicted,
                            Diagnostic *diagnostic)
{
    if (gold == NULL || predicted == NULL)
        return FAIL_AT(diagnostic, STATUS_MISMATCH, gold ? flags->gold : path, gold ? gold->line : predicted->line, 1,
                       "%s ends before this sentence", gold ? path : flags->gold);
    int32_t shorter = gold->token_count < predicted->token_count ? gold->token_count : predicted->token_count;
    for (int32_t i = 0; i < shorter; i++)
        if (strcmp(gold->tokens[i].text, predicted->tokens[i].text) != 0)
            return FAIL_AT(diagnostic, STATUS_MISMATCH, path, predicted->tokens[i].line, 1, "token \"%s\" where %s:%ld has \"%s\"",
                           predicted->tokens[i].text, flags->gold, gold->tokens[i].line, gold->tokens[i].text);
    if (gold->token_count != predicted->token_count)
        return FAIL_AT(diagnostic, STATUS_MISMATCH, path, predicted->line, 1, "a sentence of %d tokens where %s:%ld has %d",
                       predicted->token_count, flags->gold, gold->line, gold->token_count);
    return STATUS_OK;
}

static Status read_files(const EvalFlags *flags, const char *path, LabelPairs *pairs, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    CorpusReader *readers[2] = {NULL, NULL};
    const CorpusSentence *gold, *predicted;
    TRY(corpus_reader_open(&readers[0], flags->gold, flags->columns, NULL, NULL, diagnostic));
    TRY(corpus_reader_open(&readers[1], path, flags->columns, NULL, NULL, diagnostic));
    for (;;) {
        TRY(corpus_reader_next(readers[0], &gold, diagnostic));
        TRY(corpus_reader_next(readers[1], &predicted, diagnostic));
        if (gold == NULL && predicted == NULL)
            break;
        TRY(check_aligned(flags, path, gold, predicted, diagnostic));
        for (int32_t i = 0; i < gold->token_count; i++) {
            TRY(add_label(pairs, &pairs->gold, flags->gold, &gold->tokens[i], diagnostic));
            TRY(add_label(pairs, &pairs->predicted, path, &predicted->tokens[i], diagnostic));
        }
        array_push(&pairs->ends, (int32_t)pairs->gold.count);
    }
out:
    corpus_reader_close(&readers[0]);
    corpus_reader_close(&readers[1]);
    return status;
}

/* A file that is being scored. */
typedef struct ScoredFile {
    const char *path;
    LabelPairs *pairs;
} ScoredFile;

static Status add_sentence(void *context, const CorpusSentence *sentence, Tagging *tagging, Diagnostic *diagnostic)
{
    const ScoredFile *file = context;
    LabelPairs *pairs = file->pairs;
    for (int32_t i = 0; i < sentence->token_count; i++) {
        Status status = add_label(pairs, &pairs->gold, file->path, &sentence->tokens[i], diagnostic);
        if (status != STATUS_OK)
            return status;
        array_push(&pairs->predicted, label_set_add(pairs->labels, tagging->labels[i]));
    }
    array_push(&pairs->ends, (int32_t)pairs->gold.count);
    return STATUS_OK;
}

static void show(const EvalFlags *flags, EvalReport report, Json *into)
{
    report.mode = (EvalMode)flags->mode;
    report.zero_division = flags->zero_division;
    report.resamples = (int)flags->resamples;
    if (!flags->json) {
        eval_report_print(&report);
        return;
    }
    Json *json = eval_report_json(&report);
    if (into)
        json_set(into, report.title, json);
    else
        command_print_json(&json, JSON_COMPACT);
}

/* One system's file beside the gold one. */
static Status compare_with(const EvalFlags *flags, const char *path, LabelScheme scheme, Comparison *comparison,
                           Diagnostic *diagnostic)
{
    if (flags->mode == EVAL_NESTED)
        return comparison_of_texts(comparison, flags->gold, path, flags->columns, diagnostic);
    LabelPairs pairs = {.labels = label_set_create()};
    Status status = read_files(flags, path, &pairs, diagnostic);
    if (status == STATUS_OK)
        status = comparison_of_labels(comparison, &pairs, (EvalMode)flags->mode, scheme, diagnostic);
    label_pairs_free(&pairs);
    return status;
}

static Status eval_files(const EvalFlags *flags, LabelScheme scheme, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Comparison comparison = {0}, other = {0};
    TRY(compare_with(flags, flags->pred, scheme, &comparison, diagnostic));
    if (flags->compare)
        TRY(compare_with(flags, flags->compare, scheme, &other, diagnostic));
    show(flags,
         (EvalReport){.title = flags->pred,
                      .comparison = &comparison,
                      .other = flags->compare ? &other : NULL,
                      .other_title = flags->compare},
         NULL);
out:
    comparison_free(&comparison);
    comparison_free(&other);
    return status;
}

static Status eval_data(const EvalFlags *flags, Predictor *predictor, const char *title, const char *path, LabelScheme scheme,
                        Json *into, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    LabelPairs pairs = {.labels = label_set_create()};
    Comparison comparison = {0};
    ScoredFile file = {path, &pairs};
    TRY(tag_corpus(predictor, path, flags->columns, add_sentence, &file, diagnostic));
    TRY(comparison_of_labels(&comparison, &pairs, (EvalMode)flags->mode, scheme, diagnostic));
    show(flags, (EvalReport){.title = title, .comparison = &comparison}, into);
out:
    comparison_free(&comparison);
    label_pairs_free(&pairs);
    return status;
}

static Status eval_model(const EvalFlags *flags, LabelScheme scheme, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Predictor *predictor = NULL;
    Json *all = flags->json ? json_object() : NULL;
    PredictorOptions options = {.backend = flags->backend ? flags->backend : "auto",
                                .threads = flags->threads ? (int)flags->threads : (int)sysconf(_SC_NPROCESSORS_ONLN),
                                .stride = -1,
                                .aggregation = AGGREGATE_FIRST};
    TRY(predictor_open(&predictor, flags->model, &options, diagnostic));
    for (size_t i = 0; i < flags->data.count; i++) {
        char *name = NULL;
        const char *path = NULL;
        shards_split_name(flags->data.items[i], &name, &path);
        status = eval_data(flags, predictor, name ? name : path, path, scheme, all, diagnostic);
        free(name);
        if (status != STATUS_OK)
            goto out;
    }
    if (all)
        command_print_json(&all, JSON_COMPACT);
out:
    json_destroy(&all);
    predictor_close(&predictor);
    return status;
}

/* What the tables of flags cannot say. -1 to go on. */
static int check_usage(const Command *command, EvalFlags *flags, const PositionalArray *positional, LabelScheme *scheme)
{
    bool files = flags->gold && flags->pred, model = flags->model && flags->data.count > 0;
    bool mixed = (flags->gold || flags->pred) && (flags->model || flags->data.count > 0);
    if (positional->count)
        return command_usage_error(command, "%s is not expected here", positional->items[0]);
    if (mixed || files == model)
        return command_usage_error(command, "either --gold and --pred, or --model and --data are expected");
    if (flags->compare && !files)
        return command_usage_error(command, "--compare goes with --gold and --pred");
    if (flags->compare && flags->mode == EVAL_MUC)
        return command_usage_error(command, "--compare and --mode muc exclude each other: what is tested is the F1 of whole spans");
    if (flags->mode == EVAL_NESTED && !files)
        return command_usage_error(command, "--mode nested compares --gold with --pred: a model predicts no nested spans");
    if (flags->scheme && !label_scheme_parse(flags->scheme, scheme))
        return command_usage_error(command, "--scheme %s is no label scheme", flags->scheme);
    return command_columns(command, flags->token_column, flags->label_column, &flags->columns);
}

static int eval_run(const Command *command, int argc, char **argv)
{
    EvalFlags flags = {0};
    OptionBinding binding = {&eval_table, &flags};
    PositionalArray positional = {0};
    Diagnostic diagnostic = {0};
    LabelScheme scheme = SCHEME_IOB2;
    int code = command_parse(command, &binding, 1, argc, argv, &positional);
    if (code < 0)
        code = check_usage(command, &flags, &positional, &scheme);
    if (code < 0) {
        Status status = flags.gold ? eval_files(&flags, scheme, &diagnostic) : eval_model(&flags, scheme, &diagnostic);
        code = status == STATUS_OK ? 0 : command_fail(&diagnostic);
    }
    array_free(&positional);
    options_free(&eval_table, &flags);
    return code;
}

const Command command_eval = {
    "eval", "--gold FILE --pred FILE [--mode default|strict|nested|muc] [--compare FILE] | --model DIR --data [NAME=]FILE",
    "span precision, recall and F1 as seqeval counts them, nested spans, MUC's schemas", eval_run};
