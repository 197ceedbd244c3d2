/* The words rules: words lie in the text one after the other, are not empty, and hold no white space. */
#include <stdlib.h>
#include <string.h>

#include "shard/words.h"
#include "tests/fuzz/harness.h"

static void split(WordsRule rule, const char *text, size_t size)
{
    WordArray words = {0};
    Diagnostic diagnostic = {0};
    bool valid = fuzz_is_utf8((const uint8_t *)text, size);
    Status status = words_split(rule, text, size, &words, &diagnostic);
    ASSERT(valid == (status == STATUS_OK) && (valid || (words.count == 0 && diagnostic.message[0])));
    size_t reached = 0;
    for (size_t i = 0; i < words.count; i++) {
        const Word *word = &words.items[i];
        ASSERT(word->start >= 0 && word->start < word->end && (size_t)word->start >= reached && (size_t)word->end <= size);
        reached = (size_t)word->end;
        ASSERT(fuzz_is_utf8((const uint8_t *)text + word->start, (size_t)(word->end - word->start)));
        for (int32_t j = word->start; j < word->end; j++)
            ASSERT(!strchr(" \t\r\n", text[j]) || text[j] == '\0');
    }
    for (size_t i = 0, word = 0; valid && i < size; i++) { /* what is visible is in a word */
        while (word < words.count && (size_t)words.items[word].end <= i)
            word++;
        if (text[i] > ' ' && text[i] < '\x7F')
            ASSERT(word < words.count && (size_t)words.items[word].start <= i);
    }
    array_free(&words);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    for (int rule = 0; rule < WORDS_COUNT; rule++)
        split((WordsRule)rule, (const char *)bytes, size);
    return 0;
}
