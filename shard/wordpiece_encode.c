/* Text to pieces: scanned in chunks, then word by word through the table of whole words, the cache, and the trie. */
#include <stdlib.h>
#include <string.h>

#include "shard/wordpiece_internal.h"

enum { TOKENS_AT_ONCE = 32 };
_Static_assert((int)WORDPIECE_TOKEN_SLACK == (int)WORD_KEY_BYTES, "a token's key is read whole");

struct WordpieceEncoder {
    const Wordpiece *wordpiece;
    WordCache cache;
};

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

void encoding_grow(Encoding *encoding, size_t wanted)
{
    WordpieceOutput *output = encoding->output;
    array_reserve(&output->ids, wanted);
    array_reserve(&output->starts, wanted);
    array_reserve(&output->ends, wanted);
    array_reserve(&output->word_ids, wanted);
}

/* ---- a word ---- */

/* The longest match first; each piece's end in bytes. Returns the count: at most one for each character. */
static int32_t match_word(const Wordpiece *wordpiece, const uint8_t *bytes, int32_t size, int32_t *ids, int32_t *ends)
{
    const Vocabulary *vocabulary = &wordpiece->vocabulary;
    uint32_t base = vocabulary->word_base;
    int32_t count = 0;
    for (int32_t at = 0; at < size; count++) {
        int32_t length = 0;
        int32_t id = vocabulary_match(vocabulary, base, bytes + at, size - at, &length);
        if (id < 0) {
            ids[0] = wordpiece->specials.unk;
            ends[0] = size;
            return 1;
        }
        at += length;
        ids[count] = id;
        ends[count] = at;
        base = vocabulary->continue_base;
    }
    return count;
}

static void remember(WordSlot *slot, WordKey key, int32_t count, const int32_t *ids, const int32_t *ends)
{
    if (count > WORD_SLOT_PIECES)
        return;
    *slot = (WordSlot){.key = key};
    for (int32_t i = 0; i < count; i++)
        slot->pieces[i] = word_slot_piece(ids[i], ends[i]);
}

/* As match_word, for a word that is not in the table: from the cache if there is one. */
static int32_t find_pieces(const Encoding *encoding, const uint8_t *bytes, int32_t size, int32_t *ids, int32_t *ends)
{
    if (encoding->cache == NULL || size > WORD_KEY_BYTES)
        return match_word(encoding->wordpiece, bytes, size, ids, ends);
    WordKey key = word_key(bytes, size);
    WordSlot *slot = word_cache_place(encoding->cache, word_key_hash(key));
    int32_t count = 0;
    if (word_key_equal(slot->key, key)) {
        for (; count < WORD_SLOT_PIECES && slot->pieces[count] != 0; count++) {
            ids[count] = word_slot_id(slot->pieces[count]);
            ends[count] = word_slot_end(slot->pieces[count]);
        }
        return count;
    }
    count = match_word(encoding->wordpiece, bytes, size, ids, ends);
    remember(slot, key, count, ids, ends);
    return count;
}

/* The same for any word. */
static int32_t word_pieces(const Encoding *encoding, const uint8_t *bytes, int32_t size, int32_t *ids, int32_t *ends)
{
    const WordTable *words = &encoding->wordpiece->words;
    const WordSlot *slot = NULL;
    if (size <= WORD_KEY_BYTES) {
        WordKey key = word_key(bytes, size);
        slot = word_table_find(words, key, word_table_place(words, word_key_hash(key)));
    }
    if (slot == NULL)
        return find_pieces(encoding, bytes, size, ids, ends);
    ids[0] = word_slot_id(slot->pieces[0]);
    ends[0] = size;
    return 1;
}

void encoding_put_word(Encoding *encoding, const uint8_t *bytes, int32_t size, const int32_t *index)
{
    encoding_reserve(encoding, WORD_CHARACTERS);
    WordpieceOutput *output = encoding->output;
    size_t count = output->ids.count;
    size_t end = count + (size_t)word_pieces(encoding, bytes, size, output->ids.items + count, output->ends.items + count);
    for (int32_t begin = 0; count < end; count++) {
        int32_t piece_end = output->ends.items[count];
        output->starts.items[count] = index[begin];
        output->ends.items[count] = index[piece_end - 1] + 1;
        output->word_ids.items[count] = encoding->word;
        begin = piece_end;
    }
    output_set_count(output, count);
    encoding->word += encoding->step;
}

/* ---- what a scan has found ---- */

/* The special token that is written at a place of the text; NULL: none. */
static const SpecialText *special_at(const Encoding *encoding, size_t at)
{
    for (int32_t i = 0; i < encoding->wordpiece->special_count; i++) {
        const SpecialText *special = &encoding->wordpiece->special_texts[i];
        if (encoding->size - at >= (size_t)special->size && memcmp(encoding->text + at, special->text, (size_t)special->size) == 0)
            return special;
    }
    return NULL;
}

/* A word that is not in the table, for whose bytes there is room in pieces. */
static void put_uncommon(Encoding *encoding, const uint8_t *bytes, int32_t size, int32_t first)
{
    WordpieceOutput *output = encoding->output;
    size_t count = output->ids.count;
    if (size > WORD_CHARACTERS) {
        encoding_put(encoding, encoding->wordpiece->specials.unk, first, first + size);
        return;
    }
    size_t end = count + (size_t)find_pieces(encoding, bytes, size, output->ids.items + count, output->ends.items + count);
    for (int32_t begin = first; count < end; count++) {
        output->starts.items[count] = begin;
        begin = output->ends.items[count] += first;
        output->word_ids.items[count] = encoding->word;
    }
    output_set_count(output, count);
    encoding->word += encoding->step;
}

/* Where the table's search for a scanned word begins. */
typedef struct WordStart {
    WordKey key;
    uint32_t place;
    int32_t size;
} WordStart;

/* All keys of a scan. Their places are fetched into the processor's cache before the first is needed. */
static void find_starts(const WordTable *words, const WordScan *scan, WordStart *found)
{
    const WordSlot *const slots = words->slots;
    const int32_t count = scan->count;
    for (int32_t i = 0; i < count; i++) {
        int32_t start = scan->starts[i], size = scan->ends[i] - start;
        WordKey key = size <= WORD_KEY_BYTES ? word_key(scan->bytes + start, size) : word_key_long;
        uint32_t place = word_table_place(words, word_key_hash(key));
        found[i] = (WordStart){key, place, size};
        __builtin_prefetch(&slots[place]);
    }
}

/* Puts the scanned words from `next` on, up to one that is not in the table. index: code point of the scan's beginning. */
static __attribute__((noinline)) int32_t put_common(Encoding *encoding, const WordScan *scan, const WordStart *found, int32_t index,
                                                    int32_t next)
{
    const WordTable *const words = &encoding->wordpiece->words;
    const WordSlot *const slots = words->slots;
    WordpieceOutput *output = encoding->output;
    int32_t *const ids = output->ids.items, *const starts = output->starts.items, *const ends = output->ends.items,
                   *const word_ids = output->word_ids.items;
    const int32_t count = scan->count, step = encoding->step;
    size_t at = output->ids.count;
    int32_t i = next, word = encoding->word;
    for (; i < count; i++, at++) {
        const WordSlot *slot = &slots[found[i].place];
        if (!word_key_equal(slot->key, found[i].key) && (slot = word_table_find(words, found[i].key, found[i].place)) == NULL)
            break;
        int32_t start = index + scan->starts[i];
        ids[at] = word_slot_id(slot->pieces[0]);
        starts[at] = start;
        ends[at] = start + found[i].size;
        word_ids[at] = word;
        word += step;
    }
    encoding->word = word;
    output_set_count(output, at);
    return i;
}

/* *place moves behind the words of the scan that begins there. */
static void encode_scan(Encoding *encoding, const WordScan *scan, Place *place)
{
    const size_t begin = place->at;
    const int32_t index = place->index;
    size_t end = begin + (size_t)scan->size;
    WordStart found[SCAN_CHUNK];
    find_starts(&encoding->wordpiece->words, scan, found);
    encoding_reserve(encoding, (size_t)scan->size); /* no piece is without a byte */
    for (int32_t i = 0;;) {
        i = put_common(encoding, scan, found, index, i);
        if (i == scan->count)
            break;
        int32_t start = scan->starts[i];
        const SpecialText *special = scan->bytes[start] == '[' ? special_at(encoding, begin + (size_t)start) : NULL;
        if (special == NULL) {
            put_uncommon(encoding, scan->bytes + start, scan->ends[i] - start, index + start);
            i++;
            continue;
        }
        int32_t special_end = start + special->size;
        encoding_put(encoding, special->id, index + start, index + special_end);
        while (i < scan->count && scan->starts[i] < special_end)
            i++;
        if (end < begin + (size_t)special_end) /* the scan ended within it */
            end = begin + (size_t)special_end;
    }
    place->index += (int32_t)(end - begin);
    place->at = end;
}

/* ---- a text ---- */

static bool is_letters(const Wordpiece *wordpiece, const uint8_t *text, int32_t size)
{
    for (int32_t i = 0; i < size; i++)
        if (wordpiece->tables.byte_class[text[i]] != BYTE_LETTER)
            return false;
    return true;
}

/* A short text that may be one word of ASCII: tokens of a corpus mostly are. False: it is something else. */
static inline bool short_start(const Wordpiece *wordpiece, const uint8_t *text, size_t size, WordStart *start)
{
    if (size == 0 || size > WORD_KEY_BYTES)
        return false;
    WordKey key = word_key_within(text, (int32_t)size);
    if (!word_key_is_ascii(key))
        return false;
    if (wordpiece->tables.lowercase)
        key = word_key_lower(key);
    *start = (WordStart){key, word_table_place(&wordpiece->words, word_key_hash(key)), (int32_t)size};
    return true;
}

/* False: it is not one word, and nothing is done. */
static inline bool put_short(Encoding *encoding, const WordStart *start)
{
    const Wordpiece *wordpiece = encoding->wordpiece;
    encoding_reserve(encoding, WORD_KEY_BYTES);
    const WordSlot *slot = word_table_find(&wordpiece->words, start->key, start->place);
    if (slot && word_slot_end(slot->pieces[0]) == start->size) { /* a NUL at its end is not seen in the key */
        encoding_put(encoding, word_slot_id(slot->pieces[0]), 0, start->size);
        return true;
    }
    if (!is_letters(wordpiece, encoding->text, start->size))
        return false;
    uint8_t bytes[WORD_KEY_BYTES];
    memcpy(bytes, &start->key, sizeof bytes);
    put_uncommon(encoding, bytes, start->size, 0);
    return true;
}

static Status encode_scans(Encoding *encoding, Diagnostic *diagnostic)
{
    const Wordpiece *wordpiece = encoding->wordpiece;
    const size_t output_before = encoding->output->ids.count;
    Place place = {0, 0};
    Status status = STATUS_OK;
    WordScan scan;
    if (encoding->size > INT32_MAX)
        return FAIL(diagnostic, STATUS_LIMIT, "a text of %zu bytes: at most %d are encoded at once; split it into lines",
                    encoding->size, INT32_MAX);
    while (place.at < encoding->size) {
        bool is_wide = wordpiece->tables.byte_class[encoding->text[place.at]] == BYTE_WIDE;
        if (!is_wide) {
            wordpiece->scan(&wordpiece->tables, encoding->text + place.at, encoding->size - place.at, &scan);
            encode_scan(encoding, &scan, &place);
            is_wide = scan.stopped || scan.size == 0; /* nothing is done of a word that is longer than a chunk */
        }
        if (is_wide)
            TRY(encoding_wide_word(encoding, &place, diagnostic));
    }
out:
    if (status != STATUS_OK)
        output_set_count(encoding->output, output_before);
    return status;
}

static Status encode(Encoding encoding, Diagnostic *diagnostic)
{
    WordStart start;
    bool is_short = short_start(encoding.wordpiece, encoding.text, encoding.size, &start) && put_short(&encoding, &start);
    return is_short ? STATUS_OK : encode_scans(&encoding, diagnostic);
}

Status wordpiece_encode_text(const Wordpiece *wordpiece, const char *text, size_t size, WordpieceOutput *output,
                             Diagnostic *diagnostic)
{
    return encode((Encoding){wordpiece, NULL, output, (const uint8_t *)text, size, 0, 1}, diagnostic);
}

Status wordpiece_encode_token(const Wordpiece *wordpiece, const char *token, size_t size, int32_t word_id, WordpieceOutput *output,
                              Diagnostic *diagnostic)
{
    return encode((Encoding){wordpiece, NULL, output, (const uint8_t *)token, size, word_id, 0}, diagnostic);
}

/* Keys of the tokens that may be one word of ASCII; of the others a key that no word has. As find_starts: their places are fetched into the
 * processor's cache before the first is needed. */
static void find_token_starts(const Wordpiece *wordpiece, const char *const *tokens, const size_t *sizes, int32_t n,
                              WordStart *starts)
{
    const WordSlot *const slots = wordpiece->words.slots;
    const bool lowercase = wordpiece->tables.lowercase;
    for (int32_t i = 0; i < n; i++) {
        WordKey key = word_key_long;
        if (sizes[i] - 1 < WORD_KEY_BYTES)
            key = word_key((const uint8_t *)tokens[i], (int32_t)sizes[i]);
        bool is_short = word_key_is_ascii(key);
        if (lowercase && is_short)
            key = word_key_lower(key);
        uint32_t place = word_table_place(&wordpiece->words, word_key_hash(key));
        starts[i] = (WordStart){key, place, is_short ? (int32_t)sizes[i] : 0};
        __builtin_prefetch(&slots[place]);
    }
}

/* Puts the tokens from `next` on, up to one that is not in the table. */
static int32_t put_common_tokens(const Wordpiece *wordpiece, const WordStart *starts, int32_t n, int32_t first_word_id,
                                 int32_t next, WordpieceOutput *output)
{
    const WordTable *const words = &wordpiece->words;
    const WordSlot *const slots = words->slots;
    int32_t *const ids = output->ids.items, *const begins = output->starts.items, *const ends = output->ends.items,
                   *const word_ids = output->word_ids.items;
    size_t at = output->ids.count;
    int32_t i = next;
    for (; i < n; i++, at++) {
        const WordSlot *slot = &slots[starts[i].place];
        if (!word_key_equal(slot->key, starts[i].key) && (slot = word_table_find(words, starts[i].key, starts[i].place)) == NULL)
            break;
        if (word_slot_end(slot->pieces[0]) != starts[i].size) /* a NUL at its end is not seen in the key */
            break;
        ids[at] = word_slot_id(slot->pieces[0]);
        begins[at] = 0;
        ends[at] = starts[i].size;
        word_ids[at] = first_word_id + i;
    }
    output_set_count(output, at);
    return i;
}

static Status encode_some(const Wordpiece *wordpiece, const char *const *tokens, const size_t *sizes, int32_t n,
                          int32_t first_word_id, WordpieceOutput *output, Diagnostic *diagnostic)
{
    WordStart starts[TOKENS_AT_ONCE];
    Status status = STATUS_OK;
    find_token_starts(wordpiece, tokens, sizes, n, starts);
    for (int32_t i = 0; status == STATUS_OK; i++) {
        Encoding encoding = {.wordpiece = wordpiece, .output = output};
        encoding_reserve(&encoding, TOKENS_AT_ONCE);
        i = put_common_tokens(wordpiece, starts, n, first_word_id, i, output);
        if (i == n)
            break;
        encoding = (Encoding){wordpiece, NULL, output, (const uint8_t *)tokens[i], sizes[i], first_word_id + i, 0};
        if (starts[i].size == 0 || !put_short(&encoding, &starts[i]))
            status = encode_scans(&encoding, diagnostic);
    }
    return status;
}

Status wordpiece_encode_tokens(const Wordpiece *wordpiece, const char *const *tokens, const size_t *sizes, int32_t n,
                               int32_t first_word_id, WordpieceOutput *output, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    for (int32_t done = 0, some; done < n && status == STATUS_OK; done += some) {
        some = n - done < TOKENS_AT_ONCE ? n - done : TOKENS_AT_ONCE;
        status = encode_some(wordpiece, tokens + done, sizes + done, some, first_word_id + done, output, diagnostic);
    }
    return status;
}

/* ---- with a cache ---- */

Status wordpiece_encoder_create(WordpieceEncoder **encoder, const Wordpiece *wordpiece, size_t cache_words, Diagnostic *diagnostic)
{
    WordCache cache;
    *encoder = NULL;
    Status status = word_cache_open(&cache, cache_words, diagnostic);
    if (status != STATUS_OK)
        return status;
    *encoder = memory_allocate(1, sizeof **encoder);
    **encoder = (WordpieceEncoder){wordpiece, cache};
    return STATUS_OK;
}

void wordpiece_encoder_destroy(WordpieceEncoder **encoder)
{
    if (*encoder == NULL)
        return;
    word_cache_free(&(*encoder)->cache);
    free(*encoder);
    *encoder = NULL;
}

Status wordpiece_encoder_text(WordpieceEncoder *encoder, const char *text, size_t size, WordpieceOutput *output,
                              Diagnostic *diagnostic)
{
    return encode((Encoding){encoder->wordpiece, &encoder->cache, output, (const uint8_t *)text, size, 0, 1}, diagnostic);
}

Status wordpiece_encoder_token(WordpieceEncoder *encoder, const char *token, size_t size, int32_t word_id, WordpieceOutput *output,
                               Diagnostic *diagnostic)
{
    return encode((Encoding){encoder->wordpiece, &encoder->cache, output, (const uint8_t *)token, size, word_id, 0}, diagnostic);
}
