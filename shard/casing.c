#include "shard/casing.h"

#include <stdlib.h>
#include <string.h>

#include "core/io/hash.h"

enum { FREQUENT_COUNT = 3, EVIDENCE_MINIMUM = 20 };

/* One capital letter and then small ones. */
static bool is_capitalised(const char *token, size_t size)
{
    if (size < 2 || size >= CASING_WORD_SIZE || token[0] < 'A' || token[0] > 'Z')
        return false;
    for (size_t i = 1; i < size; i++)
        if (token[i] < 'a' || token[i] > 'z')
            return false;
    return true;
}

void casing_counts_add(CasingCounts *counts, const char *token, size_t size)
{
    if (!is_capitalised(token, size))
        return;
    if (!counts->words)
        counts->words = memory_allocate(CASING_CAPACITY, sizeof *counts->words);
    size_t slot = (size_t)checksum64(token, size) & (CASING_CAPACITY - 1);
    while (counts->words[slot].count && (memcmp(counts->words[slot].text, token, size) != 0 || counts->words[slot].text[size]))
        slot = (slot + 1) & (CASING_CAPACITY - 1);
    CasingWord *word = &counts->words[slot];
    if (word->count == 0) {
        if (counts->distinct >= CASING_CAPACITY / 2)
            return;
        counts->distinct++;
        memcpy(word->text, token, size);
    }
    word->count += word->count < UINT32_MAX;
}

void casing_counts_free(CasingCounts *counts)
{
    free(counts->words);
    *counts = (CasingCounts){0};
}

CasingEvidence casing_evidence(const CasingCounts *counts, const Wordpiece *wordpiece)
{
    CasingEvidence evidence = {0};
    for (size_t i = 0; counts->words && i < CASING_CAPACITY; i++) {
        if (counts->words[i].count < FREQUENT_COUNT)
            continue;
        char small[CASING_WORD_SIZE];
        memcpy(small, counts->words[i].text, sizeof small);
        small[0] = (char)(small[0] - 'A' + 'a');
        bool has_capital = wordpiece_find(wordpiece, counts->words[i].text) >= 0, has_small = wordpiece_find(wordpiece, small) >= 0;
        evidence.found += has_capital || has_small;
        evidence.capitalised += has_capital;
        evidence.only_small += has_small && !has_capital;
    }
    return evidence;
}

Status casing_check(const CasingEvidence *evidence, const char *vocab_path, bool lowercase, Diagnostic *diagnostic)
{
    long found = (long)evidence->found, capitalised = (long)evidence->capitalised, only_small = (long)evidence->only_small;
    if (found < EVIDENCE_MINIMUM)
        return STATUS_OK;
    /* An uncased vocabulary holds no capital letter at all; a cased one has most frequent names with theirs. */
    if (lowercase && capitalised * 5 >= found)
        return FAIL(diagnostic, STATUS_MISMATCH,
                    "the vocabulary %s is cased (it holds %ld of %ld frequent words of the training files with a capital letter) "
                    "but the text would be "
                    "lower-cased: set do_lower_case to false in tokenizer_config.json, or take the model's own vocab.txt",
                    vocab_path, capitalised, found);
    if (!lowercase && only_small * 2 >= found)
        return FAIL(diagnostic, STATUS_MISMATCH,
                    "the vocabulary %s is uncased (it holds %ld of %ld frequent capitalised words of the training files only in "
                    "lower case) but the text "
                    "would keep its case: set do_lower_case to true in tokenizer_config.json, or take the model's own vocab.txt",
                    vocab_path, only_small, found);
    return STATUS_OK;
}
