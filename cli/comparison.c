#include "cli/comparison.h"

#include <stdlib.h>
#include <string.h>

#include "core/io/file.h"

const char *const eval_mode_names[] = {"default", "strict", "nested", "muc", NULL};

void comparison_free(Comparison *comparison)
{
    string_array_free(&comparison->types);
    array_free(&comparison->gold);
    array_free(&comparison->predicted);
    array_free(&comparison->sentences);
    *comparison = (Comparison){0};
}

SpanPair comparison_sentence(const Comparison *comparison, size_t index)
{
    ComparedSentence before = index > 0 ? comparison->sentences.items[index - 1] : (ComparedSentence){0};
    ComparedSentence sentence = comparison->sentences.items[index];
    SpanPair pair = {.gold_count = sentence.gold_end - before.gold_end,
                     .predicted_count = sentence.predicted_end - before.predicted_end};
    if (pair.gold_count > 0)
        pair.gold = comparison->gold.items + before.gold_end;
    if (pair.predicted_count > 0)
        pair.predicted = comparison->predicted.items + before.predicted_end;
    return pair;
}

static void sentence_end(Comparison *comparison)
{
    array_push(&comparison->sentences, ((ComparedSentence){comparison->gold.count, comparison->predicted.count}));
}

void label_pairs_free(LabelPairs *pairs)
{
    label_set_destroy(&pairs->labels);
    array_free(&pairs->gold);
    array_free(&pairs->predicted);
    array_free(&pairs->ends);
}

static void extract(const LabelTable *table, EvalMode mode, LabelScheme scheme, const int32_t *labels, int32_t n, SpanArray *spans)
{
    if (mode == EVAL_STRICT)
        spans_extract_strict(table, scheme, labels, n, spans);
    else
        spans_extract_default(table, labels, n, spans);
}

Status comparison_of_labels(Comparison *comparison, const LabelPairs *pairs, EvalMode mode, LabelScheme scheme,
                            Diagnostic *diagnostic)
{
    LabelTable *table = NULL;
    Status status = label_table_create(&table, pairs->labels, diagnostic);
    if (status != STATUS_OK)
        return status;
    for (int32_t type = 0; type < table->type_count; type++)
        array_push(&comparison->types, memory_copy_string(table->type_names[type]));
    for (size_t i = 0, start = 0; i < pairs->ends.count; i++) {
        size_t end = (size_t)pairs->ends.items[i];
        extract(table, mode, scheme, pairs->gold.items + start, (int32_t)(end - start), &comparison->gold);
        extract(table, mode, scheme, pairs->predicted.items + start, (int32_t)(end - start), &comparison->predicted);
        sentence_end(comparison);
        start = end;
    }
    comparison->tokens = (int64_t)pairs->gold.count;
    for (size_t i = 0; i < pairs->gold.count; i++)
        comparison->tokens_correct += pairs->gold.items[i] == pairs->predicted.items[i];
    label_table_destroy(&table);
    return STATUS_OK;
}

static void spans_append(SpanArray *spans, const CorpusSentence *sentence, LabelSet *types)
{
    for (size_t i = 0; i < sentence->span_count; i++) {
        const CorpusSpan *span = &sentence->spans[i];
        array_push(spans, ((Span){(int32_t)span->start, (int32_t)span->end, label_set_add(types, span->label)}));
    }
}

/* Both are there, and are the same text. */
static Status check_texts(const char *const *paths, const CorpusSentence *gold, const CorpusSentence *predicted,
                          Diagnostic *diagnostic)
{
    if (!gold || !predicted)
        return FAIL_AT(diagnostic, STATUS_MISMATCH, gold ? paths[0] : paths[1], gold ? gold->line : predicted->line, 1,
                       "%s ends before this text", gold ? paths[1] : paths[0]);
    if (gold->text_size != predicted->text_size || memcmp(gold->text, predicted->text, gold->text_size) != 0)
        return FAIL_AT(diagnostic, STATUS_MISMATCH, paths[1], predicted->line, 1,
                       "the text is not the one of %s:%ld: both files must hold the same texts in the same order", paths[0],
                       gold->line);
    return STATUS_OK;
}

static Status texts_open(CorpusReader **reader, const char *path, CorpusOptions options, Diagnostic *diagnostic)
{
    options.keep_text = true;
    Status status = corpus_reader_open(reader, path, options, NULL, NULL, diagnostic);
    if (status == STATUS_OK && !corpus_format_is_text(corpus_reader_format(*reader)))
        return FAIL(
            diagnostic, STATUS_UNSUPPORTED,
            "%s is %s, a format of tokens with one label each: nested spans are in prodigy, labelstudio, spacy or brat files "
            "(nersweep convert makes them)",
            path, corpus_format_names[corpus_reader_format(*reader)]);
    return status;
}

static void spans_sort(SpanArray *spans, size_t first, size_t end)
{
    if (first < end)
        qsort(spans->items + first, end - first, sizeof *spans->items, span_compare);
}

/* Types get their final numbers, in the order of their names, and the spans of each sentence theirs. */
static void spans_order(Comparison *comparison, LabelSet *types)
{
    int32_t *numbers = memory_allocate((size_t)label_set_count(types) + 1, sizeof *numbers);
    label_set_sort(types, numbers);
    for (int32_t type = 0; type < label_set_count(types); type++)
        array_push(&comparison->types, memory_copy_string(label_set_name(types, type)));
    SpanArray *const sides[] = {&comparison->gold, &comparison->predicted};
    for (int side = 0; side < 2; side++)
        for (size_t i = 0; i < sides[side]->count; i++)
            sides[side]->items[i].type = numbers[sides[side]->items[i].type];
    size_t gold = 0, predicted = 0;
    for (size_t i = 0; i < comparison->sentences.count; i++) {
        ComparedSentence ends = comparison->sentences.items[i];
        spans_sort(&comparison->gold, gold, ends.gold_end);
        spans_sort(&comparison->predicted, predicted, ends.predicted_end);
        gold = ends.gold_end;
        predicted = ends.predicted_end;
    }
    free(numbers);
}

Status comparison_of_texts(Comparison *comparison, const char *gold_path, const char *predicted_path, CorpusOptions options,
                           Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const char *const paths[] = {gold_path, predicted_path};
    CorpusReader *readers[2] = {NULL, NULL};
    LabelSet *types = label_set_create();
    for (int side = 0; side < 2; side++)
        TRY(texts_open(&readers[side], paths[side], options, diagnostic));
    for (const CorpusSentence *gold, *predicted;;) {
        TRY(corpus_reader_next(readers[0], &gold, diagnostic));
        TRY(corpus_reader_next(readers[1], &predicted, diagnostic));
        if (!gold && !predicted)
            break;
        TRY(check_texts(paths, gold, predicted, diagnostic));
        spans_append(&comparison->gold, gold, types);
        spans_append(&comparison->predicted, predicted, types);
        sentence_end(comparison);
    }
    spans_order(comparison, types);
out:
    corpus_reader_close(&readers[0]);
    corpus_reader_close(&readers[1]);
    label_set_destroy(&types);
    return status;
}
