#include <stdlib.h>
#include <string.h>

#include "shard/wordpiece_internal.h"

enum {
    CASING_PIECES_MINIMUM = 1000, /* fewer pieces with a letter say nothing about a vocabulary's casing */
    CASING_PERCENT = 5,
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
    memset(wordpiece->tables.byte_class, BYTE_WIDE, sizeof wordpiece->tables.byte_class);
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
        wordpiece->tables.byte_class[byte] = (uint8_t) class;
        wordpiece->tables.byte_lower[byte] = (uint8_t)unicode_entry_code_point(entry, byte);
    }
    wordpiece->tables.lowercase = wordpiece->options.lowercase;
    word_scan_tables_finish(&wordpiece->tables);
}

Status wordpiece_open(Wordpiece **wordpiece, const char *vocab_path, WordpieceOptions options, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    size_t scanner_count;
    Wordpiece *opened = memory_allocate(1, sizeof *opened);
    *wordpiece = NULL;
    opened->options = options;
    TRY(vocabulary_load(&opened->vocabulary, vocab_path, diagnostic));
    TRY(find_specials(opened, vocab_path, diagnostic));
    opened->map = unicode_map_create(options.lowercase);
    fill_byte_tables(opened);
    opened->scan = word_scanners(&scanner_count)->scan;
    TRY(word_table_build(&opened->words, &opened->vocabulary, opened->tables.byte_class, diagnostic));
    if (opened->special_count > 0)
        word_table_hide(&opened->words, "["); /* it may begin a special token */
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
    word_table_free(&(*wordpiece)->words);
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
