#include "shard/words.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "shard/unicode.h"
#include "shard/words_treebank.h"

static const char *const RULE_NAMES[WORDS_COUNT] = {
    [WORDS_WHITESPACE] = "whitespace", [WORDS_TREEBANK] = "treebank", [WORDS_BERT] = "bert"};

const char *words_rule_name(WordsRule rule)
{
    ASSERT(rule >= 0 && rule < WORDS_COUNT);
    return RULE_NAMES[rule];
}

bool words_rule_parse(const char *name, WordsRule *rule)
{
    for (int i = 0; i < WORDS_COUNT; i++) {
        if (strcmp(name, RULE_NAMES[i]) == 0) {
            *rule = (WordsRule)i;
            return true;
        }
    }
    return false;
}

/* ---- splitting ---- */

/* White space and what has no width: BERT drops both. Private-use characters it drops too, but they are seen. */
static bool is_separator(int32_t code_point)
{
    if (code_point < 0x80)
        return code_point <= ' ' || code_point == 0x7F;
    if (unicode_is_white_space(code_point))
        return true;
    return unicode_is_removed(code_point) && !unicode_is_private(code_point) && code_point != 0xFFFD;
}

static bool is_alone(int32_t code_point)
{
    return code_point < 0x80 ? ispunct(code_point) != 0 : unicode_is_punctuation(code_point) || unicode_is_ideograph(code_point);
}

static void split_run(WordsRule rule, const uint8_t *text, int32_t start, int32_t end, int32_t text_end, WordArray *words)
{
    if (rule == WORDS_WHITESPACE) {
        array_push(words, ((Word){start, end}));
        return;
    }
    if (rule == WORDS_TREEBANK) {
        words_treebank_split(text, start, end, text_end, words);
        return;
    }
    int32_t word = start;
    for (int32_t at = start, length; at < end; at += length) {
        if (!is_alone(utf8_decode(text + at, (size_t)(end - at), &length)))
            continue;
        if (at > word)
            array_push(words, ((Word){word, at}));
        array_push(words, ((Word){at, at + length}));
        word = at + length;
    }
    if (end > word)
        array_push(words, ((Word){word, end}));
}

Status words_split(WordsRule rule, const char *text, size_t size, WordArray *words, Diagnostic *diagnostic)
{
    const uint8_t *bytes = (const uint8_t *)text;
    const size_t before = words->count;
    int32_t start = -1; /* of the run without white space that is being read */
    if (size > INT32_MAX)
        return FAIL(diagnostic, STATUS_LIMIT, "a text of %zu bytes: at most %d are split at once; split it into lines", size,
                    INT32_MAX);
    for (size_t at = 0; at < size;) {
        int32_t length, code_point = utf8_decode(bytes + at, size - at, &length);
        if (code_point == UNICODE_INVALID) {
            words->count = before;
            return FAIL(diagnostic, STATUS_INVALID_INPUT, "the text is not UTF-8 at byte offset %zu", at);
        }
        bool separator = is_separator(code_point);
        if (separator && start >= 0) {
            split_run(rule, bytes, start, (int32_t)at, (int32_t)size, words);
            start = -1;
        } else if (!separator && start < 0) {
            start = (int32_t)at;
        }
        at += (size_t)length;
    }
    if (start >= 0)
        split_run(rule, bytes, start, (int32_t)size, (int32_t)size, words);
    return STATUS_OK;
}

/* ---- agreement with a corpus's tokens ---- */

static bool is_one_of(const char *token, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (((token[0] ^ list[i][0]) & ~0x20) == 0 && strcasecmp(token, list[i]) == 0) /* few get past the first byte */
            return true;
    return false;
}
#define IS_ONE_OF(token, list) is_one_of((token), (list), sizeof(list) / sizeof *(list))

/* Stands right behind what comes before it: marks that close, and the second halves of contractions. */
static bool closes(const char *token)
{
    static const char *const closing[] = {",",  ";",   ":",   ")",   "]",  "}",   "%",  "…",  "’",   "”",   "»",   "''", "'s",
                                          "'m", "'re", "'ve", "'ll", "'d", "n't", "’s", "’m", "’re", "’ve", "’ll", "’d", "n’t"};
    return IS_ONE_OF(token, closing) || (*token && strspn(token, ".!?") == strlen(token));
}

static bool opens(const char *token)
{
    static const char *const opening[] = {"(", "[", "{", "$", "£", "€", "“", "‘", "«", "``"};
    return IS_ONE_OF(token, opening);
}

static bool is_word_end(char c)
{
    return isalnum((unsigned char)c) || (c & 0x80) != 0;
}

/* A hyphen, slash or dash that stands between two words without spaces. */
static bool joins(const char *const *tokens, int32_t n, int32_t i)
{
    static const char *const joining[] = {"-", "/", "--", "—"};
    if (i == 0 || i + 1 >= n || !IS_ONE_OF(tokens[i], joining) || !*tokens[i - 1])
        return false;
    return is_word_end(tokens[i - 1][strlen(tokens[i - 1]) - 1]) && is_word_end(tokens[i + 1][0]);
}

/* Sets the tokens as English text; places: where each came to stand. */
static void join_tokens(const char *const *tokens, int32_t n, Text *text, WordArray *places)
{
    bool glue = true; /* no space before the next token */
    bool in_single = false, in_double = false;
    for (int32_t i = 0; i < n; i++) {
        const char *token = tokens[i];
        bool glue_after = opens(token), glue_before = closes(token);
        bool *quote = strcmp(token, "\"") == 0 ? &in_double : strcmp(token, "'") == 0 ? &in_single : NULL;
        if (quote) {
            glue_before = *quote;
            glue_after = !*quote;
            *quote = !*quote;
        } else if (joins(tokens, n, i)) {
            glue_before = glue_after = true;
        }
        if (!glue && !glue_before)
            text_append(text, " ", 1);
        size_t start = text->size;
        text_append_string(text, token);
        array_push(places, ((Word){(int32_t)start, (int32_t)text->size}));
        glue = glue_after;
    }
}

/* Both are in the text's order. */
static int64_t count_agreed(const WordArray *places, const WordArray *words)
{
    int64_t agreed = 0;
    for (size_t i = 0, j = 0; i < places->count; i++) {
        while (j < words->count && words->items[j].start < places->items[i].start)
            j++;
        agreed +=
            j < words->count && words->items[j].start == places->items[i].start && words->items[j].end == places->items[i].end;
    }
    return agreed;
}

void words_agreement_add(WordsAgreement *agreement, const char *const *tokens, int32_t n)
{
    Text text = {0};
    WordArray places = {0}, words = {0};
    join_tokens(tokens, n, &text, &places);
    agreement->tokens += n;
    for (int rule = 0; rule < WORDS_COUNT && text.size > 0; rule++) {
        words.count = 0;
        if (words_split((WordsRule)rule, text.bytes, text.size, &words, NULL) == STATUS_OK) /* invalid UTF-8 agrees with nothing */
            agreement->agreed[rule] += count_agreed(&places, &words);
    }
    text_free(&text);
    array_free(&places);
    array_free(&words);
}

WordsRule words_agreement_best(const WordsAgreement *agreement)
{
    WordsRule best = WORDS_TREEBANK;
    for (int rule = 0; rule < WORDS_COUNT; rule++)
        if (agreement->agreed[rule] > agreement->agreed[best])
            best = (WordsRule)rule;
    return best;
}
