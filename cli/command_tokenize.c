/* nersweep tokenize: one JSON object per input line, as Hugging Face's BertTokenizerFast encodes it. */
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/lines.h"
#include "shard/wordpiece.h"

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

static Status tokenize_lines(const Wordpiece *wordpiece, bool words, const char *path, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    LineReader reader = {.file = -1};
    WordpieceOutput output = {0};
    const char *line;
    size_t size;
    TRY(line_reader_open(&reader, path, diagnostic));
    for (;;) {
        if (line_reader_would_wait(&reader))
            TRY(command_flush(diagnostic));
        TRY(line_reader_next(&reader, &line, &size, diagnostic));
        if (line == NULL)
            break;
        Diagnostic inner = {0};
        if (encode_line(wordpiece, words, line, size, &output, &inner) != STATUS_OK) {
            status = FAIL_AT(diagnostic, inner.code, reader.name, reader.number, 1, "%s", inner.message);
            goto out;
        }
        print_encoding(wordpiece, &output);
        if (ferror(stdout))
            TRY(command_flush(diagnostic));
    }
out:
    line_reader_close(&reader);
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
