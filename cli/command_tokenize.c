/* nersweep tokenize: one JSON object per input line, as Hugging Face's BertTokenizerFast encodes it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "shard/wordpiece.h"

typedef struct TokenizeFlags {
    char *vocab;
    bool cased, words, ignore_special_tokens;
} TokenizeFlags;

static const OptionDescriptor tokenize_descriptors[] = {
    FLAG_STRING(TokenizeFlags, vocab, "vocab.txt of the model (required)"),
    FLAG_BOOLEAN(TokenizeFlags, cased, "keep case and accents"),
    FLAG_BOOLEAN(TokenizeFlags, words, "lines are already split into words, at single spaces"),
    FLAG_BOOLEAN(TokenizeFlags, ignore_special_tokens, "[SEP] and the like written in the text are plain text"),
};
static const OptionTable tokenize_table = {"Options", tokenize_descriptors,
                                           sizeof tokenize_descriptors / sizeof tokenize_descriptors[0], sizeof(TokenizeFlags)};

static Status encode_line(const Wordpiece *wordpiece, bool words, const char *line, size_t size, WordpieceOutput *output,
                          Diagnostic *diagnostic)
{
    wordpiece_output_clear(output);
    if (!words)
        return wordpiece_encode_text(wordpiece, line, size, output, diagnostic);
    int32_t word = 0;
    for (size_t start = 0; start < size;) {
        const char *space = memchr(line + start, ' ', size - start);
        size_t end = space ? (size_t)(space - line) : size;
        if (end > start) {
            Status status = wordpiece_encode_token(wordpiece, line + start, end - start, word++, output, diagnostic);
            if (status != STATUS_OK)
                return status;
        }
        start = end + 1;
    }
    return STATUS_OK;
}

static void append_offsets(Json *offsets, int32_t start, int32_t end)
{
    Json *pair = json_array();
    json_append(pair, json_integer(start));
    json_append(pair, json_integer(end));
    json_append(offsets, pair);
}

static void print_encoding(const Wordpiece *wordpiece, const WordpieceOutput *output)
{
    const WordpieceSpecials *specials = wordpiece_specials(wordpiece);
    Json *json = json_object(), *ids = json_array(), *tokens = json_array(), *offsets = json_array(), *word_ids = json_array();
    for (size_t i = 0; i < output->ids.count + 2; i++) {
        bool special = i == 0 || i == output->ids.count + 1;
        int32_t id = i == 0 ? specials->cls : special ? specials->sep : output->ids.items[i - 1];
        json_append(ids, json_integer(id));
        json_append(tokens, json_string(wordpiece_piece(wordpiece, id)));
        append_offsets(offsets, special ? 0 : output->starts.items[i - 1], special ? 0 : output->ends.items[i - 1]);
        json_append(word_ids, special ? json_null() : json_integer(output->word_ids.items[i - 1]));
    }
    json_set(json, "ids", ids);
    json_set(json, "tokens", tokens);
    json_set(json, "offsets", offsets);
    json_set(json, "word_ids", word_ids);
    command_print_json(&json, JSON_COMPACT);
}

static Status tokenize_stream(const Wordpiece *wordpiece, bool words, FILE *stream, const char *name, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    WordpieceOutput output = {0};
    char *line = NULL;
    size_t capacity = 0;
    ssize_t size;
    for (long number = 1; (size = getline(&line, &capacity, stream)) >= 0; number++) {
        while (size > 0 && (line[size - 1] == '\n' || line[size - 1] == '\r'))
            size--;
        Diagnostic inner = {0};
        if (encode_line(wordpiece, words, line, (size_t)size, &output, &inner) != STATUS_OK) {
            status = FAIL_AT(diagnostic, inner.code, name, number, 1, "error: %s", inner.message);
            goto out;
        }
        print_encoding(wordpiece, &output);
    }
    if (ferror(stream))
        status = FAIL(diagnostic, STATUS_IO, "cannot read %s: %s", name, strerror(errno));
out:
    free(line);
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
    FILE *stream = stdin;
    int code = command_parse(command, &binding, 1, argc, argv, &files);
    if (code >= 0)
        goto out;
    code = 0;
    if (flags.vocab == NULL || files.count > 1) {
        code = command_usage_error(command, flags.vocab ? "more than one file is given" : "--vocab is required");
        goto out;
    }
    WordpieceOptions options = {.lowercase = !flags.cased, .ignore_special_tokens = flags.ignore_special_tokens};
    if (wordpiece_open(&wordpiece, flags.vocab, options, &diagnostic) != STATUS_OK) {
        code = command_fail(&diagnostic);
        goto out;
    }
    if (files.count == 1 && (stream = fopen(files.items[0], "r")) == NULL) {
        code = command_fail(
            (FAIL(&diagnostic, status_from_errno(errno), "cannot open %s: %s", files.items[0], strerror(errno)), &diagnostic));
        goto out;
    }
    if (tokenize_stream(wordpiece, flags.words, stream, files.count ? files.items[0] : "standard input", &diagnostic) != STATUS_OK)
        code = command_fail(&diagnostic);
out:
    if (stream && stream != stdin)
        fclose(stream);
    wordpiece_close(&wordpiece);
    array_free(&files);
    options_free(&tokenize_table, &flags);
    return code;
}

const Command command_tokenize = {"tokenize", "--vocab FILE [--cased] [--words] [FILE]",
                                  "WordPiece ids, pieces and offsets of each line, as JSON", tokenize_run};
