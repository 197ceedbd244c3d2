/* JSON: accepted exactly when a checker of its own, written from RFC 8259's grammar, accepts it, but for what core/io/json.h says is refused;
 * and the same after it was written and read again. */
#include <stdlib.h>
#include <string.h>

#include "core/io/json.h"
#include "tests/fuzz/harness.h"

typedef struct Checker {
    const uint8_t *at, *end;
    int depth;
    bool bounded; /* something was met that may be refused: depth, NUL, a surrogate alone, a number beyond its type */
} Checker;

enum { DEPTH_BOUND = 1000, DEPTH_LIMIT = 20000, DIGITS_BOUND = 17 };

static bool take(Checker *checker, char byte)
{
    bool found = checker->at < checker->end && *checker->at == (uint8_t)byte;
    checker->at += found;
    return found;
}

static void skip_space(Checker *checker)
{
    while (checker->at < checker->end && *checker->at && strchr(" \t\n\r", *checker->at))
        checker->at++;
}

static bool take_word(Checker *checker, const char *word)
{
    size_t size = strlen(word);
    if ((size_t)(checker->end - checker->at) < size || memcmp(checker->at, word, size) != 0)
        return false;
    checker->at += size;
    return true;
}

static long take_digits(Checker *checker)
{
    long count = 0;
    for (; checker->at < checker->end && *checker->at >= '0' && *checker->at <= '9'; count++)
        checker->at++;
    return count;
}

static bool take_number(Checker *checker)
{
    take(checker, '-');
    bool zero = checker->at < checker->end && *checker->at == '0';
    long digits = take_digits(checker);
    if (digits == 0 || (zero && digits > 1))
        return false;
    checker->bounded |= digits > DIGITS_BOUND;
    if (take(checker, '.') && take_digits(checker) == 0)
        return false;
    if (take(checker, 'e') || take(checker, 'E')) {
        if (!take(checker, '+'))
            take(checker, '-');
        digits = take_digits(checker);
        checker->bounded |= digits > 2;
        return digits > 0;
    }
    return true;
}

static bool take_escape(Checker *checker)
{
    if (checker->at >= checker->end)
        return false;
    uint8_t byte = *checker->at++;
    if (byte != 'u')
        return byte && strchr("\"\\/bfnrt", byte);
    char digits[5] = {0};
    if (checker->end - checker->at < 4)
        return false;
    memcpy(digits, checker->at, 4);
    checker->at += 4;
    if (strspn(digits, "0123456789abcdefABCDEF") != 4)
        return false;
    long unit = strtol(digits, NULL, 16);
    checker->bounded |= unit == 0 || (unit >= 0xD800 && unit <= 0xDFFF);
    return true;
}

static bool take_string(Checker *checker)
{
    if (!take(checker, '"'))
        return false;
    while (checker->at < checker->end) {
        uint8_t byte = *checker->at++;
        if (byte == '"')
            return true;
        if (byte < ' ' || (byte == '\\' && !take_escape(checker)))
            return false;
    }
    return false;
}

static bool take_value(Checker *checker);

static bool take_members(Checker *checker, char close, bool keys)
{
    skip_space(checker);
    if (take(checker, close))
        return true;
    for (;;) {
        skip_space(checker);
        if (keys && !take_string(checker))
            return false;
        skip_space(checker);
        if (keys && !take(checker, ':'))
            return false;
        if (!take_value(checker))
            return false;
        skip_space(checker);
        if (take(checker, close))
            return true;
        if (!take(checker, ','))
            return false;
    }
}

static bool take_value(Checker *checker)
{
    skip_space(checker);
    if (++checker->depth > DEPTH_LIMIT)
        return false;
    checker->bounded |= checker->depth > DEPTH_BOUND;
    bool fine;
    if (take(checker, '{'))
        fine = take_members(checker, '}', true);
    else if (take(checker, '['))
        fine = take_members(checker, ']', false);
    else if (checker->at < checker->end && *checker->at == '"')
        fine = take_string(checker);
    else
        fine = take_word(checker, "true") || take_word(checker, "false") || take_word(checker, "null") || take_number(checker);
    checker->depth--;
    return fine;
}

static bool is_json(const uint8_t *bytes, size_t size, bool *bounded)
{
    Checker checker = {.at = bytes, .end = bytes + size};
    bool fine = fuzz_is_utf8(bytes, size) && take_value(&checker);
    skip_space(&checker);
    *bounded = checker.bounded;
    return fine && checker.at == checker.end;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    Json *json = NULL, *again = NULL;
    Diagnostic diagnostic = {0};
    bool bounded, valid = is_json(bytes, size, &bounded);
    Status status = json_parse(&json, (const char *)bytes, size, "a.json", &diagnostic);
    if (status != STATUS_OK) {
        fuzz_check_refused_line(status, &diagnostic, "a.json");
        ASSERT(diagnostic.input_column >= 1);
        ASSERT(!valid || bounded || strstr(diagnostic.message, "duplicate"));
        return 0;
    }
    ASSERT(valid || bounded); /* beyond DEPTH_LIMIT the checker gives up */
    char *text = json_text(json, JSON_CANONICAL);
    ASSERT(json_parse(&again, text, strlen(text), "again", &diagnostic) == STATUS_OK);
    char *text_again = json_text(again, JSON_CANONICAL);
    ASSERT(strcmp(text, text_again) == 0);
    free(text);
    free(text_again);
    json_destroy(&json);
    json_destroy(&again);
    return 0;
}
