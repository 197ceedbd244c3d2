/* Words that are not all ASCII, or have control characters in them: normalised code point by code point, the oracle's way where that matters. */
#include <stdlib.h>
#include <string.h>

#include "shard/wordpiece_internal.h"

enum {
    INSERTION_SORT_LIMIT = 32, /* marks in a row; more are sorted by counting */
    COMBINING_CLASSES = 256,
};

/* ---- a word ---- */

/* A word as it is gathered, code point by code point. Those past WORD_CHARACTERS are only counted: the word is [UNK] then. */
typedef struct WordBuffer {
    int32_t characters, size;
    int32_t first, last; /* code points of the text */
    uint8_t bytes[WORD_BYTES + WORD_KEY_BYTES];
    int32_t index[WORD_BYTES];
} WordBuffer;

static inline void word_add(WordBuffer *word, int32_t code_point, int32_t index)
{
    if (word->characters++ == 0)
        word->first = index;
    word->last = index;
    if (word->characters > WORD_CHARACTERS)
        return;
    int32_t length = utf8_encode(code_point, word->bytes + word->size);
    for (int32_t i = 0; i < length; i++)
        word->index[word->size + i] = index;
    word->size += length;
}

static void put_unknown(Encoding *encoding, int32_t start, int32_t end)
{
    encoding_reserve(encoding, 1);
    encoding_put(encoding, encoding->wordpiece->specials.unk, start, end);
}

static void word_flush(Encoding *encoding, WordBuffer *word)
{
    if (word->characters > WORD_CHARACTERS)
        put_unknown(encoding, word->first, word->last + 1);
    else if (word->characters > 0)
        encoding_put_word(encoding, word->bytes, word->size, word->index);
    word->characters = word->size = 0;
}

/* One normalised code point: true when it ends a word. */
static bool word_take(Encoding *encoding, WordBuffer *word, UnicodeClass class, int32_t code_point, int32_t index)
{
    switch (class) {
    case UNICODE_LETTER:
        word_add(word, code_point, index);
        return false;
    case UNICODE_PUNCTUATION:
        word_flush(encoding, word);
        word_add(word, code_point, index);
        word_flush(encoding, word);
        return true;
    case UNICODE_SPACE:
        word_flush(encoding, word);
        return true;
    case UNICODE_REMOVED:
        return false;
    case UNICODE_SEVERAL:
    case UNICODE_REORDERED:
        break;
    }
    ASSERT(false);
    return false;
}

/* ---- marks that are kept and change places ----
 *
 * NFD sorts marks by combining class. Most are dropped afterwards, and then their order is nobody's business; but the oracle's table of
 * marks to be dropped is older than its table of classes, and some spacing marks have classes too. Words with such a mark are done here, step
 * by step as the oracle does all words, with its way of carrying offsets: in sorted order each code point that began a decomposition takes
 * the next source, each other one that of its predecessor. */

typedef struct Mark {
    int32_t code_point, index;
    uint8_t class;
    bool begins; /* first of its decomposition */
    bool ideograph;
} Mark;
typedef ARRAY(Mark) MarkArray;

static void marks_sort_few(Mark *marks, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        Mark mark = marks[i];
        size_t j = i;
        for (; j > 0 && marks[j - 1].class > mark.class; j--)
            marks[j] = marks[j - 1];
        marks[j] = mark;
    }
}

/* Stable. scratch has room for count marks after this. */
static void marks_sort(Mark *marks, size_t count, MarkArray *scratch)
{
    if (count <= INSERTION_SORT_LIMIT) {
        marks_sort_few(marks, count);
        return;
    }
    size_t starts[COMBINING_CLASSES + 1] = {0};
    for (size_t i = 0; i < count; i++)
        starts[marks[i].class + 1]++;
    for (size_t class = 0; class < COMBINING_CLASSES; class ++)
        starts[class + 1] += starts[class];
    array_reserve(scratch, count);
    for (size_t i = 0; i < count; i++)
        scratch->items[starts[marks[i].class]++] = marks[i];
    memcpy(marks, scratch->items, count * sizeof *marks);
}

/* clean_text and NFD of the text's region, in `marks`; the place behind the region, which ends before a space or ASCII punctuation. */
static Place region_decompose(const Encoding *encoding, Place place, MarkArray *marks)
{
    const Wordpiece *wordpiece = encoding->wordpiece;
    while (place.at < encoding->size && wordpiece->tables.byte_class[encoding->text[place.at]] != BYTE_SPACE &&
           wordpiece->tables.byte_class[encoding->text[place.at]] != BYTE_PUNCTUATION) {
        int32_t length, decomposed[UNICODE_DECOMPOSED_LIMIT];
        int32_t code_point = utf8_decode(encoding->text + place.at, encoding->size - place.at, &length);
        if (code_point == UNICODE_INVALID || unicode_is_white_space(code_point))
            break; /* the caller sees it too */
        int32_t count = unicode_is_removed(code_point) ? 0 : unicode_decompose(code_point, decomposed);
        for (int32_t i = 0; i < count; i++)
            array_push(marks, ((Mark){.code_point = decomposed[i],
                                      .index = place.index,
                                      .class = unicode_combining_class(decomposed[i]),
                                      .begins = i == 0,
                                      .ideograph = unicode_is_ideograph(code_point)}));
        place.at += (size_t)length;
        place.index++;
    }
    return place;
}

static void region_reorder(MarkArray *marks)
{
    MarkArray scratch = {0};
    Int32Array sources = {0}; /* of the code points that begin, in the text's order */
    for (size_t i = 0; i < marks->count; i++)
        if (marks->items[i].begins)
            array_push(&sources, marks->items[i].index);
    for (size_t start = 0, end; start < marks->count; start = end) {
        for (end = start + 1; end < marks->count && marks->items[end].class != 0; end++)
            ;
        marks_sort(marks->items + start, end - start, &scratch);
    }
    size_t taken = 0;
    for (size_t i = 0; i < marks->count; i++) {
        taken += marks->items[i].begins ? 1 : 0;
        marks->items[i].index = taken > 0 ? sources.items[taken - 1] : sources.items[0];
    }
    array_free(&sources);
    array_free(&scratch);
}

static Place encode_reordered_region(Encoding *encoding, Place place, WordBuffer *word)
{
    MarkArray marks = {0};
    Place end = region_decompose(encoding, place, &marks);
    region_reorder(&marks);
    for (size_t i = 0; i < marks.count; i++) {
        const Mark *mark = &marks.items[i];
        int32_t lowered[UNICODE_LOWERED_LIMIT];
        int32_t count = unicode_is_mark(mark->code_point) ? 0 : unicode_lower(mark->code_point, lowered);
        for (int32_t j = 0; j < count; j++) {
            bool alone = mark->ideograph || unicode_is_punctuation(lowered[j]);
            UnicodeClass class = unicode_is_white_space(lowered[j]) ? UNICODE_SPACE : UNICODE_LETTER;
            word_take(encoding, word, alone ? UNICODE_PUNCTUATION : class, lowered[j], mark->index);
        }
    }
    word_flush(encoding, word);
    array_free(&marks);
    return end;
}

/* ---- text ---- */

static Status invalid_utf8(size_t at, Diagnostic *diagnostic)
{
    return FAIL(diagnostic, STATUS_INVALID_INPUT, "the text is not UTF-8 at byte offset %zu", at);
}

Status encoding_wide_word(Encoding *encoding, Place *place, Diagnostic *diagnostic)
{
    const Wordpiece *wordpiece = encoding->wordpiece;
    const size_t output_before = encoding->output->ids.count;
    const int32_t word_before = encoding->word;
    Place here = *place;
    WordBuffer word;
    word.characters = word.size = 0;
    for (bool ended = false; !ended && here.at < encoding->size;) {
        if (wordpiece->tables.byte_class[encoding->text[here.at]] == BYTE_PUNCTUATION)
            break; /* it may begin a special token */
        int32_t length;
        int32_t code_point = utf8_decode(encoding->text + here.at, encoding->size - here.at, &length);
        if (code_point == UNICODE_INVALID)
            return invalid_utf8(here.at, diagnostic);
        UnicodeEntry entry = unicode_map_entry(wordpiece->map, code_point);
        UnicodeClass class = unicode_entry_class(entry);
        if (class == UNICODE_REORDERED) {
            output_set_count(encoding->output, output_before);
            encoding->word = word_before;
            word.characters = word.size = 0;
            *place = encode_reordered_region(encoding, *place, &word);
            return STATUS_OK;
        }
        if (class == UNICODE_SEVERAL) {
            int32_t count;
            const UnicodeEntry *parts = unicode_map_several(wordpiece->map, entry, &count);
            for (int32_t i = 0; i < count; i++)
                word_take(encoding, &word, unicode_entry_class(parts[i]), unicode_entry_code_point(parts[i], code_point),
                          here.index);
        } else {
            ended = word_take(encoding, &word, class, unicode_entry_code_point(entry, code_point), here.index);
        }
        here.at += (size_t)length;
        here.index++;
    }
    word_flush(encoding, &word);
    *place = here;
    return STATUS_OK;
}
