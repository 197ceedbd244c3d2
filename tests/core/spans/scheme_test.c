#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/philox.h"
#include "core/spans/labels.h"

enum { TOKEN_LIMIT = 24 };

/* Labels written in one line, parted by spaces. */
typedef struct Labels {
    char text[256];
    const char *items[TOKEN_LIMIT];
    int32_t n;
} Labels;

static void labels_read(Labels *labels, const char *line)
{
    labels->n = 0;
    snprintf(labels->text, sizeof labels->text, "%s", line);
    for (char *rest = labels->text, *word; (word = strtok_r(rest, " ", &rest));) {
        assert_true(labels->n < TOKEN_LIMIT);
        labels->items[labels->n++] = word;
    }
}

/* The labels as ids of names that were taken apart once: those of the later of two equal ones, so that ids are not places. */
static void labels_taken_apart(const Labels *labels, SchemeLabel *names, int32_t *ids)
{
    for (int32_t i = 0; i < labels->n; i++) {
        names[i] = scheme_label(labels->items[i]);
        for (int32_t k = i; k < labels->n; k++)
            if (strcmp(labels->items[i], labels->items[k]) == 0)
                ids[i] = k;
    }
}

/* By texts and by ids it is the same. */
static int32_t violation(LabelScheme scheme, const char *line)
{
    Labels labels;
    SchemeLabel names[TOKEN_LIMIT];
    int32_t ids[TOKEN_LIMIT];
    labels_read(&labels, line);
    labels_taken_apart(&labels, names, ids);
    int32_t found = scheme_first_violation(scheme, labels.items, labels.n);
    assert_int_equal(scheme_first_violation_of_ids(scheme, names, ids, labels.n), found);
    return found;
}

static LabelScheme guess(const char *const *lines)
{
    SchemeGuess guess = {0}, by_ids = {0};
    for (; *lines; lines++) {
        Labels labels;
        SchemeLabel names[TOKEN_LIMIT];
        int32_t ids[TOKEN_LIMIT];
        labels_read(&labels, *lines);
        labels_taken_apart(&labels, names, ids);
        scheme_guess_add(&guess, labels.items, labels.n);
        scheme_guess_add_ids(&by_ids, names, ids, labels.n);
    }
    assert_memory_equal(&guess, &by_ids, sizeof guess);
    return scheme_guess_result(&guess);
}
#define GUESS(...) guess((const char *const[]){__VA_ARGS__, NULL})

static void scheme_names_are_read_in_any_case(void **state)
{
    (void)state;
    LabelScheme scheme;
    for (int i = 0; i < SCHEME_COUNT; i++) {
        assert_true(label_scheme_parse(label_scheme_name((LabelScheme)i), &scheme));
        assert_int_equal(scheme, i);
    }
    assert_true(label_scheme_parse("bio", &scheme));
    assert_int_equal(scheme, SCHEME_IOB2);
    assert_true(label_scheme_parse("ioBes", &scheme));
    assert_int_equal(scheme, SCHEME_IOBES);
    assert_false(label_scheme_parse("IOB", &scheme));
    assert_false(label_scheme_parse("", &scheme));
}

static void iob2_wants_b_at_the_start_of_a_span(void **state)
{
    (void)state;
    assert_int_equal(violation(SCHEME_IOB2, "O B-X I-X B-X B-Y I-Y O"), -1);
    assert_int_equal(violation(SCHEME_IOB2, "O I-X"), 1);
    assert_int_equal(violation(SCHEME_IOB2, "B-X I-Y"), 1);
    assert_int_equal(violation(SCHEME_IOB2, "B-X O E-X"), 2);
    assert_int_equal(violation(SCHEME_IOB2, "B-X Q"), 1);
    assert_int_equal(violation(SCHEME_IOB2, ""), -1);
}

static void iob1_wants_b_only_between_spans_of_one_type(void **state)
{
    (void)state;
    assert_int_equal(violation(SCHEME_IOB1, "I-X B-X B-X I-X O I-Y I-X"), -1);
    assert_int_equal(violation(SCHEME_IOB1, "O B-X"), 1);
    assert_int_equal(violation(SCHEME_IOB1, "I-Y B-X"), 1);
}

static void ioe_schemes_look_at_what_follows(void **state)
{
    (void)state;
    assert_int_equal(violation(SCHEME_IOE1, "I-X E-X I-X O I-Y"), -1);
    assert_int_equal(violation(SCHEME_IOE1, "I-X E-X O"), 1);
    assert_int_equal(violation(SCHEME_IOE1, "E-X I-Y"), 0);
    assert_int_equal(violation(SCHEME_IOE2, "I-X E-X E-X O"), -1);
    assert_int_equal(violation(SCHEME_IOE2, "O I-X O"), 1);
    assert_int_equal(violation(SCHEME_IOE2, "I-X E-Y"), 0);
    assert_int_equal(violation(SCHEME_IOE2, "E-X I-X"), 1);
}

static void iobes_and_bilou_want_spans_opened_and_closed(void **state)
{
    (void)state;
    assert_int_equal(violation(SCHEME_IOBES, "S-X B-X I-X I-X E-X B-Y E-Y O S-Y"), -1);
    assert_int_equal(violation(SCHEME_BILOU, "U-X B-X I-X I-X L-X B-Y L-Y O U-Y"), -1);
    assert_int_equal(violation(SCHEME_IOBES, "O B-X O"), 1);
    assert_int_equal(violation(SCHEME_IOBES, "B-X B-X E-X"), 0);
    assert_int_equal(violation(SCHEME_IOBES, "O I-X E-X"), 1);
    assert_int_equal(violation(SCHEME_IOBES, "S-X E-X"), 1);
    assert_int_equal(violation(SCHEME_IOBES, "B-X E-Y"), 0);
    assert_int_equal(violation(SCHEME_IOBES, "O U-X"), 1);
    assert_int_equal(violation(SCHEME_BILOU, "O S-X"), 1);
    assert_int_equal(violation(SCHEME_BILOU, "B-X E-X"), 1);
}

static void io_knows_only_i(void **state)
{
    (void)state;
    assert_int_equal(violation(SCHEME_IO, "I-X I-X O I-Y"), -1);
    assert_int_equal(violation(SCHEME_IO, "I-X B-X"), 1);
}

static void the_strictest_scheme_that_fits_is_guessed(void **state)
{
    (void)state;
    assert_int_equal(GUESS("U-X O B-Y L-Y"), SCHEME_BILOU);
    assert_int_equal(GUESS("B-Y I-Y L-Y"), SCHEME_BILOU);
    assert_int_equal(GUESS("S-X O B-Y E-Y"), SCHEME_IOBES);
    assert_int_equal(GUESS("S-X"), SCHEME_IOBES);
    assert_int_equal(GUESS("B-X I-X O", "B-Y B-Y"), SCHEME_IOB2);
    assert_int_equal(GUESS("I-X E-X O", "E-Y"), SCHEME_IOE2);
    assert_int_equal(GUESS("I-X I-X O", "I-Y I-X"), SCHEME_IOB1);
    assert_int_equal(GUESS("I-X B-X O", "I-Y I-X"), SCHEME_IOB1);
    assert_int_equal(GUESS("I-X E-X I-X", "I-Y"), SCHEME_IOE1);
}

static void nothing_but_o_is_taken_for_iob2(void **state)
{
    (void)state;
    assert_int_equal(GUESS("O O O", ""), SCHEME_IOB2);
}

static void a_few_slips_do_not_turn_a_corpus_into_another_scheme(void **state)
{
    (void)state;
    assert_int_equal(GUESS("B-X I-X O B-Y", "O I-X O I-Y I-Y O I-X"), SCHEME_IOB2);
    assert_int_equal(GUESS("S-X O B-Y I-Y E-Y", "S-X S-X S-X", "O I-X O"), SCHEME_IOBES);
    assert_int_equal(GUESS("U-X O B-Y I-Y L-Y", "U-X U-X U-X", "O I-X O"), SCHEME_BILOU);
    assert_int_equal(GUESS("B-X I-X O", "what B-X I-X"), SCHEME_IOB2);
}

/* Spans drawn at random over n tokens, often adjacent and of one type. */
static size_t draw_spans(uint32_t round, int32_t n, Span *spans)
{
    PhiloxKey key = philox_key(7, RANDOM_SEARCH, round);
    size_t count = 0;
    for (int32_t position = 0; position < n;) {
        PhiloxBlock block = philox4x32_10(key, (uint32_t)position, 0, 0, 0);
        int32_t length = 1 + (int32_t)(block.word[0] % 3);
        if (block.word[1] % 3 == 0 || position + length > n) {
            position++;
            continue;
        }
        spans[count++] = (Span){.start = position, .end = position + length, .type = (int32_t)(block.word[2] % 2)};
        position += length;
    }
    return count;
}

static void check_same(const SpanArray *found, const Span *spans, size_t count)
{
    assert_int_equal(found->count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(found->items[i].start, spans[i].start);
        assert_int_equal(found->items[i].end, spans[i].end);
        assert_int_equal(found->items[i].type, spans[i].type);
    }
}

static const char *const type_names[] = {"A", "B-C"};

/* Writes spans in a scheme and reads them back in both modes; the labels must be valid in the scheme. */
static void check_round_trip(LabelScheme scheme, const Span *spans, size_t count, int32_t n)
{
    LabelSet *set = label_set_create();
    label_set_add(set, "B-A"); /* so that table and spans agree on the types' indices */
    label_set_add(set, "B-B-C");
    int32_t labels[TOKEN_LIMIT];
    assert_int_equal(spans_to_labels(scheme, spans, count, type_names, n, false, set, labels, NULL), STATUS_OK);
    const char *names[TOKEN_LIMIT];
    for (int32_t i = 0; i < n; i++)
        names[i] = label_set_name(set, labels[i]);
    assert_int_equal(scheme_first_violation(scheme, names, n), -1);

    LabelTable *table = NULL;
    assert_int_equal(label_table_create(&table, set, NULL), STATUS_OK);
    SpanArray found = {0};
    spans_extract_default(table, labels, n, &found);
    check_same(&found, spans, count);
    found.count = 0;
    if (scheme != SCHEME_IOE1) { /* seqeval's strict IOE1 is incomplete: docs/decisions/010 */
        spans_extract_strict(table, scheme, labels, n, &found);
        check_same(&found, spans, count);
    }
    array_free(&found);
    label_table_destroy(&table);
    label_set_destroy(&set);
}

static void conversion_into_every_scheme_but_io_loses_nothing(void **state)
{
    (void)state;
    for (uint32_t round = 0; round < 300; round++) {
        Span spans[TOKEN_LIMIT];
        int32_t n = (int32_t)(round % TOKEN_LIMIT) + 1;
        size_t count = draw_spans(round, n, spans);
        for (int scheme = SCHEME_IOB1; scheme < SCHEME_COUNT; scheme++)
            check_round_trip((LabelScheme)scheme, spans, count, n);
    }
}

static void io_round_trips_where_no_spans_of_one_type_meet(void **state)
{
    (void)state;
    Span spans[] = {{0, 2, 0}, {2, 3, 1}, {4, 5, 1}};
    check_round_trip(SCHEME_IO, spans, 3, 6);
}

static void io_refuses_adjacent_spans_of_one_type_unless_they_may_be_merged(void **state)
{
    (void)state;
    Span spans[] = {{0, 1, 1}, {1, 3, 0}, {3, 4, 0}};
    int32_t labels[5];
    LabelSet *set = label_set_create();
    Diagnostic diagnostic = {0};
    assert_int_equal(spans_to_labels(SCHEME_IO, spans, 3, type_names, 5, false, set, labels, &diagnostic), STATUS_MISMATCH);
    assert_non_null(strstr(diagnostic.message, "type A meet at token 4"));
    assert_int_equal(spans_to_labels(SCHEME_IO, spans, 3, type_names, 5, true, set, labels, NULL), STATUS_OK);
    static const char *const expected[] = {"I-B-C", "I-A", "I-A", "I-A", "O"};
    for (int i = 0; i < 5; i++)
        assert_string_equal(label_set_name(set, labels[i]), expected[i]);
    label_set_destroy(&set);
}

static void spans_that_no_labels_can_hold_are_refused_with_their_place(void **state)
{
    (void)state;
    static const char *const names[] = {"A", ""};
    const struct {
        Span spans[2];
        const char *message;
    } cases[] = {
        {{{0, 2, 0}, {1, 3, 0}}, "overlap at token 2"}, {{{0, 1, 0}, {3, 6, 0}}, "tokens 4 to 6 of a sentence of 5"},
        {{{-1, 1, 0}, {3, 4, 0}}, "span 1 "},           {{{0, 1, 0}, {3, 3, 0}}, "span 2 "},
        {{{0, 1, 0}, {3, 4, 1}}, "empty type"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int32_t labels[5];
        LabelSet *set = label_set_create();
        Diagnostic diagnostic = {0};
        assert_int_equal(spans_to_labels(SCHEME_IOB2, cases[i].spans, 2, names, 5, false, set, labels, &diagnostic),
                         STATUS_INVALID_INPUT);
        assert_non_null(strstr(diagnostic.message, cases[i].message));
        assert_int_equal(label_set_count(set), 0);
        label_set_destroy(&set);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scheme_names_are_read_in_any_case),
        cmocka_unit_test(iob2_wants_b_at_the_start_of_a_span),
        cmocka_unit_test(iob1_wants_b_only_between_spans_of_one_type),
        cmocka_unit_test(ioe_schemes_look_at_what_follows),
        cmocka_unit_test(iobes_and_bilou_want_spans_opened_and_closed),
        cmocka_unit_test(io_knows_only_i),
        cmocka_unit_test(the_strictest_scheme_that_fits_is_guessed),
        cmocka_unit_test(nothing_but_o_is_taken_for_iob2),
        cmocka_unit_test(a_few_slips_do_not_turn_a_corpus_into_another_scheme),
        cmocka_unit_test(conversion_into_every_scheme_but_io_loses_nothing),
        cmocka_unit_test(io_round_trips_where_no_spans_of_one_type_meet),
        cmocka_unit_test(io_refuses_adjacent_spans_of_one_type_unless_they_may_be_merged),
        cmocka_unit_test(spans_that_no_labels_can_hold_are_refused_with_their_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
