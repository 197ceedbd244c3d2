#include "shard/wordpiece.h"

#include <stdlib.h>
#include <string.h>

#include "shard/unicode.h"
#include "shard/vocabulary.h"

enum {
    WORD_CHARACTERS = 100, /* a longer word is [UNK], as in the oracle */
    WORD_BYTES = 4 * WORD_CHARACTERS,
    SPECIAL_COUNT = 5,
    INSERTION_SORT_LIMIT = 32, /* marks in a row; more are sorted by counting */
    COMBINING_CLASSES = 256,
    CASING_PIECES_MINIMUM = 1000, /* fewer pieces with a letter say nothing about a vocabulary's casing */
    CASING_PERCENT = 5,
};

/* A special token written in the text. */
typedef struct SpecialText {
    const char *text;
    int32_t size, id;
} SpecialText;

/* What to do with a byte of text that begins something. */
typedef enum ByteClass { BYTE_LETTER, BYTE_SPACE, BYTE_PUNCTUATION, BYTE_REMOVED, BYTE_WIDE } ByteClass;

struct Wordpiece {
    Vocabulary vocabulary;
    UnicodeMap *map;
    WordpieceOptions options;
    WordpieceSpecials specials;
    SpecialText special_texts[SPECIAL_COUNT]; /* longest first */
    int32_t special_count;
    uint8_t byte_class[256]; /* ByteClass; BYTE_WIDE from 0x80 on */
    uint8_t byte_lower[128]; /* the normalised letter */
};

/* ---- opening ---- */

static int compare_special_texts(const void *a, const void *b)
{
    return ((const SpecialText *)b)->size - ((const SpecialText *)a)->size;
}

static Status find_specials(Wordpiece *wordpiece, const char *path, Diagnostic *diagnostic)
{
    WordpieceSpecials *specials = &wordpiece->specials;
    const struct {
        const char *text;
        int32_t *id;
        bool needed;
    } wanted[SPECIAL_COUNT] = {{"[PAD]", &specials->pad, true},
                               {"[UNK]", &specials->unk, true},
                               {"[CLS]", &specials->cls, true},
                               {"[SEP]", &specials->sep, true},
                               {"[MASK]", &specials->mask, false}};
    for (int32_t i = 0; i < SPECIAL_COUNT; i++) {
        int32_t id = vocabulary_find(&wordpiece->vocabulary, wanted[i].text);
        *wanted[i].id = id;
        if (id < 0 && wanted[i].needed)
            return FAIL(diagnostic, STATUS_MISMATCH, "%s: the special token %s is missing: this is no vocabulary of a BERT model",
                        path, wanted[i].text);
        if (id >= 0 && !wordpiece->options.ignore_special_tokens)
            wordpiece->special_texts[wordpiece->special_count++] =
                (SpecialText){wanted[i].text, (int32_t)strlen(wanted[i].text), id};
    }
    qsort(wordpiece->special_texts, (size_t)wordpiece->special_count, sizeof(SpecialText), compare_special_texts);
    return STATUS_OK;
}

/* The map's answers for ASCII, which never are UNICODE_SEVERAL or UNICODE_REORDERED, as bytes. */
static void fill_byte_tables(Wordpiece *wordpiece)
{
    memset(wordpiece->byte_class, BYTE_WIDE, sizeof wordpiece->byte_class);
    for (int32_t byte = 0; byte < 128; byte++) {
        UnicodeEntry entry = unicode_map_entry(wordpiece->map, byte);
        ByteClass class = BYTE_LETTER;
        switch (unicode_entry_class(entry)) {
        case UNICODE_SPACE:
            class = BYTE_SPACE;
            break;
        case UNICODE_PUNCTUATION:
            class = BYTE_PUNCTUATION;
            break;
        case UNICODE_REMOVED:
            class = BYTE_REMOVED;
            break;
        case UNICODE_LETTER:
            break;
        case UNICODE_SEVERAL:
        case UNICODE_REORDERED:
            ASSERT(false);
        }
        wordpiece->byte_class[byte] = (uint8_t) class;
        wordpiece->byte_lower[byte] = (uint8_t)unicode_entry_code_point(entry, byte);
    }
}

Status wordpiece_open(Wordpiece **wordpiece, const char *vocab_path, WordpieceOptions options, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Wordpiece *opened = memory_allocate(1, sizeof *opened);
    *wordpiece = NULL;
    opened->options = options;
    TRY(vocabulary_load(&opened->vocabulary, vocab_path, diagnostic));
    TRY(find_specials(opened, vocab_path, diagnostic));
    opened->map = unicode_map_create(options.lowercase);
    fill_byte_tables(opened);
    *wordpiece = opened;
    opened = NULL;
out:
    wordpiece_close(&opened);
    return status;
}

void wordpiece_close(Wordpiece **wordpiece)
{
    if (*wordpiece == NULL)
        return;
    vocabulary_free(&(*wordpiece)->vocabulary);
    unicode_map_destroy(&(*wordpiece)->map);
    free(*wordpiece);
    *wordpiece = NULL;
}

int32_t wordpiece_vocab_size(const Wordpiece *wordpiece)
{
    return (int32_t)wordpiece->vocabulary.pieces.count;
}

const WordpieceSpecials *wordpiece_specials(const Wordpiece *wordpiece)
{
    return &wordpiece->specials;
}

const char *wordpiece_piece(const Wordpiece *wordpiece, int32_t id)
{
    return id >= 0 && id < wordpiece_vocab_size(wordpiece) ? wordpiece->vocabulary.pieces.items[id] : NULL;
}

int32_t wordpiece_find(const Wordpiece *wordpiece, const char *piece)
{
    return vocabulary_find(&wordpiece->vocabulary, piece);
}

const char *wordpiece_sha256(const Wordpiece *wordpiece)
{
    return wordpiece->vocabulary.sha256;
}

/* ---- output ---- */

void wordpiece_output_clear(WordpieceOutput *output)
{
    output->ids.count = output->starts.count = output->ends.count = output->word_ids.count = 0;
}

void wordpiece_output_free(WordpieceOutput *output)
{
    array_free(&output->ids);
    array_free(&output->starts);
    array_free(&output->ends);
    array_free(&output->word_ids);
}

static void output_truncate(WordpieceOutput *output, size_t count)
{
    output->ids.count = output->starts.count = output->ends.count = output->word_ids.count = count;
}

/* A place in the text: bytes and code points from its beginning. */
typedef struct Place {
    size_t at;
    int32_t index;
} Place;

typedef struct Encoder {
    const Wordpiece *wordpiece;
    WordpieceOutput *output;
    const uint8_t *text;
    size_t size;
    int32_t word; /* index of the word that comes next */
    int32_t step; /* 1; 0 when all pieces have one given index */
} Encoder;

/* After this the four arrays have room for a whole word's pieces. */
static inline void encoder_reserve(Encoder *encoder)
{
    WordpieceOutput *output = encoder->output;
    size_t wanted = output->ids.count + WORD_CHARACTERS;
    if (wanted <= output->ids.capacity && wanted <= output->starts.capacity && wanted <= output->ends.capacity &&
        wanted <= output->word_ids.capacity)
        return;
    array_reserve(&output->ids, wanted);
    array_reserve(&output->starts, wanted);
    array_reserve(&output->ends, wanted);
    array_reserve(&output->word_ids, wanted);
}

static inline void encoder_put(Encoder *encoder, int32_t id, int32_t start, int32_t end)
{
    WordpieceOutput *output = encoder->output;
    size_t at = output->ids.count;
    output->ids.items[at] = id;
    output->starts.items[at] = start;
    output->ends.items[at] = end;
    output->word_ids.items[at] = encoder->word;
    output->ids.count = output->starts.count = output->ends.count = output->word_ids.count = at + 1;
}

static void encoder_put_unknown(Encoder *encoder, int32_t start, int32_t end)
{
    encoder_reserve(encoder);
    encoder_put(encoder, encoder->wordpiece->specials.unk, start, end);
    encoder->word += encoder->step;
}

/* A normalised word's pieces, the longest match first. index: code point of the text that each byte comes from, or NULL for bytes that
 * stand in the text as they are, from code point `first` on. */
static inline void encoder_put_word(Encoder *encoder, const uint8_t *bytes, int32_t size, const int32_t *index, int32_t first)
{
    const Vocabulary *vocabulary = &encoder->wordpiece->vocabulary;
    encoder_reserve(encoder);
    size_t before = encoder->output->ids.count;
    uint32_t base = vocabulary->word_base;
    for (int32_t at = 0; at < size;) {
        int32_t length = 0;
        int32_t id = vocabulary_match(vocabulary, base, bytes + at, size - at, &length);
        int32_t start = index ? index[at] : first + at;
        if (id < 0) {
            output_truncate(encoder->output, before);
            encoder_put(encoder, encoder->wordpiece->specials.unk, index ? index[0] : first,
                        index ? index[size - 1] + 1 : first + size);
            break;
        }
        at += length;
        encoder_put(encoder, id, start, index ? index[at - 1] + 1 : first + at);
        base = vocabulary->continue_base;
    }
    encoder->word += encoder->step;
}

/* ---- words that are not all ASCII ---- */

/* A word as it is gathered, code point by code point. Those past WORD_CHARACTERS are only counted: the word is [UNK] then. */
typedef struct WordBuffer {
    int32_t characters, size;
    int32_t first, last; /* code points of the text */
    uint8_t bytes[WORD_BYTES];
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

static void word_flush(Encoder *encoder, WordBuffer *word)
{
    if (word->characters > WORD_CHARACTERS)
        encoder_put_unknown(encoder, word->first, word->last + 1);
    else if (word->characters > 0)
        encoder_put_word(encoder, word->bytes, word->size, word->index, 0);
    word->characters = word->size = 0;
}

/* One normalised code point: true when it ends a word. */
static bool word_take(Encoder *encoder, WordBuffer *word, UnicodeClass class, int32_t code_point, int32_t index)
{
    switch (class) {
    case UNICODE_LETTER:
        word_add(word, code_point, index);
        return false;
    case UNICODE_PUNCTUATION:
        word_flush(encoder, word);
        word_add(word, code_point, index);
        word_flush(encoder, word);
        return true;
    case UNICODE_SPACE:
        word_flush(encoder, word);
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
static Place region_decompose(const Encoder *encoder, Place place, MarkArray *marks)
{
    const Wordpiece *wordpiece = encoder->wordpiece;
    while (place.at < encoder->size && wordpiece->byte_class[encoder->text[place.at]] != BYTE_SPACE &&
           wordpiece->byte_class[encoder->text[place.at]] != BYTE_PUNCTUATION) {
        int32_t length, decomposed[UNICODE_DECOMPOSED_LIMIT];
        int32_t code_point = utf8_decode(encoder->text + place.at, encoder->size - place.at, &length);
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

static Place encode_reordered_region(Encoder *encoder, Place place, WordBuffer *word)
{
    MarkArray marks = {0};
    Place end = region_decompose(encoder, place, &marks);
    region_reorder(&marks);
    for (size_t i = 0; i < marks.count; i++) {
        const Mark *mark = &marks.items[i];
        int32_t lowered[UNICODE_LOWERED_LIMIT];
        int32_t count = unicode_is_mark(mark->code_point) ? 0 : unicode_lower(mark->code_point, lowered);
        for (int32_t j = 0; j < count; j++) {
            bool alone = mark->ideograph || unicode_is_punctuation(lowered[j]);
            UnicodeClass class = unicode_is_white_space(lowered[j]) ? UNICODE_SPACE : UNICODE_LETTER;
            word_take(encoder, word, alone ? UNICODE_PUNCTUATION : class, lowered[j], mark->index);
        }
    }
    word_flush(encoder, word);
    array_free(&marks);
    return end;
}

/* ---- text ---- */

static Status invalid_utf8(size_t at, Diagnostic *diagnostic)
{
    return FAIL(diagnostic, STATUS_INVALID_INPUT, "the text is not UTF-8 at byte offset %zu", at);
}

/* From `place`, which is the start of a word or of something to be skipped, to behind what ends the word. `*place` moves on. */
static Status encode_wide_word(Encoder *encoder, Place *place, Diagnostic *diagnostic)
{
    const Wordpiece *wordpiece = encoder->wordpiece;
    const size_t output_before = encoder->output->ids.count;
    const int32_t word_before = encoder->word;
    Place here = *place;
    WordBuffer word;
    word.characters = word.size = 0;
    for (bool ended = false; !ended && here.at < encoder->size;) {
        if (wordpiece->byte_class[encoder->text[here.at]] == BYTE_PUNCTUATION)
            break; /* it may begin a special token */
        int32_t length;
        int32_t code_point = utf8_decode(encoder->text + here.at, encoder->size - here.at, &length);
        if (code_point == UNICODE_INVALID)
            return invalid_utf8(here.at, diagnostic);
        UnicodeEntry entry = unicode_map_entry(wordpiece->map, code_point);
        UnicodeClass class = unicode_entry_class(entry);
        if (class == UNICODE_REORDERED) {
            output_truncate(encoder->output, output_before);
            encoder->word = word_before;
            word.characters = word.size = 0;
            *place = encode_reordered_region(encoder, *place, &word);
            return STATUS_OK;
        }
        if (class == UNICODE_SEVERAL) {
            int32_t count;
            const UnicodeEntry *parts = unicode_map_several(wordpiece->map, entry, &count);
            for (int32_t i = 0; i < count; i++)
                word_take(encoder, &word, unicode_entry_class(parts[i]), unicode_entry_code_point(parts[i], code_point),
                          here.index);
        } else {
            ended = word_take(encoder, &word, class, unicode_entry_code_point(entry, code_point), here.index);
        }
        here.at += (size_t)length;
        here.index++;
    }
    word_flush(encoder, &word);
    *place = here;
    return STATUS_OK;
}

/* From an ASCII letter on; *place moves behind the word. */
static inline Status encode_word(Encoder *encoder, Place *place, Diagnostic *diagnostic)
{
    const Wordpiece *wordpiece = encoder->wordpiece;
    const uint8_t *text = encoder->text + place->at;
    const size_t left = encoder->size - place->at;
    const int32_t copied = left < WORD_CHARACTERS ? (int32_t)left : WORD_CHARACTERS;
    uint8_t bytes[WORD_CHARACTERS];
    int32_t length = 0;
    while (length < copied && wordpiece->byte_class[text[length]] == BYTE_LETTER) {
        bytes[length] = wordpiece->byte_lower[text[length]];
        length++;
    }
    if ((size_t)length < left) {
        uint8_t class = wordpiece->byte_class[text[length]];
        if (class != BYTE_SPACE && class != BYTE_PUNCTUATION) /* not ASCII throughout, a control character in it, or too long */
            return encode_wide_word(encoder, place, diagnostic);
    }
    encoder_put_word(encoder, bytes, length, NULL, place->index);
    place->at += (size_t)length;
    place->index += length;
    return STATUS_OK;
}

/* Punctuation of ASCII, a word of its own, or a special token that begins with it. */
static inline void encode_punctuation(Encoder *encoder, Place *place)
{
    const Wordpiece *wordpiece = encoder->wordpiece;
    const uint8_t *text = encoder->text + place->at;
    if (*text == '[') {
        for (int32_t i = 0; i < wordpiece->special_count; i++) {
            const SpecialText *special = &wordpiece->special_texts[i];
            if (encoder->size - place->at < (size_t)special->size || memcmp(text, special->text, (size_t)special->size) != 0)
                continue;
            encoder_reserve(encoder);
            encoder_put(encoder, special->id, place->index, place->index + special->size);
            encoder->word += encoder->step;
            place->at += (size_t)special->size;
            place->index += special->size;
            return;
        }
    }
    encoder_put_word(encoder, text, 1, NULL, place->index);
    place->at++;
    place->index++;
}

static Status encode(Encoder *encoder, Diagnostic *diagnostic)
{
    const Wordpiece *wordpiece = encoder->wordpiece;
    const size_t output_before = encoder->output->ids.count;
    Place place = {0, 0};
    Status status = STATUS_OK;
    if (encoder->size > INT32_MAX)
        return FAIL(diagnostic, STATUS_LIMIT, "a text of %zu bytes: at most %d are encoded at once; split it into lines",
                    encoder->size, INT32_MAX);
    while (place.at < encoder->size) {
        switch ((ByteClass)wordpiece->byte_class[encoder->text[place.at]]) {
        case BYTE_SPACE:
        case BYTE_REMOVED:
            place.at++;
            place.index++;
            break;
        case BYTE_PUNCTUATION:
            encode_punctuation(encoder, &place);
            break;
        case BYTE_LETTER:
            TRY(encode_word(encoder, &place, diagnostic));
            break;
        case BYTE_WIDE:
            TRY(encode_wide_word(encoder, &place, diagnostic));
            break;
        }
    }
out:
    if (status != STATUS_OK)
        output_truncate(encoder->output, output_before);
    return status;
}

Status wordpiece_encode_text(const Wordpiece *wordpiece, const char *text, size_t size, WordpieceOutput *output,
                             Diagnostic *diagnostic)
{
    Encoder encoder = {.wordpiece = wordpiece, .output = output, .text = (const uint8_t *)text, .size = size, .word = 0, .step = 1};
    return encode(&encoder, diagnostic);
}

Status wordpiece_encode_token(const Wordpiece *wordpiece, const char *token, size_t size, int32_t word_id, WordpieceOutput *output,
                              Diagnostic *diagnostic)
{
    Encoder encoder = {
        .wordpiece = wordpiece, .output = output, .text = (const uint8_t *)token, .size = size, .word = word_id, .step = 0};
    return encode(&encoder, diagnostic);
}

/* ---- does it fit ---- */

/* Casing shows in the pieces: an uncased vocabulary has no capitals outside its special tokens, a cased one has thousands. */
static Status check_casing(const Wordpiece *wordpiece, Diagnostic *diagnostic)
{
    int64_t lower = 0, upper = 0;
    for (int32_t id = 0; id < wordpiece_vocab_size(wordpiece); id++) {
        const char *piece = wordpiece_piece(wordpiece, id);
        bool has_lower = false, has_upper = false;
        if (piece[0] == '[')
            continue;
        for (const char *c = piece; *c; c++) {
            has_lower |= *c >= 'a' && *c <= 'z';
            has_upper |= *c >= 'A' && *c <= 'Z';
        }
        lower += has_lower && !has_upper;
        upper += has_upper;
    }
    if (lower + upper < CASING_PIECES_MINIMUM)
        return STATUS_OK;
    if (wordpiece->options.lowercase && upper * 100 > (lower + upper) * CASING_PERCENT)
        return FAIL(diagnostic, STATUS_MISMATCH,
                    "the vocabulary is cased (%lld of %lld pieces have capitals), but the tokenizer lower-cases: those pieces "
                    "would never be "
                    "used; set do_lower_case to false, or give --cased",
                    (long long)upper, (long long)(lower + upper));
    if (!wordpiece->options.lowercase && upper == 0)
        return FAIL(diagnostic, STATUS_MISMATCH,
                    "the vocabulary is uncased (none of its %lld pieces with letters has a capital), but the tokenizer keeps "
                    "capitals: every "
                    "capitalised word would be [UNK]; set do_lower_case to true, or leave out --cased",
                    (long long)lower);
    return STATUS_OK;
}

Status wordpiece_check_model(const Wordpiece *wordpiece, int32_t model_vocab_size, Diagnostic *diagnostic)
{
    int32_t vocab_size = wordpiece_vocab_size(wordpiece);
    if (vocab_size > model_vocab_size)
        return FAIL(diagnostic, STATUS_MISMATCH,
                    "the vocabulary has %d pieces, the model embeddings for only %d: it belongs to another model; use the "
                    "vocab.txt that came "
                    "with the model",
                    vocab_size, model_vocab_size);
    return check_casing(wordpiece, diagnostic);
}
