/* For parity_tokenizer.py: tokenize_tool VOCAB [--cased] [--plain-specials] reads JSON Lines, each a text (a string) or pre-split tokens (an
 * array of strings), and prints for each [ids, starts, ends, word_ids], or "error: ..." as a string. It has a JSON reader of its own because
 * a text may hold U+0000, which the project's JSON reader refuses.
 *
 * Each line is encoded in all ways: by every scanner that this processor has, without a cache, with one of a good size and with the smallest.
 * "error: ..." is printed if they do not give the same. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/wordpiece_internal.h"

enum { CACHES = 2, SCANNERS_LIMIT = 8 };

typedef struct Tool {
    Wordpiece *wordpiece;
    WordpieceEncoder *encoders[SCANNERS_LIMIT][CACHES]; /* each scanner's caches remember what they made themselves */
    Text text;
} Tool;

static void fail(const char *what, const Diagnostic *diagnostic)
{
    fprintf(stderr, "tokenize_tool: %s%s%s\n", what, diagnostic ? ": " : "", diagnostic ? diagnostic->message : "");
    exit(1);
}

/* Four hexadecimal digits of a \u escape. */
static unsigned read_hex(const char *at)
{
    char digits[5] = {at[0], at[1], at[2], at[3], 0}, *end;
    unsigned value = (unsigned)strtoul(digits, &end, 16);
    if (end != digits + 4)
        fail("a bad \\u escape", NULL);
    return value;
}

/* Reads a JSON string behind its opening quote into text; returns what follows the closing one. Only U+0000 to U+007F may be \u escapes:
 * the script writes everything else as it is. */
static const char *read_string(const char *at, Text *text)
{
    text_clear(text);
    for (; *at != '"'; at++) {
        char c = *at;
        if (c == '\0')
            fail("a string without an end", NULL);
        if (c == '\\') {
            static const char escapes[] = "bfnrt\"\\/", meanings[] = "\b\f\n\r\t\"\\/";
            c = *++at;
            const char *escape = c ? strchr(escapes, c) : NULL;
            if (c == 'u') {
                c = (char)read_hex(at + 1);
                at += 4;
            } else if (escape) {
                c = meanings[escape - escapes];
            } else {
                fail("an unknown escape", NULL);
            }
        }
        text_append(text, &c, 1);
    }
    return at + 1;
}

static void print_array(const Int32Array *values, const char *after)
{
    putchar('[');
    for (size_t i = 0; i < values->count; i++)
        printf("%s%d", i ? "," : "", values->items[i]);
    printf("]%s", after);
}

/* encoder: NULL without a cache. */
static Status encode_line(Tool *tool, WordpieceEncoder *encoder, const char *line, WordpieceOutput *output, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Text *text = &tool->text;
    wordpiece_output_clear(output);
    if (*line == '"') {
        read_string(line + 1, text);
        return encoder ? wordpiece_encoder_text(encoder, text->bytes, text->size, output, diagnostic)
                       : wordpiece_encode_text(tool->wordpiece, text->bytes, text->size, output, diagnostic);
    }
    if (*line != '[')
        fail("a line is neither a string nor an array", NULL);
    int32_t token = 0;
    for (line = strchr(line, '"'); line && status == STATUS_OK; line = strchr(line, '"')) {
        line = read_string(line + 1, text);
        status = encoder ? wordpiece_encoder_token(encoder, text->bytes, text->size, token, output, diagnostic)
                         : wordpiece_encode_token(tool->wordpiece, text->bytes, text->size, token, output, diagnostic);
        token++;
    }
    return status;
}

static bool arrays_equal(const Int32Array *a, const Int32Array *b)
{
    return a->count == b->count && (a->count == 0 || memcmp(a->items, b->items, a->count * sizeof *a->items) == 0);
}

static bool outputs_equal(const WordpieceOutput *a, const WordpieceOutput *b)
{
    return arrays_equal(&a->ids, &b->ids) && arrays_equal(&a->starts, &b->starts) && arrays_equal(&a->ends, &b->ends) &&
           arrays_equal(&a->word_ids, &b->word_ids);
}

static void print_line(Tool *tool, const char *line, WordpieceOutput *output, WordpieceOutput *other)
{
    size_t count;
    const WordScanner *scanners = word_scanners(&count);
    Diagnostic diagnostic = {0}, other_diagnostic = {0};
    tool->wordpiece->scan = scanners[0].scan;
    Status status = encode_line(tool, NULL, line, output, &diagnostic);
    for (size_t i = 0; i < count; i++) {
        tool->wordpiece->scan = scanners[i].scan;
        for (int cache = -1; cache < CACHES; cache++) {
            Status other_status = encode_line(tool, cache < 0 ? NULL : tool->encoders[i][cache], line, other, &other_diagnostic);
            if (other_status != status || !outputs_equal(output, other)) {
                printf("\"error: the scanner %s gives something else, %s\"\n", scanners[i].name,
                       cache < 0 ? "without a cache" : "with a cache");
                return;
            }
        }
    }
    if (status != STATUS_OK) {
        printf("\"error: %s\"\n", diagnostic.message);
        return;
    }
    putchar('[');
    print_array(&output->ids, ",");
    print_array(&output->starts, ",");
    print_array(&output->ends, ",");
    print_array(&output->word_ids, "]\n");
}

static void print_lines(Tool *tool)
{
    WordpieceOutput output = {0}, other = {0};
    char *line = NULL;
    size_t capacity = 0;
    text_append_string(&tool->text, "");
    while (getline(&line, &capacity, stdin) > 0)
        print_line(tool, line, &output, &other);
    free(line);
    text_free(&tool->text);
    wordpiece_output_free(&output);
    wordpiece_output_free(&other);
}

int main(int argc, char **argv)
{
    static const size_t cache_words[CACHES] = {WORDPIECE_CACHE_WORDS, 2};
    WordpieceOptions options = {.lowercase = true};
    const char *vocab = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--cased") == 0)
            options.lowercase = false;
        else if (strcmp(argv[i], "--plain-specials") == 0)
            options.ignore_special_tokens = true;
        else
            vocab = argv[i];
    }
    if (!vocab)
        fail("usage: tokenize_tool VOCAB [--cased] [--plain-specials]", NULL);
    Diagnostic diagnostic = {0};
    Tool tool = {0};
    size_t count;
    word_scanners(&count);
    if (wordpiece_open(&tool.wordpiece, vocab, options, &diagnostic))
        fail("opening", &diagnostic);
    if (count > SCANNERS_LIMIT)
        fail("more scanners than there is room for", NULL);
    for (size_t i = 0; i < count * CACHES; i++)
        if (wordpiece_encoder_create(&tool.encoders[i / CACHES][i % CACHES], tool.wordpiece, cache_words[i % CACHES], &diagnostic))
            fail("a cache", &diagnostic);
    print_lines(&tool);
    for (size_t i = 0; i < count * CACHES; i++)
        wordpiece_encoder_destroy(&tool.encoders[i / CACHES][i % CACHES]);
    wordpiece_close(&tool.wordpiece);
    return 0;
}
