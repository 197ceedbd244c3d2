/* For parity_tokenizer.py: tokenize_tool VOCAB [--cased] [--plain-specials] reads JSON Lines, each a text (a string) or pre-split tokens (an
 * array of strings), and prints for each [ids, starts, ends, word_ids], or "error: ..." as a string. It has a JSON reader of its own because
 * a text may hold U+0000, which the project's JSON reader refuses.
 *
 * With --speed FILE... it reads CoNLL files as hf_tokenize.py does and prints how fast their sentences are encoded on one thread. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "shard/wordpiece.h"

enum { REPEATS = 20 };

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

static void encode_line(const Wordpiece *wordpiece, const char *line, Text *text, WordpieceOutput *output)
{
    Diagnostic diagnostic = {0};
    Status status = STATUS_OK;
    wordpiece_output_clear(output);
    if (*line == '"') {
        read_string(line + 1, text);
        status = wordpiece_encode_text(wordpiece, text->bytes, text->size, output, &diagnostic);
    } else if (*line == '[') {
        int32_t token = 0;
        for (line = strchr(line, '"'); line && status == STATUS_OK; line = strchr(line, '"')) {
            line = read_string(line + 1, text);
            status = wordpiece_encode_token(wordpiece, text->bytes, text->size, token++, output, &diagnostic);
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

static void encode_lines(const Wordpiece *wordpiece)
{
    Text text = {0};
    WordpieceOutput output = {0};
    char *line = NULL;
    size_t capacity = 0;
    text_append_string(&text, "");
    while (getline(&line, &capacity, stdin) > 0)
        encode_line(wordpiece, line, &text, &output);
    free(line);
    text_free(&text);
    wordpiece_output_free(&output);
}

typedef struct Sentences {
    Text text;
    ARRAY(size_t) ends;
} Sentences;

static void read_sentences(const char *path, Sentences *sentences)
{
    FILE *file = fopen(path, "r");
    if (!file)
        fail(path, NULL);
    char *line = NULL;
    size_t capacity = 0, start = sentences->text.size;
    while (getline(&line, &capacity, file) > 0) {
        size_t token = strcspn(line, "\t\r\n");
        if (token > 0) {
            if (sentences->text.size > start)
                text_append_string(&sentences->text, " ");
            text_append(&sentences->text, line, token);
        } else if (sentences->text.size > start) {
            array_push(&sentences->ends, sentences->text.size);
            start = sentences->text.size;
        }
    }
    if (sentences->text.size > start)
        array_push(&sentences->ends, sentences->text.size);
    free(line);
    fclose(file);
}

static void measure(const Wordpiece *wordpiece, char **paths, int path_count)
{
    Sentences sentences = {0};
    WordpieceOutput output = {0};
    Diagnostic diagnostic = {0};
    const Clock *clock = clock_system();
    double best = 1e30;
    size_t pieces = 0;
    for (int i = 0; i < path_count; i++)
        read_sentences(paths[i], &sentences);
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        int64_t before = clock->monotonic_ns(clock->context);
        pieces = 0;
        for (size_t i = 0, start = 0; i < sentences.ends.count; start = sentences.ends.items[i++]) {
            wordpiece_output_clear(&output);
            if (wordpiece_encode_text(wordpiece, sentences.text.bytes + start, sentences.ends.items[i] - start, &output,
                                      &diagnostic))
                fail("encoding", &diagnostic);
            pieces += output.ids.count;
        }
        double seconds = (double)(clock->monotonic_ns(clock->context) - before) * 1e-9;
        best = seconds < best ? seconds : best;
    }
    printf("{\"mb\": %.3f, \"sentences\": %zu, \"mb_per_s\": %.3f, \"pieces\": %zu, \"pieces_per_s\": %.0f}\n",
           (double)sentences.text.size * 1e-6, sentences.ends.count, (double)sentences.text.size * 1e-6 / best, pieces,
           (double)pieces / best);
    text_free(&sentences.text);
    array_free(&sentences.ends);
    wordpiece_output_free(&output);
}

int main(int argc, char **argv)
{
    WordpieceOptions options = {.lowercase = true};
    const char *vocab = NULL;
    int speed = 0;
    for (int i = 1; i < argc && !speed; i++) {
        if (strcmp(argv[i], "--cased") == 0)
            options.lowercase = false;
        else if (strcmp(argv[i], "--plain-specials") == 0)
            options.ignore_special_tokens = true;
        else if (strcmp(argv[i], "--speed") == 0)
            speed = i + 1;
        else
            vocab = argv[i];
    }
    if (!vocab)
        fail("usage: tokenize_tool VOCAB [--cased] [--plain-specials] [--speed FILE...]", NULL);
    Diagnostic diagnostic = {0};
    Wordpiece *wordpiece = NULL;
    if (wordpiece_open(&wordpiece, vocab, options, &diagnostic))
        fail("opening", &diagnostic);
    if (speed)
        measure(wordpiece, argv + speed, argc - speed);
    else
        encode_lines(wordpiece);
    wordpiece_close(&wordpiece);
    return 0;
}
