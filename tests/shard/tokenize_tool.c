/* For parity_tokenizer.py: tokenize_tool VOCAB [--cased] [--plain-specials] [--cache WORDS] [--scanner NAME] reads JSON Lines, each a text (a string) or pre-split tokens (an
 * array of strings), and prints for each [ids, starts, ends, word_ids], or "error: ..." as a string. It has a JSON reader of its own because
 * a text may hold U+0000, which the project's JSON reader refuses.
 *
 * --cache WORDS encodes with a word cache of that size, --scanner NAME with that of the scanners; neither may change what is printed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/wordpiece_internal.h"

enum { CACHE_WORDS_LIMIT = 1 << 20 };

/* encoder: NULL without a cache. */
typedef struct Tool {
    Wordpiece *wordpiece;
    WordpieceEncoder *encoder;
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

static void encode_line(const Tool *tool, const char *line, Text *text, WordpieceOutput *output)
{
    Diagnostic diagnostic = {0};
    Status status = STATUS_OK;
    wordpiece_output_clear(output);
    if (*line == '"') {
        read_string(line + 1, text);
        status = tool->encoder ? wordpiece_encoder_text(tool->encoder, text->bytes, text->size, output, &diagnostic)
                               : wordpiece_encode_text(tool->wordpiece, text->bytes, text->size, output, &diagnostic);
    } else if (*line == '[') {
        int32_t token = 0;
        for (line = strchr(line, '"'); line && status == STATUS_OK; line = strchr(line, '"')) {
            line = read_string(line + 1, text);
            status = tool->encoder ? wordpiece_encoder_token(tool->encoder, text->bytes, text->size, token, output, &diagnostic)
                                   : wordpiece_encode_token(tool->wordpiece, text->bytes, text->size, token, output, &diagnostic);
            token++;
        }
    } else {
        fail("a line is neither a string nor an array", NULL);
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

static void encode_lines(const Tool *tool)
{
    Text text = {0};
    WordpieceOutput output = {0};
    char *line = NULL;
    size_t capacity = 0;
    text_append_string(&text, "");
    while (getline(&line, &capacity, stdin) > 0)
        encode_line(tool, line, &text, &output);
    free(line);
    text_free(&text);
    wordpiece_output_free(&output);
}

static WordScanFunction find_scanner(const char *name)
{
    size_t count;
    const WordScanner *scanners = word_scanners(&count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(scanners[i].name, name) == 0)
            return scanners[i].scan;
    fail("this processor has no such scanner", NULL);
    return NULL;
}

int main(int argc, char **argv)
{
    WordpieceOptions options = {.lowercase = true};
    const char *vocab = NULL, *scanner = NULL;
    long cache_words = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--cased") == 0)
            options.lowercase = false;
        else if (strcmp(argv[i], "--plain-specials") == 0)
            options.ignore_special_tokens = true;
        else if (strcmp(argv[i], "--cache") == 0 && i + 1 < argc)
            cache_words = strtol(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--scanner") == 0 && i + 1 < argc)
            scanner = argv[++i];
        else
            vocab = argv[i];
    }
    if (!vocab || cache_words < 0 || cache_words > CACHE_WORDS_LIMIT)
        fail("usage: tokenize_tool VOCAB [--cased] [--plain-specials] [--cache WORDS] [--scanner NAME]", NULL);
    Diagnostic diagnostic = {0};
    Tool tool = {0};
    if (wordpiece_open(&tool.wordpiece, vocab, options, &diagnostic))
        fail("opening", &diagnostic);
    if (scanner)
        tool.wordpiece->scan = find_scanner(scanner);
    if (cache_words > 0 && wordpiece_encoder_create(&tool.encoder, tool.wordpiece, (size_t)cache_words, &diagnostic))
        fail("the cache", &diagnostic);
    encode_lines(&tool);
    wordpiece_encoder_destroy(&tool.encoder);
    wordpiece_close(&tool.wordpiece);
    return 0;
}
