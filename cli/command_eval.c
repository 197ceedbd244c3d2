/* nersweep eval: seqeval's numbers of two CoNLL files over the same tokens, or of a model on annotated files. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/shards.h"
#include "cli/tagging.h"
#include "core/base/log.h"
#include "core/spans/score.h"

static const char *const mode_names[] = {"default", "strict", NULL};

typedef struct EvalFlags {
    char *gold, *pred, *model, *scheme, *backend, *token_column, *label_column;
    StringArray data;
    int mode;
    CorpusOptions columns; /* no flag: of the two above */
    double zero_division;
    int64_t threads;
    bool json;
} EvalFlags;

static const OptionDescriptor eval_descriptors[] = {
    FLAG_STRING(EvalFlags, gold, "CoNLL file with the true labels"),
    FLAG_STRING(EvalFlags, pred, "CoNLL file with predicted labels over the same tokens"),
    FLAG_STRING(EvalFlags, model, "model folder that predicts instead"),
    FLAG_LIST(EvalFlags, data, "[NAME=]FILE to score the model on; may be given several times"),
    FLAG_CHOICE(EvalFlags, mode, mode_names, "default", "seqeval's default (conlleval) or strict mode"),
    FLAG_STRING(EvalFlags, scheme, "label scheme for --mode strict: IOB1, IOB2, IOE1, IOE2, IOBES, BILOU; default IOB2"),
    FLAG_REAL(EvalFlags, zero_division, 0, 1, "0", "what 0/0 counts as"),
    FLAG_STRING(EvalFlags, token_column, "column of the token, from 1, negative from the end; default 1"),
    FLAG_STRING(EvalFlags, label_column, "column of the label; default -1, the last"),
    FLAG_STRING(EvalFlags, backend, "auto (default), cpu, reference"),
    FLAG_INTEGER(EvalFlags, threads, 0, 1024, "0", "CPU threads; 0: all processors"),
    FLAG_BOOLEAN(EvalFlags, json, "print one JSON object"),
};
static const OptionTable eval_table = {"Options", eval_descriptors, sizeof eval_descriptors / sizeof eval_descriptors[0],
                                       sizeof(EvalFlags)};

/* All labels of a comparison as ids, sentence after sentence: types are known only at the end. */
typedef struct Comparison {
    LabelSet *labels;
    Int32Array gold, predicted;
    Int32Array ends; /* end of each sentence */
} Comparison;

static void comparison_free(Comparison *comparison)
{
    label_set_destroy(&comparison->labels);
    array_free(&comparison->gold);
    array_free(&comparison->predicted);
    array_free(&comparison->ends);
}

static Status add_label(Comparison *comparison, Int32Array *to, const char *file, const CorpusToken *token, Diagnostic *diagnostic)
{
    LabelParts parts;
    if (!label_split(token->label, &parts))
        return FAIL_AT(diagnostic, STATUS_INVALID_INPUT, file, token->line, token->label_column,
                       "\"%s\" is no label: O or a prefix B-, I-, E-, S-, L-, U- and a type is expected", token->label);
    array_push(to, label_set_add(comparison->labels, token->label));
    return STATUS_OK;
}

/* Both sentences, or none: files of different length or tokens are refused with the place. */
static Status check_aligned(const EvalFlags *flags, const CorpusSentence *gold, const CorpusSentence *predicted,
                            Diagnostic *diagnostic)
{
    if (gold == NULL || predicted == NULL)
        return FAIL_AT(diagnostic, STATUS_MISMATCH, gold ? flags->gold : flags->pred, gold ? gold->line : predicted->line, 1,
                       "%s ends before this sentence", gold ? flags->pred : flags->gold);
    int32_t shorter = gold->token_count < predicted->token_count ? gold->token_count : predicted->token_count;
    for (int32_t i = 0; i < shorter; i++)
        if (strcmp(gold->tokens[i].text, predicted->tokens[i].text) != 0)
            return FAIL_AT(diagnostic, STATUS_MISMATCH, flags->pred, predicted->tokens[i].line, 1,
                           "token \"%s\" where %s:%ld has \"%s\"", predicted->tokens[i].text, flags->gold, gold->tokens[i].line,
                           gold->tokens[i].text);
    if (gold->token_count != predicted->token_count)
        return FAIL_AT(diagnostic, STATUS_MISMATCH, flags->pred, predicted->line, 1, "a sentence of %d tokens where %s:%ld has %d",
                       predicted->token_count, flags->gold, gold->line, gold->token_count);
    return STATUS_OK;
}

static Status compare_files(const EvalFlags *flags, Comparison *comparison, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    CorpusReader *readers[2] = {NULL, NULL};
    const CorpusSentence *gold, *predicted;
    TRY(corpus_reader_open(&readers[0], flags->gold, flags->columns, NULL, NULL, diagnostic));
    TRY(corpus_reader_open(&readers[1], flags->pred, flags->columns, NULL, NULL, diagnostic));
    for (;;) {
        TRY(corpus_reader_next(readers[0], &gold, diagnostic));
        TRY(corpus_reader_next(readers[1], &predicted, diagnostic));
        if (gold == NULL && predicted == NULL)
            break;
        TRY(check_aligned(flags, gold, predicted, diagnostic));
        for (int32_t i = 0; i < gold->token_count; i++) {
            TRY(add_label(comparison, &comparison->gold, flags->gold, &gold->tokens[i], diagnostic));
            TRY(add_label(comparison, &comparison->predicted, flags->pred, &predicted->tokens[i], diagnostic));
        }
        array_push(&comparison->ends, (int32_t)comparison->gold.count);
    }
out:
    corpus_reader_close(&readers[0]);
    corpus_reader_close(&readers[1]);
    return status;
}

/* A file that is being scored. */
typedef struct ScoredFile {
    const char *path;
    Comparison *comparison;
} ScoredFile;

static Status add_sentence(void *context, const CorpusSentence *sentence, Tagging *tagging, Diagnostic *diagnostic)
{
    const ScoredFile *file = context;
    Comparison *comparison = file->comparison;
    for (int32_t i = 0; i < sentence->token_count; i++) {
        Status status = add_label(comparison, &comparison->gold, file->path, &sentence->tokens[i], diagnostic);
        if (status != STATUS_OK)
            return status;
        array_push(&comparison->predicted, label_set_add(comparison->labels, tagging->labels[i]));
    }
    array_push(&comparison->ends, (int32_t)comparison->gold.count);
    return STATUS_OK;
}

static void extract(const LabelTable *table, const EvalFlags *flags, LabelScheme scheme, const int32_t *labels, int32_t n,
                    SpanArray *spans)
{
    spans->count = 0;
    if (flags->mode == METRIC_STRICT)
        spans_extract_strict(table, scheme, labels, n, spans);
    else
        spans_extract_default(table, labels, n, spans);
}

static ScoreCounts *count_spans(const LabelTable *table, const EvalFlags *flags, LabelScheme scheme, const Comparison *comparison)
{
    ScoreCounts *counts = score_counts_create(table->type_count);
    SpanArray gold = {0}, predicted = {0};
    int32_t start = 0;
    for (size_t i = 0; i < comparison->ends.count; i++) {
        int32_t end = comparison->ends.items[i];
        extract(table, flags, scheme, comparison->gold.items + start, end - start, &gold);
        extract(table, flags, scheme, comparison->predicted.items + start, end - start, &predicted);
        score_counts_add(counts, gold.items, gold.count, predicted.items, predicted.count);
        start = end;
    }
    counts->tokens = (int64_t)comparison->gold.count;
    for (size_t i = 0; i < comparison->gold.count; i++)
        counts->tokens_correct += comparison->gold.items[i] == comparison->predicted.items[i];
    array_free(&gold);
    array_free(&predicted);
    return counts;
}

static Json *row_json(const ScoreRow *row)
{
    Json *json = json_object();
    json_set(json, "precision", json_real(row->precision));
    json_set(json, "recall", json_real(row->recall));
    json_set(json, "f1-score", json_real(row->f1));
    json_set(json, "support", json_integer(row->support));
    return json;
}

/* The keys of seqeval's classification_report(output_dict=True), then those of the `evaluate` metric. */
static Json *report_json(const LabelTable *table, const ScoreReport *report, const EvalFlags *flags)
{
    Json *json = json_object();
    for (int32_t i = 0; i < report->type_count; i++)
        if (report->type_present[i])
            json_set(json, table->type_names[i], row_json(&report->types[i]));
    json_set(json, "micro avg", row_json(&report->micro));
    json_set(json, "macro avg", row_json(&report->macro));
    json_set(json, "weighted avg", row_json(&report->weighted));
    json_set(json, "overall_precision", json_real(report->micro.precision));
    json_set(json, "overall_recall", json_real(report->micro.recall));
    json_set(json, "overall_f1", json_real(report->micro.f1));
    json_set(json, "overall_accuracy", json_real(report->accuracy));
    json_set(json, "mode", json_string(mode_names[flags->mode]));
    return json;
}

static void print_row(const char *name, const ScoreRow *row)
{
    printf("%-24s %9.4f %9.4f %9.4f %9lld\n", name, row->precision, row->recall, row->f1, (long long)row->support);
}

static void print_report(const char *title, const LabelTable *table, const ScoreReport *report, const EvalFlags *flags)
{
    printf("%s (%s mode)\n%-24s %9s %9s %9s %9s\n", title, mode_names[flags->mode], "", "precision", "recall", "f1", "support");
    for (int32_t i = 0; i < report->type_count; i++)
        if (report->type_present[i])
            print_row(table->type_names[i], &report->types[i]);
    print_row("micro avg", &report->micro);
    print_row("macro avg", &report->macro);
    print_row("weighted avg", &report->weighted);
    printf("token accuracy %.4f\n", report->accuracy);
}

static Status show_scores(const char *title, const EvalFlags *flags, LabelScheme scheme, const Comparison *comparison, Json *into,
                          Diagnostic *diagnostic)
{
    LabelTable *table = NULL;
    ScoreReport report = {0};
    Status status = label_table_create(&table, comparison->labels, diagnostic);
    if (status != STATUS_OK)
        return status;
    ScoreCounts *counts = count_spans(table, flags, scheme, comparison);
    score_report_make(&report, counts, flags->zero_division);
    if (report.zero_divisions > 0)
        LOG_WARNING("%s: %lld scores are 0/0 and count as %g", title, (long long)report.zero_divisions, flags->zero_division);
    if (into)
        json_set(into, title, report_json(table, &report, flags));
    else if (flags->json) {
        Json *json = report_json(table, &report, flags);
        command_print_json(&json, JSON_COMPACT);
    } else
        print_report(title, table, &report, flags);
    score_report_free(&report);
    score_counts_destroy(&counts);
    label_table_destroy(&table);
    return STATUS_OK;
}

static Status eval_files(const EvalFlags *flags, LabelScheme scheme, Diagnostic *diagnostic)
{
    Comparison comparison = {.labels = label_set_create()};
    Status status = compare_files(flags, &comparison, diagnostic);
    if (status == STATUS_OK)
        status = show_scores(flags->pred, flags, scheme, &comparison, NULL, diagnostic);
    comparison_free(&comparison);
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
        Comparison comparison = {.labels = label_set_create()};
        shards_split_name(flags->data.items[i], &name, &path);
        ScoredFile file = {path, &comparison};
        status = tag_corpus(predictor, path, flags->columns, add_sentence, &file, diagnostic);
        if (status == STATUS_OK)
            status = show_scores(name ? name : path, flags, scheme, &comparison, all, diagnostic);
        comparison_free(&comparison);
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

const Command command_eval = {"eval",
                              "--gold FILE --pred FILE [--scheme IOB2 --mode default|strict] | --model DIR --data [NAME=]FILE",
                              "span precision, recall and F1 as seqeval counts them", eval_run};
