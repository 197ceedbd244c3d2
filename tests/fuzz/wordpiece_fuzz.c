/* WordPiece on a whole text and on its parts between spaces: pieces are known, and lie in the text one after the other. */
#include <stdlib.h>
#include <string.h>

#include "shard/wordpiece.h"
#include "tests/fuzz/harness.h"

static const char vocabulary[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\nab\nabc\n##a\n##b\n##c\n##bc\n##cab\n1\n##1\n.\n,\n-\n"
                                 "[\n]\n\xC3\xA9\n##\xC3\xA9\ne\n##e\n\xE4\xB8\xAD\n\xF0\x9F\x98\x80\n##\xCC\x81\n";

static void check_output(const Wordpiece *wordpiece, const WordpieceOutput *output, int32_t units, bool given_word)
{
    size_t count = output->ids.count;
    ASSERT(output->starts.count == count && output->ends.count == count && output->word_ids.count == count);
    for (size_t i = 0; i < count; i++) {
        ASSERT(output->ids.items[i] >= 0 && output->ids.items[i] < wordpiece_vocab_size(wordpiece));
        ASSERT(output->starts.items[i] >= 0 && output->starts.items[i] <= output->ends.items[i]);
        ASSERT(output->ends.items[i] <= units);
        ASSERT(given_word ? output->word_ids.items[i] == 7 : output->word_ids.items[i] >= 0);
        if (i > 0) {
            ASSERT(output->starts.items[i] >= output->starts.items[i - 1]);
            ASSERT(output->word_ids.items[i] >= output->word_ids.items[i - 1]);
        }
    }
}

static int32_t code_points(const char *text, size_t size)
{
    int32_t count = 0;
    for (size_t i = 0; i < size; i++)
        count += ((unsigned char)text[i] & 0xC0) != 0x80;
    return count;
}

static void encode(const Wordpiece *wordpiece, const char *text, size_t size)
{
    WordpieceOutput output = {0};
    Diagnostic diagnostic = {0};
    bool valid = fuzz_is_utf8((const uint8_t *)text, size);
    Status status = wordpiece_encode_text(wordpiece, text, size, &output, &diagnostic);
    ASSERT(valid == (status == STATUS_OK) && (valid || (status == STATUS_INVALID_INPUT && diagnostic.message[0])));
    if (valid)
        check_output(wordpiece, &output, code_points(text, size), false);
    for (size_t at = 0, end; valid && at <= size; at = end + 1) {
        const char *space = at < size ? memchr(text + at, ' ', size - at) : NULL;
        end = space ? (size_t)(space - text) : size;
        wordpiece_output_clear(&output);
        status = wordpiece_encode_token(wordpiece, text + at, end - at, 7, &output, &diagnostic);
        ASSERT(status == STATUS_OK);
        check_output(wordpiece, &output, code_points(text + at, end - at), true);
    }
    wordpiece_output_free(&output);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static Wordpiece *wordpieces[4];
    for (int i = 0; i < 4; i++) {
        if (!wordpieces[i]) {
            char *path = fuzz_write("vocab.txt", vocabulary, sizeof vocabulary - 1);
            WordpieceOptions options = {.lowercase = i & 1, .ignore_special_tokens = i & 2};
            Status status = wordpiece_open(&wordpieces[i], path, options, NULL);
            ASSERT(status == STATUS_OK);
            free(path);
        }
        encode(wordpieces[i], (const char *)bytes, size);
    }
    return 0;
}
