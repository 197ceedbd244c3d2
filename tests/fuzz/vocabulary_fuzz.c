/* vocab.txt, as the tokenizer and as the model folder read it. */
#include <stdlib.h>
#include <string.h>

#include "model/vocabulary_file.h"
#include "shard/wordpiece.h"
#include "tests/fuzz/harness.h"

static void check_tokenizer(const char *path)
{
    Wordpiece *wordpiece = NULL;
    Diagnostic diagnostic = {0};
    Status status = wordpiece_open(&wordpiece, path, (WordpieceOptions){0}, &diagnostic);
    if (status != STATUS_OK) {
        fuzz_check_refusal(status, &diagnostic, path);
        return;
    }
    for (int32_t id = 0; id < wordpiece_vocab_size(wordpiece); id++) {
        const char *piece = wordpiece_piece(wordpiece, id);
        ASSERT(strcmp(wordpiece_piece(wordpiece, wordpiece_find(wordpiece, piece)), piece) == 0);
    }
    WordpieceOutput output = {0};
    ASSERT(wordpiece_encode_text(wordpiece, "a word, [SEP] \xC3\xA9", 16, &output, &diagnostic) == STATUS_OK);
    for (size_t i = 0; i < output.ids.count; i++)
        ASSERT(output.ids.items[i] >= 0 && output.ids.items[i] < wordpiece_vocab_size(wordpiece));
    wordpiece_output_free(&output);
    wordpiece_close(&wordpiece);
}

static void check_file(const char *path)
{
    VocabularyFile vocabulary = {0};
    TokenizerJson made = {0};
    Diagnostic diagnostic = {0};
    Status status = vocabulary_file_read(&vocabulary, path, 1000, &diagnostic);
    if (status == STATUS_OK)
        status = tokenizer_json_make(&made, &vocabulary, path, true, 512, &diagnostic);
    if (status != STATUS_OK)
        fuzz_check_refusal(status, &diagnostic, path);
    tokenizer_json_free(&made);
    vocabulary_file_free(&vocabulary);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *path = fuzz_write("vocab.txt", bytes, size);
    check_tokenizer(path);
    check_file(path);
    free(path);
    return 0;
}
