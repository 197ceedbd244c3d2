#include "shard/words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { LINE_LIMIT = 1 << 16 };

/* Words joined by '|'. */
static char *split(WordsRule rule, const char *text)
{
    WordArray words = {0};
    Text joined = {0};
    Diagnostic diagnostic = {0};
    if (words_split(rule, text, strlen(text), &words, &diagnostic) != STATUS_OK)
        fail_msg("%s", diagnostic.message);
    int32_t last = 0;
    for (size_t i = 0; i < words.count; i++) {
        assert_true(words.items[i].start >= last && words.items[i].end > words.items[i].start);
        last = words.items[i].end;
        text_append(&joined, "|", i > 0);
        text_append(&joined, text + words.items[i].start, (size_t)(words.items[i].end - words.items[i].start));
    }
    array_free(&words);
    return text_take(&joined);
}

static void expect(WordsRule rule, const char *text, const char *expected)
{
    char *got = split(rule, text);
    assert_string_equal(got, expected);
    free(got);
}

static void rules_have_names(void **state)
{
    (void)state;
    for (int rule = 0; rule < WORDS_COUNT; rule++) {
        WordsRule parsed = WORDS_COUNT;
        assert_true(words_rule_parse(words_rule_name((WordsRule)rule), &parsed));
        assert_int_equal(parsed, rule);
    }
    WordsRule untouched = WORDS_BERT;
    assert_false(words_rule_parse("corpus", &untouched));
    assert_int_equal(untouched, WORDS_BERT);
}

static void white_space_and_zero_width_characters_part_words(void **state)
{
    (void)state;
    static const char text[] = " a\tb\nc\xC2\xA0"
                               "d\xE3\x80\x80"
                               "e\xE2\x80\x8B"
                               "f\xEF\xBB\xBF"
                               "g.\x01";
    expect(WORDS_WHITESPACE, text, "a|b|c|d|e|f|g.");
    expect(WORDS_BERT, text, "a|b|c|d|e|f|g|.");
    expect(WORDS_TREEBANK, text, "a|b|c|d|e|f|g|.");
    for (int rule = 0; rule < WORDS_COUNT; rule++) {
        expect((WordsRule)rule, "", "");
        expect((WordsRule)rule, " \n\xE2\x80\x8B ", "");
        expect((WordsRule)rule, "\xEE\x80\x80", "\xEE\x80\x80"); /* a private-use character is seen */
    }
}

static void the_bert_rule_splits_at_all_punctuation_and_ideographs(void **state)
{
    (void)state;
    expect(WORDS_BERT, "U.S. don't $5 x_y", "U|.|S|.|don|'|t|$|5|x|_|y");
    expect(WORDS_BERT, "\xE2\x80\x9Cna\xC3\xAFve\xE2\x80\x9D\xE2\x80\x94so",
           "\xE2\x80\x9C|na\xC3\xAFve|\xE2\x80\x9D|\xE2\x80\x94|so");
    expect(WORDS_BERT, "a\xE4\xB8\xAD\xE6\x96\x87", "a|\xE4\xB8\xAD|\xE6\x96\x87");
}

static void treebank_splits_sentence_marks_quotes_and_brackets(void **state)
{
    (void)state;
    expect(WORDS_TREEBANK, "\"Well,\" she said (softly); yes: no!", "\"|Well|,|\"|she|said|(|softly|)|;|yes|:|no|!");
    expect(WORDS_TREEBANK, "\xE2\x80\x9CYes.\xE2\x80\x9D \xE2\x80\x98No?\xE2\x80\x99",
           "\xE2\x80\x9C|Yes|.|\xE2\x80\x9D|\xE2\x80\x98|No|?|\xE2\x80\x99");
    expect(WORDS_TREEBANK, "Wait... what?! No....", "Wait|...|what|?!|No|....");
    expect(WORDS_TREEBANK, "so--he\xE2\x80\x94left\xE2\x80\xA6", "so|--|he|\xE2\x80\x94|left|\xE2\x80\xA6");
    expect(WORDS_TREEBANK, "_very_ good", "_|very|_|good");
}

static void treebank_keeps_abbreviations_initials_and_numbers(void **state)
{
    (void)state;
    expect(WORDS_TREEBANK, "Mr. J. Smith of the U.S. came.", "Mr.|J.|Smith|of|the|U.S.|came|.");
    expect(WORDS_TREEBANK, "at 7:30 p.m. on Sept. 3, 1,000.50 and 1/2.", "at|7:30|p.m.|on|Sept.|3|,|1,000.50|and|1/2|.");
    expect(WORDS_TREEBANK, "It is No. 5. No.", "It|is|No.|5|.|No|.");
    expect(WORDS_TREEBANK, "the dog.The cat, weather.com.", "the|dog|.|The|cat|,|weather.com|.");
    expect(WORDS_TREEBANK, "$5 is 30% of AT&T", "$|5|is|30|%|of|AT&T");
}

static void treebank_splits_contractions_and_keeps_hyphens(void **state)
{
    (void)state;
    expect(WORDS_TREEBANK, "I'm sure John's dog can't; they'll say he'd've WON'T",
           "I|'m|sure|John|'s|dog|ca|n't|;|they|'ll|say|he'd|'ve|WO|N'T");
    expect(WORDS_TREEBANK, "it\xE2\x80\x99s not don\xE2\x80\x99t", "it|\xE2\x80\x99s|not|do|n\xE2\x80\x99t");
    expect(WORDS_TREEBANK, "five o'clock O'Hara 'em 'tis the '90s boys'", "five|o'clock|O'Hara|'em|'tis|the|'90s|boys|'");
    expect(WORDS_TREEBANK, "a well-known, half-past-six thing-", "a|well-known|,|half-past-six|thing|-");
    expect(WORDS_TREEBANK, "'s and n't n\xE2\x80\x99t", "'s|and|n't|n\xE2\x80\x99t");
}

static void treebank_keeps_what_the_net_writes(void **state)
{
    (void)state;
    expect(WORDS_TREEBANK, "see http://t.co/a?b=c, (www.x.org) or https://y.z/(a).",
           "see|http://t.co/a?b=c|,|(|www.x.org|)|or|https://y.z/(a)|.");
    expect(WORDS_TREEBANK, "mail a.b+c@d-e.org! @some_one: #Tag2 #", "mail|a.b+c@d-e.org|!|@some_one|:|#Tag2|#");
    expect(WORDS_TREEBANK, "ok :) ;-) :D <3 a:b 3:1 &amp; &#39; R&D", "ok|:)|;-)|:D|<3|a|:|b|3:1|&amp;|&#39;|R&D");
    expect(WORDS_TREEBANK, "w/ w/me", "w/|w/me");
}

static void words_are_appended_and_an_invalid_text_adds_none(void **state)
{
    (void)state;
    for (int rule = 0; rule < WORDS_COUNT; rule++) {
        WordArray words = {0};
        Diagnostic diagnostic = {0};
        assert_int_equal(words_split((WordsRule)rule, "a b", 3, &words, &diagnostic), STATUS_OK);
        assert_int_equal(words_split((WordsRule)rule, "a b \xC3", 5, &words, &diagnostic), STATUS_INVALID_INPUT);
        assert_non_null(strstr(diagnostic.message, "byte offset 4"));
        assert_int_equal(words.count, 2);
        array_free(&words);
    }
}

/* Every byte pair as the middle of a text: nothing is read beyond it (the sanitizers watch) and no byte that is seen gets lost. */
static void no_visible_byte_is_lost_whatever_stands_together(void **state)
{
    (void)state;
    for (int first = 0x21; first < 0x7F; first++) {
        for (int second = 0x21; second < 0x7F; second++) {
            char text[6] = {(char)first, (char)second, 'n', '\'', (char)second, 0};
            for (int rule = 0; rule < WORDS_COUNT; rule++) {
                WordArray words = {0};
                char *exact = memory_copy_bytes(text, 5);
                int32_t seen = 0;
                assert_int_equal(words_split((WordsRule)rule, exact, 5, &words, NULL), STATUS_OK);
                for (size_t i = 0; i < words.count; i++) {
                    assert_int_equal(words.items[i].start, seen);
                    seen = words.items[i].end;
                }
                assert_int_equal(seen, 5);
                free(exact);
                array_free(&words);
            }
        }
    }
}

#define ADD(agreement, ...) add(agreement, (const char *const[]){__VA_ARGS__, NULL})
static void add(WordsAgreement *agreement, const char *const *tokens)
{
    int32_t n = 0;
    while (tokens[n])
        n++;
    words_agreement_add(agreement, tokens, n);
}

static void agreement_counts_tokens_that_come_back(void **state)
{
    (void)state;
    WordsAgreement agreement = {0};
    ADD(&agreement, "He", "did", "n't", "pay", "$", "5", "(", "\"", "much", "\"", ")", ".");
    assert_int_equal(agreement.tokens, 12);
    assert_int_equal(agreement.agreed[WORDS_TREEBANK], 12);
    assert_int_equal(agreement.agreed[WORDS_BERT], 10);      /* not did and n't */
    assert_int_equal(agreement.agreed[WORDS_WHITESPACE], 2); /* He and pay */
    ADD(&agreement, "two words", "\xFF");                    /* a text that is not UTF-8 agrees with nothing */
    assert_int_equal(agreement.tokens, 14);
    assert_int_equal(agreement.agreed[WORDS_TREEBANK], 12);
    words_agreement_add(&agreement, NULL, 0);
    assert_int_equal(agreement.tokens, 14);
}

static void the_rule_that_agrees_best_is_chosen(void **state)
{
    (void)state;
    WordsAgreement none = {0}, biomedical = {0}, split_at_spaces = {0}, prose = {0};
    assert_int_equal(words_agreement_best(&none), WORDS_TREEBANK);
    ADD(&biomedical, "BRCA1", "-", "related", "p53", "/", "Rb", "loss", ".");
    assert_int_equal(words_agreement_best(&biomedical), WORDS_BERT);
    ADD(&split_at_spaces, "it,", "don't", "say.");
    assert_int_equal(words_agreement_best(&split_at_spaces), WORDS_WHITESPACE);
    ADD(&prose, "Mr.", "Smith", "did", "n't", "go", ".");
    assert_int_equal(words_agreement_best(&prose), WORDS_TREEBANK);
}

/* The example corpus is set like this rule; a change for the worse shows. */
static void treebank_agrees_with_the_example_corpus(void **state)
{
    (void)state;
    FILE *file = fopen(NERSWEEP_SOURCE_DIR "/examples/train.conll", "r");
    assert_non_null(file);
    WordsAgreement agreement = {0};
    StringArray tokens = {0};
    char line[LINE_LIMIT];
    bool more = true;
    while (more) {
        more = fgets(line, sizeof line, file) != NULL;
        size_t size = more ? strcspn(line, "\t \r\n") : 0;
        if (size > 0) {
            array_push(&tokens, memory_copy_bytes(line, size));
            continue;
        }
        words_agreement_add(&agreement, (const char *const *)tokens.items, (int32_t)tokens.count);
        for (size_t i = 0; i < tokens.count; i++)
            free(tokens.items[i]);
        tokens.count = 0;
    }
    array_free(&tokens);
    fclose(file);
    assert_true(agreement.tokens > 1000);
    assert_true(agreement.agreed[WORDS_TREEBANK] * 1000 >= agreement.tokens * 995);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_have_names),
        cmocka_unit_test(white_space_and_zero_width_characters_part_words),
        cmocka_unit_test(the_bert_rule_splits_at_all_punctuation_and_ideographs),
        cmocka_unit_test(treebank_splits_sentence_marks_quotes_and_brackets),
        cmocka_unit_test(treebank_keeps_abbreviations_initials_and_numbers),
        cmocka_unit_test(treebank_splits_contractions_and_keeps_hyphens),
        cmocka_unit_test(treebank_keeps_what_the_net_writes),
        cmocka_unit_test(words_are_appended_and_an_invalid_text_adds_none),
        cmocka_unit_test(no_visible_byte_is_lost_whatever_stands_together),
        cmocka_unit_test(agreement_counts_tokens_that_come_back),
        cmocka_unit_test(the_rule_that_agrees_best_is_chosen),
        cmocka_unit_test(treebank_agrees_with_the_example_corpus),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
