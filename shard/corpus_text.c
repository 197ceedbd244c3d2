/* Raw text with spans becomes tokens with labels. */
#include <stdlib.h>
#include <string.h>

#include "shard/corpus_internal.h"
#include "shard/unicode.h"

enum { OFFSET_STEP = 256 };

/* A span over tokens, and which one of the file's it is. */
typedef struct Placed {
    Span span;
    size_t index;
} Placed;
typedef ARRAY(Placed) PlacedArray;

static int32_t character_units(int32_t code_point, bool utf16)
{
    return utf16 && code_point > 0xFFFF ? 2 : 1;
}

void offset_index_build(OffsetIndex *index, const char *text, size_t size, bool utf16)
{
    index->text = text;
    index->size = size;
    index->utf16 = utf16;
    index->units = 0;
    index->bytes.count = index->marks.count = 0;
    int32_t length;
    for (size_t at = 0, count = 0; at < size; at += (size_t)length, count++) {
        if (count % OFFSET_STEP == 0) {
            array_push(&index->bytes, at);
            array_push(&index->marks, index->units);
        }
        index->units += (size_t)character_units(utf8_decode((const uint8_t *)text + at, size - at, &length), utf16);
    }
}

void offset_index_free(OffsetIndex *index)
{
    array_free(&index->bytes);
    array_free(&index->marks);
}

/* The last mark at or before value; the first when there are none. */
static size_t mark_before(const size_t *values, size_t count, size_t value)
{
    size_t low = 0, high = count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (values[middle] <= value)
            low = middle;
        else
            high = middle;
    }
    return low;
}

bool offset_index_byte(const OffsetIndex *index, int64_t unit, size_t *byte)
{
    if (unit < 0 || (uint64_t)unit > index->units)
        return false;
    size_t at = 0, units = 0, wanted = (size_t)unit;
    if (index->marks.count > 0) {
        size_t mark = mark_before(index->marks.items, index->marks.count, wanted);
        at = index->bytes.items[mark];
        units = index->marks.items[mark];
    }
    int32_t length;
    for (; at < index->size && units < wanted; at += (size_t)length)
        units += (size_t)character_units(utf8_decode((const uint8_t *)index->text + at, index->size - at, &length), index->utf16);
    *byte = at;
    return units == wanted;
}

size_t offset_index_unit(const OffsetIndex *index, size_t byte)
{
    size_t at = 0, units = 0;
    if (index->bytes.count > 0) {
        size_t mark = mark_before(index->bytes.items, index->bytes.count, byte);
        at = index->bytes.items[mark];
        units = index->marks.items[mark];
    }
    int32_t length;
    for (; at < byte && at < index->size; at += (size_t)length)
        units += (size_t)character_units(utf8_decode((const uint8_t *)index->text + at, index->size - at, &length), index->utf16);
    return units;
}

/* Words of the text become tokens. Where places are those of the text, each token gets its own. */
static Status tokens_make(CorpusReader *reader, Diagnostic *diagnostic)
{
    const CorpusText *text = &reader->text;
    WordArray words = {0};
    Status status = words_split(reader->options.words, text->bytes, text->size, &words, diagnostic);
    long line = text->line, column = text->column;
    size_t at = 0;
    for (size_t i = 0; i < words.count && status == STATUS_OK; i++) {
        size_t start = (size_t)words.items[i].start, end = (size_t)words.items[i].end;
        for (; text->places_in_text && at < start; at++) {
            column = text->bytes[at] == '\n' ? 1 : column + 1;
            line += text->bytes[at] == '\n';
        }
        CorpusToken token = {.text = text->bytes + start,
                             .text_size = end - start,
                             .label = "O",
                             .line = line,
                             .token_column = column,
                             .label_column = column,
                             .start = start,
                             .end = end};
        status = corpus_reader_append(reader, token, 1, diagnostic);
    }
    array_free(&words);
    return status;
}

/* The first token whose start (or end) is at or after offset. */
static int32_t token_from(const CorpusReader *reader, size_t offset, bool by_end)
{
    size_t low = 0, high = reader->tokens.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const CorpusToken *token = &reader->tokens.items[middle];
        if ((by_end ? token->end : token->start) >= offset)
            high = middle;
        else
            low = middle + 1;
    }
    return (int32_t)low;
}

/* Tokens [*first, *end) of a span; false when its ends are not theirs. */
static bool span_align(const CorpusReader *reader, const CorpusSpan *span, MisalignedPolicy policy, int32_t *first, int32_t *end)
{
    const CorpusToken *tokens = reader->tokens.items;
    *first = token_from(reader, span->start, false);
    *end = token_from(reader, span->end + 1, true);
    bool meets = *first < *end && tokens[*first].start == span->start && tokens[*end - 1].end == span->end;
    if (!meets && policy == MISALIGNED_EXPAND) {
        *first = token_from(reader, span->start + 1, true);
        *end = token_from(reader, span->end, false);
    }
    return meets;
}

static size_t characters(const char *text, size_t size)
{
    size_t count = 0;
    for (size_t i = 0; i < size; i++)
        count += ((unsigned char)text[i] & 0xC0) != 0x80;
    return count;
}

/* At most so many bytes of a text for a message, whole characters. */
static int shown(const char *text, size_t size)
{
    size_t limit = 40;
    if (size <= limit)
        return (int)size;
    while (limit > 0 && ((unsigned char)text[limit] & 0xC0) == 0x80)
        limit--;
    return (int)limit;
}

static Status misaligned_error(CorpusReader *reader, const CorpusSpan *span, Diagnostic *diagnostic)
{
    const CorpusText *text = &reader->text;
    const char *slice = text->bytes + span->start;
    size_t from = characters(text->bytes, span->start), size = span->end - span->start;
    return corpus_reader_error(
        reader, text->file, span->line, span->column, "misaligned-span", diagnostic,
        "the span %.40s \"%.*s\" (characters %zu to %zu) does not begin and end with a token of the words rule "
        "%s: mend it, take another rule, or convert with --misaligned=expand, contract or drop",
        span->label, shown(slice, size), slice, from, from + characters(slice, size),
        text->tokens_given ? "(the record's own)" : words_rule_name(reader->options.words));
}

/* Spans of the text become spans over tokens. */
static Status spans_align(CorpusReader *reader, LabelSet *types, PlacedArray *placed, bool *usable, Diagnostic *diagnostic)
{
    MisalignedPolicy policy = reader->options.misaligned;
    for (size_t i = 0; i < reader->spans.count; i++) {
        const CorpusSpan *span = &reader->spans.items[i];
        Placed one = {.index = i};
        if (!span_align(reader, span, policy, &one.span.start, &one.span.end)) {
            reader->counts.misaligned++;
            if (policy == MISALIGNED_ERROR) {
                *usable = false;
                return misaligned_error(reader, span, diagnostic);
            }
            if (policy == MISALIGNED_DROP || one.span.start >= one.span.end)
                continue;
        }
        one.span.type = label_set_add(types, span->label);
        array_push(placed, one);
    }
    return STATUS_OK;
}

static int compare(int64_t a, int64_t b)
{
    return a < b ? -1 : a > b;
}

static int by_start(const void *a, const void *b)
{
    const Placed *left = a, *right = b;
    int order = compare(left->span.start, right->span.start);
    order = order ? order : compare(right->span.end, left->span.end);
    order = order ? order : compare(left->span.type, right->span.type);
    return order ? order : compare((int64_t)left->index, (int64_t)right->index);
}

static int by_length(const void *a, const void *b)
{
    const Placed *left = a, *right = b;
    int order = compare(left->span.end - left->span.start, right->span.end - right->span.start);
    order = order ? order : compare(left->span.start, right->span.start);
    return order ? order : compare((int64_t)left->index, (int64_t)right->index);
}

static int by_falling_length(const void *a, const void *b)
{
    const Placed *left = a, *right = b;
    int order = compare(right->span.end - right->span.start, left->span.end - left->span.start);
    order = order ? order : compare(left->span.start, right->span.start);
    return order ? order : compare((int64_t)left->index, (int64_t)right->index);
}

static int by_index(const void *a, const void *b)
{
    return compare((int64_t)((const Placed *)a)->index, (int64_t)((const Placed *)b)->index);
}

static void placed_sort(PlacedArray *placed, int (*order)(const void *, const void *))
{
    if (placed->count > 0)
        qsort(placed->items, placed->count, sizeof *placed->items, order);
}

/* Of sorted spans: those that are there twice with one label go. */
static void duplicates_drop(CorpusReader *reader, PlacedArray *placed)
{
    size_t kept = 0;
    for (size_t i = 0; i < placed->count; i++) {
        const Span *now = &placed->items[i].span, *before = kept > 0 ? &placed->items[kept - 1].span : NULL;
        if (before && before->start == now->start && before->end == now->end && before->type == now->type)
            reader->counts.duplicates++;
        else
            placed->items[kept++] = placed->items[i];
    }
    placed->count = kept;
}

static Status overlap_error(CorpusReader *reader, const Placed *one, const Placed *other, Diagnostic *diagnostic)
{
    const CorpusSpan *first = &reader->spans.items[one->index], *second = &reader->spans.items[other->index];
    const char *text = reader->text.bytes;
    size_t first_size = first->end - first->start, second_size = second->end - second->start;
    return corpus_reader_error(
        reader, reader->text.file, second->line, second->column, "overlapping-spans", diagnostic,
        "the spans %.40s \"%.*s\" and %.40s \"%.*s\" overlap: a token has one label, so mend them, or convert "
        "with --flatten=outermost, innermost, longest or first",
        first->label, shown(text + first->start, first_size), text + first->start, second->label,
        shown(text + second->start, second_size), text + second->start);
}

/* placed is sorted by start, and is so again at the end. */
static Status spans_flatten(CorpusReader *reader, PlacedArray *placed, bool *usable, Diagnostic *diagnostic)
{
    static int (*const orders[])(const void *, const void *) = {
        [FLATTEN_OUTERMOST] = by_start,
        [FLATTEN_INNERMOST] = by_length,
        [FLATTEN_LONGEST] = by_falling_length,
        [FLATTEN_FIRST] = by_index,
    };
    size_t guilty = 0;
    for (size_t i = 1; i < placed->count && guilty == 0; i++)
        if (placed->items[i - 1].span.end > placed->items[i].span.start)
            guilty = i;
    if (guilty == 0)
        return STATUS_OK;
    if (reader->options.flatten == FLATTEN_ERROR) {
        *usable = false;
        return overlap_error(reader, &placed->items[guilty - 1], &placed->items[guilty], diagnostic);
    }
    char *taken = memory_allocate(reader->tokens.count, 1);
    placed_sort(placed, orders[reader->options.flatten]);
    size_t kept = 0;
    for (size_t i = 0; i < placed->count; i++) {
        Placed one = placed->items[i];
        size_t length = (size_t)(one.span.end - one.span.start);
        if (memchr(taken + one.span.start, 1, length)) {
            reader->counts.flattened++;
            continue;
        }
        memset(taken + one.span.start, 1, length);
        placed->items[kept++] = one;
    }
    placed->count = kept;
    free(taken);
    placed_sort(placed, by_start);
    return STATUS_OK;
}

/* Two spans of one type that meet cannot be told apart in IO. */
static Status adjacent_check(CorpusReader *reader, const PlacedArray *placed, bool *usable, Diagnostic *diagnostic)
{
    for (size_t i = 1; i < placed->count; i++) {
        const Placed *before = &placed->items[i - 1], *now = &placed->items[i];
        if (before->span.end != now->span.start || before->span.type != now->span.type)
            continue;
        const CorpusSpan *span = &reader->spans.items[now->index];
        *usable = false;
        return corpus_reader_error(
            reader, reader->text.file, span->line, span->column, "adjacent-spans", diagnostic,
            "two spans of type %.40s meet here, and IO cannot tell them apart: choose another scheme, or convert "
            "with --merge-adjacent",
            span->label);
    }
    return STATUS_OK;
}

static Status labels_make(CorpusReader *reader, const LabelSet *types, const PlacedArray *placed, Diagnostic *diagnostic)
{
    int32_t count = (int32_t)reader->tokens.count;
    SpanArray spans = {0};
    const char **names = memory_allocate((size_t)label_set_count(types) + 1, sizeof *names);
    int32_t *labels = memory_allocate((size_t)count + 1, sizeof *labels);
    for (int32_t type = 0; type < label_set_count(types); type++)
        names[type] = label_set_name(types, type);
    for (size_t i = 0; i < placed->count; i++)
        array_push(&spans, placed->items[i].span);
    if (!reader->label_names)
        reader->label_names = label_set_create();
    Status status = spans_to_labels(reader->options.scheme, spans.items, spans.count, names, count, true, reader->label_names,
                                    labels, diagnostic);
    for (int32_t i = 0; i < count && status == STATUS_OK; i++)
        reader->tokens.items[i].label = label_set_name(reader->label_names, labels[i]);
    array_free(&spans);
    free(names);
    free(labels);
    return status;
}

Status corpus_text_label(CorpusReader *reader, bool *usable, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    LabelSet *types = label_set_create();
    PlacedArray placed = {0};
    *usable = true;
    if (!reader->text.tokens_given)
        TRY(tokens_make(reader, diagnostic));
    TRY(spans_align(reader, types, &placed, usable, diagnostic));
    placed_sort(&placed, by_start);
    duplicates_drop(reader, &placed);
    if (*usable)
        TRY(spans_flatten(reader, &placed, usable, diagnostic));
    if (*usable && reader->options.scheme == SCHEME_IO && !reader->options.merge_adjacent)
        TRY(adjacent_check(reader, &placed, usable, diagnostic));
    if (*usable)
        TRY(labels_make(reader, types, &placed, diagnostic));
out:
    array_free(&placed);
    label_set_destroy(&types);
    return status;
}
