/* nersweep tokenize: one JSON object per input line, as Hugging Face's BertTokenizerFast encodes it. */
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/lines.h"
#include "shard/wordpiece.h"

enum {
    PRINTER_BYTES = 1 << 16,
    NUMBER_BYTES = 10,
    SMALL_NUMBERS = 1000,
    SHORT_STRING = 16,  /* bytes that are copied whatever a string's size */
    ELEMENT_BYTES = 64, /* more than any element but a long string takes */
};

typedef struct TokenizeFlags {
    char *vocab;
    bool cased, words, ignore_special_tokens, json;
} TokenizeFlags;

static const OptionDescriptor tokenize_descriptors[] = {
    FLAG_STRING(TokenizeFlags, vocab, "vocab.txt of the model (required)"),
    FLAG_BOOLEAN(TokenizeFlags, cased, "keep case and accents"),
    FLAG_BOOLEAN(TokenizeFlags, words, "lines are already split into words, at single spaces"),
    FLAG_BOOLEAN(TokenizeFlags, ignore_special_tokens, "[SEP] and the like written in the text are plain text"),
    FLAG_BOOLEAN(TokenizeFlags, json, "the results are JSON Lines in any case"),
};
static const OptionTable tokenize_table = {"Options", tokenize_descriptors,
                                           sizeof tokenize_descriptors / sizeof tokenize_descriptors[0], sizeof(TokenizeFlags)};

typedef struct SmallNumber {
    char digits[3];
    uint8_t size;
} SmallNumber;

/* The results on their way out: written piece by piece, so that the longest line needs no more memory than a short one. */
typedef struct Printer {
    const Wordpiece *wordpiece;
    Text strings;              /* the vocabulary's pieces as JSON strings */
    ARRAY(size_t) string_ends; /* by id */
    SmallNumber small_numbers[SMALL_NUMBERS];
    char *bytes;
    size_t used;
} Printer;

static void printer_write(Printer *printer)
{
    fwrite(printer->bytes, 1, printer->used, stdout); /* an error stays with stdout and is found there */
    printer->used = 0;
}

/* Room for so many bytes, at most PRINTER_BYTES. */
static inline char *printer_room(Printer *printer, size_t size)
{
    if (PRINTER_BYTES - printer->used < size)
        printer_write(printer);
    return printer->bytes + printer->used;
}

static void print_bytes(Printer *printer, const char *bytes, size_t size)
{
    for (size_t part; size > 0; bytes += part, size -= part) {
        part = size < PRINTER_BYTES ? size : PRINTER_BYTES;
        memcpy(printer_room(printer, part), bytes, part);
        printer->used += part;
    }
}

static void print_text(Printer *printer, const char *text)
{
    print_bytes(printer, text, strlen(text));
}

/* value is not negative. Returns what follows its digits; up to 4 bytes are written behind them. */
static inline char *put_number(const Printer *printer, char *at, int32_t value)
{
    if (value < SMALL_NUMBERS) {
        const SmallNumber *number = &printer->small_numbers[value];
        memcpy(at, number, sizeof *number);
        return at + number->size;
    }
    char digits[NUMBER_BYTES];
    int32_t first = NUMBER_BYTES;
    do
        digits[--first] = (char)('0' + value % 10);
    while ((value /= 10) > 0);
    memcpy(at, digits + first, (size_t)(NUMBER_BYTES - first));
    return at + (NUMBER_BYTES - first);
}

static void printer_open(Printer *printer, const Wordpiece *wordpiece)
{
    printer->wordpiece = wordpiece;
    printer->bytes = memory_allocate(PRINTER_BYTES, 1);
    for (int32_t i = 0; i < SMALL_NUMBERS; i++) {
        char digits[sizeof printer->small_numbers->digits + 1] = {0};
        printer->small_numbers[i].size = (uint8_t)snprintf(digits, sizeof digits, "%d", i);
        memcpy(printer->small_numbers[i].digits, digits, sizeof printer->small_numbers->digits);
    }
    for (int32_t id = 0; id < wordpiece_vocab_size(wordpiece); id++) {
        const char *piece = wordpiece_piece(wordpiece, id);
        bool plain = true;
        for (const char *c = piece; *c; c++)
            plain &= (uint8_t)*c >= ' ' && *c != '"' && *c != '\\';
        if (plain) {
            text_append_string(&printer->strings, "\"");
            text_append_string(&printer->strings, piece);
            text_append_string(&printer->strings, "\"");
        } else {
            Json *json = json_string(piece);
            char *escaped = json_text(json, JSON_COMPACT);
            text_append_string(&printer->strings, escaped);
            free(escaped);
            json_destroy(&json);
        }
        array_push(&printer->string_ends, printer->strings.size);
    }
    static const char behind[SHORT_STRING] = {0};
    text_append(&printer->strings, behind, sizeof behind);
}

static void printer_close(Printer *printer)
{
    text_free(&printer->strings);
    array_free(&printer->string_ends);
    free(printer->bytes);
    free(printer);
}

static inline void print_number(Printer *printer, int32_t value, bool first)
{
    char *at = printer_room(printer, ELEMENT_BYTES);
    *at = ',';
    printer->used = (size_t)(put_number(printer, at + !first, value) - printer->bytes);
}

static inline void print_piece(Printer *printer, int32_t id, bool first)
{
    size_t start = id > 0 ? printer->string_ends.items[id - 1] : 0, size = printer->string_ends.items[id] - start;
    const char *string = printer->strings.bytes + start;
    char *at = printer_room(printer, ELEMENT_BYTES);
    *at = ',';
    printer->used += !first;
    if (size > SHORT_STRING) {
        print_bytes(printer, string, size);
        return;
    }
    memcpy(at + !first, string, SHORT_STRING);
    printer->used += size;
}

/* ",[start,end]" */
static inline void print_offsets(Printer *printer, int32_t start, int32_t end)
{
    char *at = printer_room(printer, ELEMENT_BYTES);
    *at++ = ',';
    *at++ = '[';
    at = put_number(printer, at, start);
    *at++ = ',';
    at = put_number(printer, at, end);
    *at++ = ']';
    printer->used = (size_t)(at - printer->bytes);
}

static void print_encoding(Printer *printer, const WordpieceOutput *output)
{
    const WordpieceSpecials *specials = wordpiece_specials(printer->wordpiece);
    const size_t count = output->ids.count;
    print_text(printer, "{\"ids\":[");
    print_number(printer, specials->cls, true);
    for (size_t i = 0; i < count; i++)
        print_number(printer, output->ids.items[i], false);
    print_number(printer, specials->sep, false);
    print_text(printer, "],\"tokens\":[");
    print_piece(printer, specials->cls, true);
    for (size_t i = 0; i < count; i++)
        print_piece(printer, output->ids.items[i], false);
    print_piece(printer, specials->sep, false);
    print_text(printer, "],\"offsets\":[[0,0]");
    for (size_t i = 0; i < count; i++)
        print_offsets(printer, output->starts.items[i], output->ends.items[i]);
    print_text(printer, ",[0,0]],\"word_ids\":[null");
    for (size_t i = 0; i < count; i++)
        print_number(printer, output->word_ids.items[i], false);
    print_text(printer, ",null]}\n");
}

static Status encode_line(WordpieceEncoder *encoder, bool words, const char *line, size_t size, WordpieceOutput *output,
                          Diagnostic *diagnostic)
{
    wordpiece_output_clear(output);
    if (!words)
        return wordpiece_encoder_text(encoder, line, size, output, diagnostic);
    int32_t word = 0;
    for (size_t start = 0; start < size;) {
        const char *space = memchr(line + start, ' ', size - start);
        size_t end = space ? (size_t)(space - line) : size;
        if (end > start) {
            Status status = wordpiece_encoder_token(encoder, line + start, end - start, word++, output, diagnostic);
            if (status != STATUS_OK)
                return status;
        }
        start = end + 1;
    }
    return STATUS_OK;
}

static Status tokenize_lines(const Wordpiece *wordpiece, bool words, const char *path, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    LineReader reader = {.file = -1};
    WordpieceEncoder *encoder = NULL;
    WordpieceOutput output = {0};
    Printer *printer = memory_allocate(1, sizeof *printer);
    const char *line;
    size_t size;
    TRY(line_reader_open(&reader, path, diagnostic));
    TRY(wordpiece_encoder_create(&encoder, wordpiece, WORDPIECE_CACHE_WORDS, diagnostic));
    printer_open(printer, wordpiece);
    for (;;) {
        if (line_reader_would_wait(&reader)) {
            printer_write(printer);
            TRY(command_flush(diagnostic));
        }
        TRY(line_reader_next(&reader, &line, &size, diagnostic));
        if (line == NULL)
            break;
        Diagnostic inner = {0};
        if (encode_line(encoder, words, line, size, &output, &inner) != STATUS_OK) {
            status = FAIL_AT(diagnostic, inner.code, reader.name, reader.number, 1, "%s", inner.message);
            goto out;
        }
        print_encoding(printer, &output);
        if (ferror(stdout))
            TRY(command_flush(diagnostic));
    }
out:
    if (printer->used > 0)
        printer_write(printer); /* also what came before a line that is refused */
    printer_close(printer);
    line_reader_close(&reader);
    wordpiece_encoder_destroy(&encoder);
    wordpiece_output_free(&output);
    return status;
}

static int tokenize_run(const Command *command, int argc, char **argv)
{
    TokenizeFlags flags = {0};
    OptionBinding binding = {&tokenize_table, &flags};
    PositionalArray files = {0};
    Diagnostic diagnostic = {0};
    Wordpiece *wordpiece = NULL;
    int code = command_parse(command, &binding, 1, argc, argv, &files);
    if (code < 0 && (flags.vocab == NULL || files.count > 1))
        code = command_usage_error(command, flags.vocab ? "more than one file is given" : "--vocab is required");
    if (code < 0) {
        WordpieceOptions options = {.lowercase = !flags.cased, .ignore_special_tokens = flags.ignore_special_tokens};
        Status status = wordpiece_open(&wordpiece, flags.vocab, options, &diagnostic);
        if (status == STATUS_OK)
            status = tokenize_lines(wordpiece, flags.words, files.count ? files.items[0] : NULL, &diagnostic);
        code = status == STATUS_OK ? 0 : command_fail(&diagnostic);
    }
    wordpiece_close(&wordpiece);
    array_free(&files);
    options_free(&tokenize_table, &flags);
    return code;
}

const Command command_tokenize = {"tokenize", "--vocab FILE [--cased] [--words] [FILE]",
                                  "WordPiece ids, pieces and offsets of each line, as JSON", tokenize_run};
