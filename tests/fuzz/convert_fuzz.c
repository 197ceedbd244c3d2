/* From the format that the input is found to have into every other: what is written must be read back as the same. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/io/file.h"
#include "shard/convert.h"
#include "shard/label_spans.h"
#include "tests/fuzz/harness.h"

/* How a corpus is looked at to be compared. */
typedef enum View {
    VIEW_LABELS, /* tokens and labels as they stand */
    VIEW_SPANS,  /* tokens, and spans of the labels */
    VIEW_TEXTS,  /* texts, their tokens and their spans as they stand */
    VIEW_SLICES, /* texts of the spans and their labels, in any order: brat makes one text of all and sorts its spans */
} View;

typedef struct Seen {
    Text text;
    StringArray slices;
    LabelSpans spans;
} Seen;

static const char *const names[] = {
    [CORPUS_CONLL] = "out.conll",     [CORPUS_CSV] = "out.csv",          [CORPUS_JSONL] = "out.jsonl",
    [CORPUS_PRODIGY] = "out.p.jsonl", [CORPUS_LABELSTUDIO] = "out.json", [CORPUS_SPACY] = "out.s.jsonl",
    [CORPUS_BRAT] = "out.ann",
};

static void see_text(Seen *seen, const CorpusSentence *sentence)
{
    text_append(&seen->text, sentence->text, sentence->text_size);
    text_append_string(&seen->text, "\x03");
    for (int32_t i = 0; i < sentence->token_count; i++)
        text_format(&seen->text, "%zu-%zu\x02", sentence->tokens[i].start, sentence->tokens[i].end);
    for (size_t i = 0; i < sentence->span_count; i++)
        text_format(&seen->text, "%zu-%zu %s\x02", sentence->spans[i].start, sentence->spans[i].end, sentence->spans[i].label);
}

static void see_tokens(Seen *seen, const CorpusSentence *sentence, bool labels)
{
    for (int32_t i = 0; i < sentence->token_count; i++)
        text_format(&seen->text, "%s\x01%s\x02", sentence->tokens[i].text, labels ? sentence->tokens[i].label : "");
    for (size_t i = 0; !labels && i < seen->spans.spans.count; i++) {
        const Span *span = &seen->spans.spans.items[i];
        text_format(&seen->text, "%d-%d %s\x02", span->start, span->end, seen->spans.table->type_names[span->type]);
    }
}

static void see_slices(Seen *seen, const CorpusSentence *sentence)
{
    for (size_t i = 0; sentence->text && i < sentence->span_count; i++) {
        const CorpusSpan *span = &sentence->spans[i];
        array_push(&seen->slices,
                   memory_format("%.*s\x01%s", (int)(span->end - span->start), sentence->text + span->start, span->label));
    }
    for (size_t i = 0; !sentence->text && i < seen->spans.spans.count; i++) {
        const Span *span = &seen->spans.spans.items[i];
        Text slice = {0};
        for (int32_t token = span->start; token < span->end; token++)
            text_format(&slice, "%s%s", token > span->start ? " " : "", sentence->tokens[token].text);
        text_format(&slice, "\x01%s", seen->spans.table->type_names[span->type]);
        array_push(&seen->slices, text_take(&slice));
    }
}

static void see_sentence(Seen *seen, const CorpusSentence *sentence, View view)
{
    if (view == VIEW_SPANS || (view == VIEW_SLICES && !sentence->text)) {
        Status status = label_spans_extract(&seen->spans, sentence, "in", NULL);
        ASSERT(status == STATUS_OK);
    }
    if (view == VIEW_TEXTS)
        see_text(seen, sentence);
    else if (view == VIEW_SLICES)
        see_slices(seen, sentence);
    else
        see_tokens(seen, sentence, view == VIEW_LABELS);
    text_append_string(&seen->text, view == VIEW_SLICES ? "" : "\x04");
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *see(const char *path, CorpusOptions options, View view)
{
    CorpusReader *reader = NULL;
    Seen seen = {0};
    Status status = corpus_reader_open(&reader, path, options, NULL, NULL, NULL);
    for (const CorpusSentence *sentence; status == STATUS_OK;) {
        status = corpus_reader_next(reader, &sentence, NULL);
        if (status != STATUS_OK || !sentence)
            break;
        see_sentence(&seen, sentence, view);
    }
    ASSERT(status == STATUS_OK); /* it was read once already, or is what we wrote */
    corpus_reader_close(&reader);
    if (seen.slices.count > 0)
        qsort(seen.slices.items, seen.slices.count, sizeof *seen.slices.items, by_bytes);
    for (size_t i = 0; i < seen.slices.count; i++)
        text_format(&seen.text, "%s\x02", seen.slices.items[i]);
    string_array_free(&seen.slices);
    label_spans_free(&seen.spans);
    return text_take(&seen.text);
}

static void check_same(const char *input, CorpusFormat from, const char *output, CorpusFormat to)
{
    bool from_text = corpus_format_is_text(from), to_text = corpus_format_is_text(to);
    View view = to == CORPUS_BRAT                   ? VIEW_SLICES
                : from_text && to_text              ? VIEW_TEXTS
                : from_text == to_text || from_text ? VIEW_LABELS
                                                    : VIEW_SPANS;
    CorpusOptions before_options = {.format = from, .keep_text = from_text && to_text};
    CorpusOptions after_options = {.format = to, .keep_text = to == CORPUS_BRAT || (from_text && to_text)};
    char *before = see(input, before_options, view), *after = see(output, after_options, view);
    ASSERT(strcmp(before, after) == 0);
    free(before);
    free(after);
}

static void convert(const char *input, CorpusFormat to)
{
    char *output = path_join(fuzz_folder(), names[to]);
    ConvertOptions options = {.to = to};
    ConvertSummary summary;
    Diagnostic diagnostic = {0};
    Status status = corpus_convert(input, output, &options, NULL, NULL, &summary, &diagnostic);
    if (status == STATUS_OK) {
        check_same(input, summary.from, output, to);
        if (to == CORPUS_BRAT) {
            char *text = path_join(fuzz_folder(), "out.txt");
            ASSERT(remove(text) == 0);
            free(text);
        }
        ASSERT(remove(output) == 0);
    } else {
        fuzz_check_refused_line(status, &diagnostic, input);
    }
    /* Nothing but the input is there, whatever happened. */
    StringArray left = {0};
    ASSERT(folder_list(fuzz_folder(), &left, NULL) == STATUS_OK && left.count == 1);
    string_array_free(&left);
    free(output);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *input = fuzz_write("in", bytes, size);
    for (int to = CORPUS_CONLL; to < CORPUS_FORMAT_COUNT; to++)
        convert(input, (CorpusFormat)to);
    free(input);
    return 0;
}
