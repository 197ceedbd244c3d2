#include "shard/words_treebank.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "shard/unicode.h"

enum { ABBREVIATION_SIZE = 16 };

/* A run without white space, read from `at` on. Offsets are bytes of text. */
typedef struct Run {
    const uint8_t *text;
    int32_t start, at, end, text_end;
    WordArray *words;
} Run;

static void run_emit(Run *run, int32_t end)
{
    array_push(run->words, ((Word){run->at, end}));
    run->at = end;
}

static uint8_t byte_at(const Run *run, int32_t at)
{
    return at >= run->start && at < run->end ? run->text[at] : 0;
}

static int32_t code_point_at(const Run *run, int32_t at, int32_t *length)
{
    *length = 0;
    return at < run->end ? utf8_decode(run->text + at, (size_t)(run->end - at), length) : 0;
}

static bool is_letter_byte(uint8_t byte)
{
    return isalpha(byte) || byte >= 0x80;
}

/* Letters, digits and whatever is not ASCII nor punctuation. */
static bool is_word_character(int32_t code_point)
{
    if (code_point < 0x80)
        return code_point > 0 && isalnum(code_point);
    return !unicode_is_punctuation(code_point);
}

static bool word_character_at(const Run *run, int32_t at)
{
    int32_t length;
    return is_word_character(code_point_at(run, at, &length));
}

/* Length of an apostrophe at `at`: ' or U+2019; 0: none. */
static int32_t apostrophe_at(const Run *run, int32_t at)
{
    if (byte_at(run, at) == '\'')
        return 1;
    return byte_at(run, at) == 0xE2 && byte_at(run, at + 1) == 0x80 && byte_at(run, at + 2) == 0x99 ? 3 : 0;
}

static bool matches_at(const Run *run, int32_t at, const char *text)
{
    size_t size = strlen(text);
    return (size_t)(run->end - at) >= size && strncasecmp((const char *)run->text + at, text, size) == 0;
}

/* ---- kept whole: addresses, names of the net, entities, faces ---- */

static bool is_trailing_mark(uint8_t byte)
{
    return byte != 0 && strchr(".,;:!?\"'*>", byte) != NULL;
}

/* Where an address that goes on to `end` really ends: without the marks of the sentence around it. */
static int32_t address_end(const Run *run, int32_t end)
{
    while (end > run->at + 1) {
        uint8_t last = run->text[end - 1];
        bool unbalanced = (last == ')' && !memchr(run->text + run->at, '(', (size_t)(end - run->at))) ||
                          (last == ']' && !memchr(run->text + run->at, '[', (size_t)(end - run->at)));
        if (!is_trailing_mark(last) && !unbalanced)
            break;
        end--;
    }
    return end;
}

static int32_t match_url(const Run *run)
{
    static const char *const schemes[] = {"http://", "https://", "ftp://", "www."};
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (matches_at(run, run->at, schemes[i]))
            return address_end(run, run->end);
    return 0;
}

static int32_t match_email(const Run *run)
{
    int32_t at = run->at;
    while (isalnum(byte_at(run, at)) || (byte_at(run, at) != 0 && strchr("._+-", byte_at(run, at))))
        at++;
    if (at == run->at || byte_at(run, at) != '@' || !isalnum(byte_at(run, at + 1)))
        return 0;
    bool dotted = false;
    for (at++; isalnum(byte_at(run, at)) || byte_at(run, at) == '-' || byte_at(run, at) == '.'; at++)
        dotted |= byte_at(run, at) == '.' && isalnum(byte_at(run, at + 1));
    return dotted ? address_end(run, at) : 0;
}

/* @name and #tag. */
static int32_t match_handle(const Run *run)
{
    int32_t at = run->at + 1, length;
    if (byte_at(run, run->at) != '@' && byte_at(run, run->at) != '#')
        return 0;
    for (;;) {
        int32_t code_point = code_point_at(run, at, &length);
        if (code_point != '_' && !is_word_character(code_point))
            break;
        at += length;
    }
    return at > run->at + 1 ? at : 0;
}

/* &amp; and &#39; */
static int32_t match_entity(const Run *run)
{
    int32_t at = run->at + 1;
    if (byte_at(run, run->at) != '&')
        return 0;
    if (byte_at(run, at) == '#')
        at++;
    int32_t name = at;
    while (at - name < 8 && isalnum(byte_at(run, at)))
        at++;
    return at > name && byte_at(run, at) == ';' ? at + 1 : 0;
}

/* :) ;-) =D :'( <3 and the like, where no word goes on. */
static int32_t match_face(const Run *run)
{
    int32_t at = run->at;
    if (byte_at(run, at) == '<' && byte_at(run, at + 1) == '3') {
        at += 2;
    } else {
        if (byte_at(run, at) == 0 || !strchr(":;=", byte_at(run, at)))
            return 0;
        at++;
        if (byte_at(run, at) != 0 && strchr("-'^o", byte_at(run, at)))
            at++;
        uint8_t mouth = byte_at(run, at);
        if (mouth == 0 || !strchr(")(][DPpdOo/\\|*3SsX", mouth))
            return 0;
        while (byte_at(run, at) == mouth)
            at++;
    }
    return word_character_at(run, at) ||
                   (run->at > run->start && isalnum(byte_at(run, run->at - 1)) && isalnum(byte_at(run, at - 1)))
               ? 0
               : at;
}

/* ---- marks ---- */

/* Runs that are one token: "...", "--", "?!", "``", "''", "***". */
static int32_t match_mark_run(const Run *run)
{
    uint8_t first = byte_at(run, run->at);
    int32_t at = run->at;
    if (first == '!' || first == '?') {
        while (byte_at(run, at) == '!' || byte_at(run, at) == '?')
            at++;
        return at;
    }
    if (first == '\'' || first == '`')
        return byte_at(run, at + 1) == first ? at + 2 : 0;
    if (first == 0 || !strchr(".-*=~+_#/|:", first))
        return 0;
    while (byte_at(run, at) == first)
        at++;
    return at;
}

/* An apostrophe that begins a word: a contraction's rest after another word ('s), 'em, 'tis, '90s. */
static int32_t match_apostrophe_word(const Run *run)
{
    static const char *const rests[] = {"s", "m", "re", "ve", "ll", "d", "em", "n", "til", "tis", "twas", "cause", "bout"};
    int32_t apostrophe = apostrophe_at(run, run->at);
    if (apostrophe == 0)
        return 0;
    int32_t at = run->at + apostrophe;
    for (size_t i = 0; i < sizeof rests / sizeof *rests; i++) {
        int32_t end = at + (int32_t)strlen(rests[i]);
        if (matches_at(run, at, rests[i]) && !word_character_at(run, end))
            return end;
    }
    if (isdigit(byte_at(run, at)) && isdigit(byte_at(run, at + 1)) && byte_at(run, at + 2) == 's' &&
        !word_character_at(run, at + 3))
        return at + 3;
    return 0;
}

/* ---- words ---- */

/* End of the letters, digits and marks from `at` on. */
static int32_t plain_end(const Run *run, int32_t at)
{
    for (;;) {
        int32_t length, code_point = code_point_at(run, at, &length);
        if (!is_word_character(code_point))
            return at;
        at += length;
    }
}

/* "dog.The": a sentence ended and the space is missing; "Yahoo.com", "U.S", "3.5" are one word. */
static bool period_ends_sentence(const Run *run, int32_t plain_start, int32_t period)
{
    if (!isupper(byte_at(run, period + 1)) || period - plain_start < 3)
        return false;
    for (int32_t at = plain_start + 1; at < period; at++)
        if (!islower(byte_at(run, at)))
            return false;
    return true;
}

/* Does the mark at `at`, behind the plain part that began at plain_start, hold two parts of one word together? Its length, or 0. */
static int32_t connector_at(const Run *run, int32_t plain_start, int32_t at)
{
    uint8_t mark = byte_at(run, at), before = byte_at(run, at - 1), after = byte_at(run, at + 1);
    int32_t apostrophe = apostrophe_at(run, at);
    if (apostrophe > 0)
        return is_letter_byte(before) && word_character_at(run, at + apostrophe) ? apostrophe : 0;
    if (mark == 0 || mark >= 0x80 || !word_character_at(run, at + 1))
        return 0;
    switch (mark) {
    case '-':
    case '_':
    case '*':
    case '/':
        return 1;
    case '&':
        return isupper(before) && isupper(after) ? 1 : 0;
    case ',':
    case ':':
        return isdigit(before) && isdigit(after) ? 1 : 0;
    case '.':
        return period_ends_sentence(run, plain_start, at) ? 0 : 1;
    default:
        return 0;
    }
}

/* Where a word [start, end) must be cut before its contraction: n't, 's, 'm, 're, 've, 'll, 'd; 0: nowhere. */
static int32_t contraction_start(const Run *run, int32_t start, int32_t end)
{
    static const char *const rests[] = {"s", "m", "d", "re", "ve", "ll"};
    int32_t t = end - 1; /* n't */
    if (end - start > 4 && tolower(run->text[t]) == 't') {
        int32_t apostrophe = byte_at(run, t - 1) == '\'' ? t - 1 : apostrophe_at(run, t - 3) == 3 ? t - 3 : 0;
        if (apostrophe > start + 1 && tolower(run->text[apostrophe - 1]) == 'n')
            return apostrophe - 1;
    }
    for (size_t i = 0; i < sizeof rests / sizeof *rests; i++) {
        int32_t rest = end - (int32_t)strlen(rests[i]);
        if (rest - 1 <= start || !matches_at(run, rest, rests[i]))
            continue;
        if (run->text[rest - 1] == '\'')
            return rest - 1;
        if (rest - 3 > start && apostrophe_at(run, rest - 3) == 3)
            return rest - 3;
    }
    return 0;
}

/* Sorted, without the period. */
static const char *const ABBREVIATIONS[] = {
    "adm",  "al",  "apr", "assn", "aug",    "ave",  "bros", "capt", "cf",  "co",  "col", "corp", "dec", "dept",
    "dr",   "eg",  "est", "etc",  "feb",    "fig",  "figs", "ft",   "gen", "gov", "hon", "ie",   "inc", "jan",
    "jr",   "lt",  "ltd", "maj",  "messrs", "mlle", "mme",  "mr",   "mrs", "ms",  "mt",  "nov",  "oct", "ph",
    "prof", "rep", "rev", "sen",  "sep",    "sept", "sgt",  "sr",   "st",  "viz", "vol", "vs",
};

static bool is_abbreviation(const Run *run, int32_t start, int32_t end)
{
    char word[ABBREVIATION_SIZE];
    int32_t size = end - start;
    if (size <= 0 || size >= ABBREVIATION_SIZE)
        return false;
    for (int32_t i = 0; i < size; i++)
        word[i] = (char)tolower(run->text[start + i]);
    word[size] = '\0';
    for (size_t i = 0; i < sizeof ABBREVIATIONS / sizeof *ABBREVIATIONS; i++)
        if (strcmp(word, ABBREVIATIONS[i]) == 0)
            return true;
    if (strcmp(word, "no") != 0) /* "No. 5", but "No." */
        return false;
    int32_t next = end + 1;
    while (next < run->text_end && run->text[next] == ' ')
        next++;
    return next < run->text_end && isdigit(run->text[next]);
}

/* Does the period at `end` belong to the word [start, end)? Abbreviations, initials, and letters with periods between them (U.S., a.m.). */
static bool period_belongs(const Run *run, int32_t start, int32_t end)
{
    if (byte_at(run, end) != '.' || byte_at(run, end + 1) == '.')
        return false;
    bool letters_apart = isalpha(byte_at(run, start)) != 0; /* X or X.Y.Z */
    for (int32_t at = start; at < end && letters_apart; at++)
        letters_apart = (at - start) % 2 == 0 ? isalpha(run->text[at]) != 0 : run->text[at] == '.';
    if (letters_apart && (end - start > 1 || isupper(run->text[start])))
        return true;
    return is_abbreviation(run, start, end);
}

static void split_word(Run *run)
{
    int32_t start = run->at, plain_start = start, end = plain_end(run, start);
    for (int32_t length; (length = connector_at(run, plain_start, end)) > 0;) {
        plain_start = end + length;
        end = plain_end(run, plain_start);
    }
    if (end - start == 1 && tolower(run->text[start]) == 'w' && byte_at(run, end) == '/') /* "w/" for with */
        end++;
    int32_t contraction = contraction_start(run, start, end);
    if (contraction > 0)
        run_emit(run, contraction);
    else if (period_belongs(run, start, end))
        end++;
    run_emit(run, end);
}

void words_treebank_split(const uint8_t *text, int32_t start, int32_t end, int32_t text_end, WordArray *words)
{
    typedef int32_t (*Match)(const Run *run);
    static const Match whole[] = {match_url, match_email, match_handle, match_entity, match_face, match_apostrophe_word};
    Run run = {.text = text, .start = start, .at = start, .end = end, .text_end = text_end, .words = words};
    while (run.at < end) {
        int32_t length, code_point = code_point_at(&run, run.at, &length), word_end = 0;
        for (size_t i = 0; i < sizeof whole / sizeof *whole && word_end == 0; i++)
            word_end = whole[i](&run);
        if (word_end == 0 && is_word_character(code_point)) {
            split_word(&run);
            continue;
        }
        if (word_end == 0)
            word_end = match_mark_run(&run);
        run_emit(&run, word_end > 0 ? word_end : run.at + length);
    }
}
