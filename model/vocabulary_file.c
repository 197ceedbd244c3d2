#include "model/vocabulary_file.h"

#include <stdlib.h>
#include <string.h>

#include "core/io/file.h"

enum { VOCABULARY_LIMIT_BYTES = 256 * 1024 * 1024 };

/* Bytes of the well-formed UTF-8 sequence (Unicode 15, table 3-7) that text begins with; 0: none. */
static size_t utf8_sequence(const unsigned char *text, size_t size)
{
    unsigned char first = text[0];
    if (first < 0x80)
        return 1;
    size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || size < length)
        return 0;
    unsigned char low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    unsigned char high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (text[1] < low || text[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    }
    return length;
}

static bool is_utf8(const char *text, size_t size)
{
    const unsigned char *bytes = (const unsigned char *)text;
    for (size_t at = 0; at < size;) {
        size_t length = bytes[at] ? utf8_sequence(bytes + at, size - at) : 0;
        if (length == 0)
            return false;
        at += length;
    }
    return true;
}

static Status cut_into_pieces(VocabularyFile *vocabulary, const char *path, size_t vocab_limit, Diagnostic *diagnostic)
{
    char *end = vocabulary->lines + vocabulary->size;
    for (char *line = vocabulary->lines; line < end;) {
        char *newline = memchr(line, '\n', (size_t)(end - line));
        char *stop = newline ? newline : end;
        char *next = newline ? newline + 1 : end;
        if (stop > line && stop[-1] == '\r')
            stop--;
        if (!is_utf8(line, (size_t)(stop - line)))
            return FAIL_AT(diagnostic, STATUS_INVALID_INPUT, path, (long)vocabulary->pieces.count + 1, 0,
                           "the piece is not valid UTF-8");
        *stop = '\0';
        array_push(&vocabulary->pieces, line);
        line = next;
    }
    if (vocabulary->pieces.count == 0)
        return FAIL_AT(diagnostic, STATUS_INVALID_INPUT, path, 0, 0, "the vocabulary is empty");
    if (vocabulary->pieces.count > vocab_limit)
        return FAIL_AT(diagnostic, STATUS_MISMATCH, path, 0, 0,
                       "the vocabulary has %zu pieces, the model has embeddings for %zu: it belongs to another model",
                       vocabulary->pieces.count, vocab_limit);
    return STATUS_OK;
}

Status vocabulary_file_read(VocabularyFile *vocabulary, const char *path, size_t vocab_limit, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    *vocabulary = (VocabularyFile){0};
    TRY(file_read(path, VOCABULARY_LIMIT_BYTES, &vocabulary->bytes, &vocabulary->size, diagnostic));
    vocabulary->lines = memory_copy_bytes(vocabulary->bytes, vocabulary->size);
    TRY(cut_into_pieces(vocabulary, path, vocab_limit, diagnostic));
out:
    if (status != STATUS_OK)
        vocabulary_file_free(vocabulary);
    return status;
}

void vocabulary_file_free(VocabularyFile *vocabulary)
{
    free(vocabulary->bytes);
    free(vocabulary->lines);
    array_free(&vocabulary->pieces);
    *vocabulary = (VocabularyFile){0};
}

long vocabulary_file_find(const VocabularyFile *vocabulary, const char *piece)
{
    for (size_t i = vocabulary->pieces.count; i > 0; i--) {
        if (strcmp(vocabulary->pieces.items[i - 1], piece) == 0)
            return (long)i - 1;
    }
    return -1;
}

bool vocabulary_file_is_cased(const VocabularyFile *vocabulary)
{
    for (size_t i = 0; i < vocabulary->pieces.count; i++) {
        const char *piece = vocabulary->pieces.items[i];
        size_t length = strlen(piece);
        if (length >= 2 && piece[0] == '[' && piece[length - 1] == ']')
            continue;
        for (size_t j = 0; j < length; j++) {
            if (piece[j] >= 'A' && piece[j] <= 'Z')
                return true;
        }
    }
    return false;
}
