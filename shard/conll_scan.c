#include "shard/conll_scan.h"

#include <stdlib.h>
#include <string.h>

#include "shard/wordpiece_table.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

enum {
    LABEL_SLOTS = 64,    /* a power of two: labels that are found without hashing their text */
    LABEL_SLOT_BITS = 6, /* of a hash */
    BLOCK = 64,          /* bytes that are compared at once */
    AT_ONCE = 8,         /* places that are written without asking whether there are so many */
};

typedef struct LabelSlot {
    WordKey key; /* zeros: free */
    int32_t id;
} LabelSlot;

/* A range on its way. */
typedef struct Lines {
    const CorpusLayout *layout;
    SequenceBatch *batch;
    char *bytes;
    const uint32_t *ends; /* of the fields, the line's end among them; the last one is that of the last line */
    size_t count, next;   /* of the ends; the first one of this line */
    uint32_t start;       /* of this line */
    long number;
    size_t tokens, sentence; /* so far; where this sentence began */
    bool document;           /* the next sentence to end begins one */
    LabelSlot labels[LABEL_SLOTS];
} Lines;

/* ---- where fields end ---- */

#if defined(__SSE2__)

static inline uint64_t block_ends(const char *bytes, __m128i blank)
{
    uint64_t mask = 0;
    for (int i = 0; i < BLOCK; i += 16) {
        __m128i some = _mm_loadu_si128((const __m128i *)(const void *)(bytes + i));
        __m128i ends =
            _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(some, _mm_set1_epi8('\n')), _mm_cmpeq_epi8(some, _mm_set1_epi8('\t'))),
                         _mm_cmpeq_epi8(some, blank));
        mask |= (uint64_t)(uint32_t)_mm_movemask_epi8(ends) << i;
    }
    return mask;
}

/* Places of line feeds, TABs and, unless columns are parted by TABs alone, spaces. places: room for as many as there are bytes, and AT_ONCE.
 * Reads BLOCK - 1 bytes more, which must be none of these. */
static size_t ends_find(const char *bytes, size_t size, bool tabs, uint32_t *places)
{
    const __m128i blank = _mm_set1_epi8(tabs ? '\t' : ' ');
    size_t count = 0;
    for (size_t at = 0; at < size; at += BLOCK) {
        uint64_t mask = block_ends(bytes + at, blank);
        while (mask) {
            for (int i = 0; i < AT_ONCE; i++) {
                places[count] = (uint32_t)at + (uint32_t)__builtin_ctzll(mask | UINT64_C(1) << 63);
                count += mask != 0;
                mask &= mask - (mask != 0);
            }
        }
    }
    return count;
}

#else

static size_t ends_find(const char *bytes, size_t size, bool tabs, uint32_t *places)
{
    const char blank = tabs ? '\t' : ' ';
    size_t count = 0;
    for (size_t at = 0; at < size; at++) {
        places[count] = (uint32_t)at;
        count += bytes[at] == '\n' || bytes[at] == '\t' || bytes[at] == blank;
    }
    return count;
}

#endif

/* ---- the bytes ---- */

/* Takes the carriage return before each line feed out, as a reader does. False: there is another one. */
static bool returns_remove(Text *bytes)
{
    char *from = memchr(bytes->bytes, '\r', bytes->size), *end = bytes->bytes + bytes->size, *to = from;
    while (from) {
        if (from + 1 == end || from[1] != '\n')
            return false;
        from++;
        char *next = memchr(from, '\r', (size_t)(end - from));
        size_t size = (size_t)((next ? next : end) - from);
        memmove(to, from, size);
        to += size;
        from = next;
    }
    if (to)
        bytes->size = (size_t)(to - bytes->bytes);
    return true;
}

/* Is it UTF-8 without NUL and byte-order mark? A last line gets its end. */
static bool bytes_prepare(Text *bytes, bool first)
{
    if (first && bytes->size >= 3 && memcmp(bytes->bytes, "\xEF\xBB\xBF", 3) == 0)
        return false;
    if (!returns_remove(bytes) || corpus_invalid_utf8(bytes->bytes, bytes->size) >= 0)
        return false;
    if (bytes->size > 0 && bytes->bytes[bytes->size - 1] != '\n')
        bytes->bytes[bytes->size++] = '\n';
    return true;
}

/* ---- lines ---- */

/* label: before anything is written near it, or the processor waits until it is. */
static inline int32_t label_id(LabelSlot *labels, LabelSet *names, char *label, uint32_t size)
{
    if (size > WORD_KEY_BYTES) {
        label[size] = '\0';
        return label_set_add(names, label);
    }
    WordKey key = word_key((const uint8_t *)label, (int32_t)size);
    LabelSlot *slot = &labels[word_key_hash(key) >> (64 - LABEL_SLOT_BITS)];
    if (!word_key_equal(slot->key, key)) {
        label[size] = '\0';
        *slot = (LabelSlot){key, label_set_add(names, label)};
    }
    return slot->id;
}

/* Has a line as many fields as it should, and a text in those that matter? Where blanks part them, each must have one: two in a row are one. */
static inline bool fields_are_plain(const CorpusLayout *layout, const char *bytes, uint32_t start, const uint32_t *ends)
{
    int last = layout->columns - 1;
    for (int i = 0; i <= last; i++) {
        bool wanted = !layout->tabs || i == last || i == layout->token_index || i == layout->label_index;
        if ((wanted && ends[i] == start) || (bytes[ends[i]] == '\n') != (i == last))
            return false;
        start = ends[i] + 1;
    }
    return bytes[ends[last] - 1] != ' ';
}

/* Begins with what may be an empty line, a mark or a comment. */
static inline bool is_unusual(char first)
{
    return first <= '-' && (first == '\n' || first == '-' || first == '#' || first == ' ' || first == '\t');
}

/* Lines of tokens, up to `limit` of them; how many there were before one that is none, or that a reader should look at. looked_at: what the
 * first one begins with does not matter. All that the loop needs is its own, since a byte that is written could be anybody's. */
static size_t tokens_take(Lines *lines, size_t limit, bool looked_at)
{
    const CorpusLayout layout = *lines->layout;
    const size_t columns = (size_t)layout.columns;
    const int token_index = layout.token_index, label_index = layout.label_index;
    char *const bytes = lines->bytes;
    const uint32_t *ends = lines->ends + lines->next, *const behind = lines->ends + lines->count;
    uint32_t *const offsets = lines->batch->text_offsets.items + lines->tokens, *const sizes =
                                                                                    lines->batch->text_sizes.items + lines->tokens;
    int32_t *const labels = lines->batch->labels.items + lines->tokens, *const written =
                                                                            lines->batch->labels_written.items + lines->tokens;
    TokenPlace *const places = lines->batch->places.items + lines->tokens;
    LabelSet *const names = lines->batch->names;
    const long number = lines->number;
    uint32_t start = lines->start;
    size_t taken = 0;
    for (; taken < limit && (size_t)(behind - ends) >= columns; taken++, ends += columns) {
        if ((is_unusual(bytes[start]) && !(looked_at && taken == 0)) || !fields_are_plain(&layout, bytes, start, ends))
            break;
        uint32_t token = token_index > 0 ? ends[token_index - 1] + 1 : start, token_end = ends[token_index];
        uint32_t label = label_index > 0 ? ends[label_index - 1] + 1 : start, label_end = ends[label_index];
        if (bytes[token] == '-') {
            CorpusLine line = {.bytes = bytes + token, .size = token_end - token};
            if (corpus_layout_is_document_start(&line))
                break;
        }
        if (bytes[label] == ' ' || bytes[label_end - 1] == ' ')
            break;
        labels[taken] = written[taken] = label_id(lines->labels, names, bytes + label, label_end - label);
        bytes[token_end] = '\0';
        offsets[taken] = token;
        sizes[taken] = token_end - token;
        places[taken] = (TokenPlace){number + (long)taken, (int32_t)(label - start) + 1};
        start = ends[columns - 1] + 1;
    }
    lines->next += taken * columns;
    lines->tokens += taken;
    lines->number += (long)taken;
    lines->start = start;
    return taken;
}

static void sentence_end(Lines *lines, ConllScan *scan)
{
    if (lines->tokens == lines->sentence)
        return;
    array_push(&lines->batch->sentence_starts, (int32_t)lines->sentence);
    array_push(&scan->documents, lines->document);
    lines->document = false;
    lines->sentence = lines->tokens;
}

/* The whole line, whatever is in it. */
static CorpusLine line_look(const Lines *lines, size_t *last)
{
    *last = lines->next;
    while (lines->bytes[lines->ends[*last]] != '\n')
        ++*last;
    return (CorpusLine){.bytes = lines->bytes + lines->start, .size = lines->ends[*last] - lines->start, .number = lines->number};
}

/* A mark of a document, or a comment. False: neither. */
static bool mark_take(Lines *lines, ConllScan *scan)
{
    size_t last;
    CorpusLine line = line_look(lines, &last);
    if (corpus_layout_is_document_start(&line)) {
        sentence_end(lines, scan);
        lines->document = true;
    } else {
        CorpusFields fields;
        corpus_layout_split(lines->layout->tabs, &line, &fields);
        if (!corpus_layout_is_comment(lines->layout, &line, &fields, lines->tokens == lines->sentence))
            return false;
    }
    lines->start = lines->ends[last] + 1;
    lines->next = last + 1;
    lines->number++;
    return true;
}

static bool lines_take(Lines *lines, ConllScan *scan)
{
    while (lines->next < lines->count) {
        if (lines->bytes[lines->start] == '\n') {
            sentence_end(lines, scan);
            lines->next++;
            lines->start++;
            lines->number++;
            continue;
        }
        if (tokens_take(lines, SIZE_MAX, false) > 0)
            continue;
        char first = lines->bytes[lines->start];
        if ((first != '-' && first != '#') || (!mark_take(lines, scan) && tokens_take(lines, 1, true) == 0))
            return false;
    }
    sentence_end(lines, scan);
    return true;
}

static void batch_reserve(SequenceBatch *batch, size_t count)
{
    array_reserve(&batch->text_offsets, count);
    array_reserve(&batch->text_sizes, count);
    array_reserve(&batch->labels, count);
    array_reserve(&batch->labels_written, count);
    array_reserve(&batch->places, count);
}

bool conll_scan(ConllScan *scan, const CorpusLayout *layout, const CorpusRange *range, SequenceBatch *batch)
{
    Text *bytes = &batch->bytes;
    ASSERT(bytes->size <= CONLL_SCAN_LIMIT && bytes->capacity >= bytes->size + 1 + CONLL_SCAN_SLACK);
    scan->documents.count = 0;
    if (!bytes_prepare(bytes, range->lines_before == 0))
        return false;
    memset(bytes->bytes + bytes->size, 0, CONLL_SCAN_SLACK);
    array_reserve(&scan->ends, bytes->size + AT_ONCE);
    size_t count = ends_find(bytes->bytes, bytes->size, layout->tabs, scan->ends.items);
    batch_reserve(batch, count / (size_t)layout->columns + 1); /* one more, so that there are arrays in any case */
    Lines lines = {.layout = layout,
                   .batch = batch,
                   .bytes = bytes->bytes,
                   .ends = scan->ends.items,
                   .count = count,
                   .number = range->lines_before + 1,
                   .document = true};
    bool plain = lines_take(&lines, scan);
    batch->text_offsets.count = batch->text_sizes.count = batch->labels.count = batch->labels_written.count = lines.tokens;
    batch->places.count = lines.tokens;
    return plain;
}

void conll_scan_free(ConllScan *scan)
{
    array_free(&scan->ends);
    array_free(&scan->documents);
}
