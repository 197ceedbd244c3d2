#include "shard/convert.h"

#include <stdlib.h>
#include <string.h>

#include "shard/corpus_writer.h"
#include "shard/label_spans.h"

typedef struct Converter {
    const char *input;
    const ConvertOptions *options;
    CorpusOptions corpus; /* as the reader gets them */
    bool labels_checked;  /* labels of a format of tokens are looked at */
    LabelScheme found;    /* of the input */
    ConvertRepair on_repair;
    void *context;
    ConvertSummary *summary;
    ARRAY(const char *) labels;
    LabelSpans spans;
    LabelSet *names; /* of labels made here */
    Int32Array ids;
} Converter;

enum { NAMES_KEPT = 4096 };

static void sentence_labels(Converter *converter, const CorpusSentence *sentence)
{
    converter->labels.count = 0;
    for (int32_t i = 0; i < sentence->token_count; i++)
        array_push(&converter->labels, sentence->tokens[i].label);
}

static Status scheme_find(Converter *converter, Diagnostic *diagnostic)
{
    CorpusReader *reader = NULL;
    SchemeGuess guess = {0};
    Status status = STATUS_OK;
    TRY(corpus_reader_open(&reader, converter->input, converter->corpus, NULL, NULL, diagnostic));
    for (const CorpusSentence *sentence;;) {
        TRY(corpus_reader_next(reader, &sentence, diagnostic));
        if (!sentence)
            break;
        sentence_labels(converter, sentence);
        scheme_guess_add(&guess, converter->labels.items, sentence->token_count);
    }
    converter->found = scheme_guess_result(&guess);
out:
    corpus_reader_close(&reader);
    return status;
}

/* IO cannot tell two spans of one type apart that meet. */
static Status adjacent_check(const Converter *converter, const CorpusSentence *sentence, Diagnostic *diagnostic)
{
    const SpanArray *spans = &converter->spans.spans;
    for (size_t i = 1; i < spans->count; i++) {
        const CorpusToken *token = &sentence->tokens[spans->items[i].start];
        if (spans->items[i - 1].end == spans->items[i].start && spans->items[i - 1].type == spans->items[i].type)
            return FAIL_AT(diagnostic, STATUS_INVALID_INPUT, converter->input, token->line, token->label_column,
                           "two spans of type %.64s meet here, and IO cannot tell them apart: choose another scheme, or "
                           "--merge-adjacent [adjacent-spans]",
                           converter->spans.table->type_names[spans->items[i].type]);
    }
    return STATUS_OK;
}

/* Labels of the same spans in another scheme; those that change are told when `repairs`. */
static Status sentence_relabel(Converter *converter, const CorpusSentence *sentence, LabelScheme scheme, bool repairs,
                               Diagnostic *diagnostic)
{
    Status status = label_spans_extract(&converter->spans, sentence, converter->input, diagnostic);
    if (status == STATUS_OK && scheme == SCHEME_IO && !repairs && !converter->corpus.merge_adjacent)
        status = adjacent_check(converter, sentence, diagnostic);
    if (status != STATUS_OK)
        return status;
    array_reserve(&converter->ids, (size_t)sentence->token_count);
    status = spans_to_labels(scheme, converter->spans.spans.items, converter->spans.spans.count,
                             (const char *const *)converter->spans.table->type_names, sentence->token_count, true, converter->names,
                             converter->ids.items, diagnostic);
    for (int32_t i = 0; i < sentence->token_count && status == STATUS_OK; i++) {
        CorpusToken *token = &sentence->tokens[i];
        const char *label = label_set_name(converter->names, converter->ids.items[i]);
        if (repairs && strcmp(label, token->label) != 0) {
            converter->summary->repaired++;
            if (converter->on_repair)
                converter->on_repair(converter->context, converter->input, token->line, token->label_column, token->label, label);
        }
        token->label = label;
    }
    return status;
}

/* What the input's scheme does not allow is an error, or repaired. */
static Status labels_check(Converter *converter, const CorpusSentence *sentence, Diagnostic *diagnostic)
{
    sentence_labels(converter, sentence);
    int32_t violation = scheme_first_violation(converter->found, converter->labels.items, sentence->token_count);
    if (violation < 0)
        return STATUS_OK;
    if (converter->options->repair)
        return sentence_relabel(converter, sentence, converter->found, true, diagnostic);
    const CorpusToken *token = &sentence->tokens[violation];
    return FAIL_AT(diagnostic, STATUS_INVALID_INPUT, converter->input, token->line, token->label_column,
                   "\"%.64s\" after \"%.64s\" is not allowed by the scheme %s, which fits this file best: mend it (`nersweep lint` "
                   "lists all such places), or convert with --repair [scheme-transition]",
                   token->label, violation > 0 ? sentence->tokens[violation - 1].label : "the sentence's start",
                   label_scheme_name(converter->found));
}

static Status sentence_convert(Converter *converter, const CorpusSentence *sentence, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    if (label_set_count(converter->names) > NAMES_KEPT) {
        label_set_destroy(&converter->names);
        converter->names = label_set_create();
    }
    if (converter->labels_checked)
        status = labels_check(converter, sentence, diagnostic);
    if (status == STATUS_OK && converter->labels_checked && converter->corpus.scheme_given &&
        converter->corpus.scheme != converter->found)
        status = sentence_relabel(converter, sentence, converter->corpus.scheme, false, diagnostic);
    converter->summary->sentences++;
    converter->summary->tokens += sentence->token_count;
    return status;
}

static Status convert_all(Converter *converter, CorpusWriter *writer, Diagnostic *diagnostic)
{
    CorpusReader *reader = NULL;
    Status status = STATUS_OK;
    TRY(corpus_reader_open(&reader, converter->input, converter->corpus, NULL, NULL, diagnostic));
    for (const CorpusSentence *sentence;;) {
        TRY(corpus_reader_next(reader, &sentence, diagnostic));
        if (!sentence)
            break;
        TRY(sentence_convert(converter, sentence, diagnostic));
        TRY(corpus_writer_add(writer, sentence, converter->input, diagnostic));
    }
    converter->summary->counts = corpus_reader_counts(reader);
    if (converter->summary->sentences == 0)
        status = FAIL_AT(diagnostic, STATUS_INVALID_INPUT, converter->input, 1, 0, "the file holds nothing to convert (read as %s)",
                         corpus_format_names[converter->corpus.format]);
out:
    corpus_reader_close(&reader);
    return status;
}

Status corpus_convert(const char *input, const char *output, const ConvertOptions *options, ConvertRepair on_repair, void *context,
                      ConvertSummary *summary, Diagnostic *diagnostic)
{
    *summary = (ConvertSummary){0};
    Converter converter = {.input = input,
                           .options = options,
                           .corpus = options->corpus,
                           .on_repair = on_repair,
                           .context = context,
                           .summary = summary,
                           .names = label_set_create()};
    CorpusWriter *writer = NULL;
    Status status = STATUS_OK;
    bool to_text = corpus_format_is_text(options->to);
    if (converter.corpus.format == CORPUS_AUTO)
        TRY(corpus_format_detect(input, &converter.corpus.format, diagnostic));
    summary->from = converter.corpus.format;
    bool from_text = corpus_format_is_text(summary->from);
    converter.corpus.keep_text =
        from_text && to_text && converter.corpus.flatten == FLATTEN_ERROR && converter.corpus.misaligned == MISALIGNED_ERROR;
    converter.labels_checked = !from_text && (to_text || options->repair || converter.corpus.scheme_given);
    if (converter.labels_checked)
        TRY(scheme_find(&converter, diagnostic));
    CorpusWriterOptions written = {.format = options->to, .written_spans = converter.corpus.keep_text};
    TRY(corpus_writer_begin(&writer, output, written, diagnostic));
    TRY(convert_all(&converter, writer, diagnostic));
    TRY(corpus_writer_commit(&writer, diagnostic));
out:
    corpus_writer_abandon(&writer);
    array_free(&converter.labels);
    label_spans_free(&converter.spans);
    label_set_destroy(&converter.names);
    array_free(&converter.ids);
    return status;
}
