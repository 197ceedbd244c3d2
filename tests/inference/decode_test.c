/* Windows to spans, by hand and at random. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/philox.h"
#include "inference/decode.h"

static const char *const label_names[] = {"B-LOC", "B-PER", "I-LOC", "I-PER", "O"};
enum { B_LOC, B_PER, I_LOC, I_PER, OUT, LABEL_COUNT };

static LabelTable *make_table(void)
{
    LabelTable *table;
    LabelSet *set = label_set_create();
    for (int i = 0; i < LABEL_COUNT; i++)
        assert_int_equal(label_set_add(set, label_names[i]), i);
    assert_int_equal(label_table_create(&table, set, NULL), STATUS_OK);
    label_set_destroy(&set);
    return table;
}

static int setup(void **state)
{
    *state = make_table();
    return 0;
}

static int teardown(void **state)
{
    LabelTable *table = *state;
    label_table_destroy(&table);
    return 0;
}

static WindowDecisions window(int32_t first, int32_t end, int32_t owned_first, int32_t owned_end, const TokenDecision *decisions)
{
    return (WindowDecisions){first, end, owned_first, owned_end, decisions};
}

static void assert_span(const ScoredSpan *scored, int32_t start, int32_t end, const LabelTable *table, const char *type,
                        double score)
{
    assert_int_equal(scored->span.start, start);
    assert_int_equal(scored->span.end, end);
    assert_string_equal(table->type_names[scored->span.type], type);
    assert_true(fabs(scored->score - score) < 1e-6);
}

static void the_first_piece_of_each_token_decides(void **state)
{
    (void)state;
    const int32_t token_index[] = {-1, 4, 4, 5, 7, -1};
    const float logits[6][3] = {{9, 0, 0}, {0, 2, 1}, {9, 0, 0}, {1, 0, 1}, {0, 0, 30}, {9, 0, 0}};
    TokenDecision decisions[6];
    int32_t first, end;
    window_decode(&logits[0][0], token_index, 6, 3, NULL, 8, &first, &end, decisions);
    assert_int_equal(first, 4);
    assert_int_equal(end, 8);
    assert_int_equal(decisions[0].label, 1);
    assert_true(fabs(decisions[0].probability - exp(2) / (exp(0) + exp(2) + exp(1))) < 1e-6);
    assert_int_equal(decisions[1].label, 0);  /* the lowest id on a tie */
    assert_int_equal(decisions[2].label, -1); /* no piece of token 6 */
    assert_int_equal(decisions[3].label, 2);
    assert_true(decisions[3].probability > 0.999f);
}

static void huge_logits_do_not_overflow(void **state)
{
    (void)state;
    const int32_t token_index[] = {0};
    const float logits[] = {-3e38f, 3e38f, 0};
    TokenDecision decision;
    int32_t first, end;
    window_decode(logits, token_index, 1, 3, NULL, 1, &first, &end, &decision);
    assert_int_equal(decision.label, 1);
    assert_true(decision.probability == 1.0f);
}

static void a_window_of_specials_has_no_tokens(void **state)
{
    (void)state;
    const int32_t token_index[] = {-1, -1};
    const float logits[4] = {0};
    TokenDecision none;
    int32_t first = 7, end = 7;
    window_decode(logits, token_index, 2, 2, NULL, 2, &first, &end, &none);
    assert_int_equal(first, 0);
    assert_int_equal(end, 0);
}

static void one_window_gives_the_spans_of_its_labels(void **state)
{
    const LabelTable *table = *state;
    const TokenDecision decisions[] = {{B_PER, 0.5f}, {I_PER, 0.7f}, {OUT, 0.9f}, {I_LOC, 0.4f}, {B_LOC, 0.8f}};
    WindowDecisions only = window(0, 5, 0, 5, decisions);
    ScoredSpanArray spans = {0};
    int32_t labels[5];
    spans_merge_windows(table, &only, 1, 5, MERGE_CONFIDENCE, &spans, labels);
    assert_int_equal(spans.count, 3);
    assert_span(&spans.items[0], 0, 2, table, "PER", 0.6);
    assert_span(&spans.items[1], 3, 4, table, "LOC", 0.4);
    assert_span(&spans.items[2], 4, 5, table, "LOC", 0.8);
    for (int i = 0; i < 5; i++)
        assert_int_equal(labels[i], decisions[i].label);
    array_free(&spans);
}

static void a_token_without_a_decision_parts_a_span_as_o_does(void **state)
{
    const LabelTable *table = *state;
    const TokenDecision decisions[] = {{B_PER, 1}, {-1, 0}, {I_PER, 1}};
    WindowDecisions only = window(1, 4, 1, 4, decisions);
    ScoredSpanArray spans = {0};
    int32_t labels[6];
    spans_merge_windows(table, &only, 1, 6, MERGE_CONFIDENCE, &spans, labels);
    assert_int_equal(spans.count, 2);
    assert_span(&spans.items[0], 1, 2, table, "PER", 1);
    assert_span(&spans.items[1], 3, 4, table, "PER", 1);
    const int32_t expected[] = {OUT, B_PER, OUT, I_PER, OUT, OUT};
    assert_memory_equal(labels, expected, sizeof expected);
    array_free(&spans);
}

static void what_both_windows_see_counts_once_with_the_higher_score(void **state)
{
    const LabelTable *table = *state;
    const TokenDecision left[] = {{OUT, 1}, {OUT, 1}, {B_PER, 0.6f}, {I_PER, 0.6f}, {OUT, 1}};
    const TokenDecision right[] = {{B_PER, 0.9f}, {I_PER, 0.9f}, {OUT, 1}, {B_LOC, 0.7f}};
    WindowDecisions windows[] = {window(0, 5, 0, 3, left), window(2, 6, 3, 6, right)};
    ScoredSpanArray spans = {0};
    spans_merge_windows(table, windows, 2, 6, MERGE_CONFIDENCE, &spans, NULL);
    assert_int_equal(spans.count, 2);
    assert_span(&spans.items[0], 2, 4, table, "PER", 0.9);
    assert_span(&spans.items[1], 5, 6, table, "LOC", 0.7);
    array_free(&spans);
}

/* The left window ends inside the span and is more certain of its half; the right one saw it whole. */
static void a_cut_span_gives_way_to_the_whole_one(void **state)
{
    const LabelTable *table = *state;
    const TokenDecision left[] = {{OUT, 1}, {B_PER, 0.99f}, {I_PER, 0.99f}};
    const TokenDecision right[] = {{B_PER, 0.5f}, {I_PER, 0.5f}, {I_PER, 0.5f}, {OUT, 1}};
    WindowDecisions windows[] = {window(0, 3, 0, 2, left), window(1, 5, 2, 5, right)};
    ScoredSpanArray spans = {0};
    spans_merge_windows(table, windows, 2, 5, MERGE_CONFIDENCE, &spans, NULL);
    assert_int_equal(spans.count, 1);
    assert_span(&spans.items[0], 1, 4, table, "PER", 0.5);
    array_free(&spans);
}

static void of_overlapping_spans_the_more_confident_stays(void **state)
{
    const LabelTable *table = *state;
    const TokenDecision left[] = {{OUT, 1}, {B_PER, 0.8f}, {I_PER, 0.8f}, {OUT, 1}, {OUT, 1}};
    const TokenDecision right[] = {{OUT, 1}, {B_LOC, 0.7f}, {I_LOC, 0.7f}, {OUT, 1}};
    WindowDecisions windows[] = {window(0, 5, 0, 2, left), window(1, 5, 2, 5, right)};
    ScoredSpanArray spans = {0};
    spans_merge_windows(table, windows, 2, 5, MERGE_CONFIDENCE, &spans, NULL);
    assert_int_equal(spans.count, 1);
    assert_span(&spans.items[0], 1, 3, table, "PER", 0.8);
    array_free(&spans);
}

static void of_equally_confident_spans_the_owned_one_stays(void **state)
{
    const LabelTable *table = *state;
    const TokenDecision left[] = {{OUT, 1}, {B_PER, 0.8f}, {I_PER, 0.8f}, {OUT, 1}, {OUT, 1}};
    const TokenDecision right[] = {{OUT, 1}, {B_LOC, 0.8f}, {I_LOC, 0.8f}, {OUT, 1}};
    WindowDecisions windows[] = {window(0, 5, 0, 1, left), window(1, 5, 1, 5, right)};
    ScoredSpanArray spans = {0};
    spans_merge_windows(table, windows, 2, 5, MERGE_CONFIDENCE, &spans, NULL);
    assert_int_equal(spans.count, 1);
    assert_span(&spans.items[0], 2, 4, table, "LOC", 0.8);
    array_free(&spans);
}

static void by_context_the_owner_of_the_middle_decides(void **state)
{
    const LabelTable *table = *state;
    const TokenDecision left[] = {{B_LOC, 0.9f}, {OUT, 1}, {B_PER, 0.99f}, {OUT, 1}};
    const TokenDecision right[] = {{OUT, 0.6f}, {OUT, 0.6f}, {B_LOC, 0.6f}};
    WindowDecisions windows[] = {window(0, 4, 0, 2, left), window(2, 5, 2, 5, right)};
    ScoredSpanArray spans = {0};
    int32_t labels[5];
    spans_merge_windows(table, windows, 2, 5, MERGE_CONTEXT, &spans, labels);
    assert_int_equal(spans.count, 2);
    assert_span(&spans.items[0], 0, 1, table, "LOC", 0.9);
    assert_span(&spans.items[1], 4, 5, table, "LOC", 0.6);
    const int32_t expected[] = {B_LOC, OUT, OUT, OUT, B_LOC};
    assert_memory_equal(labels, expected, sizeof expected);
    array_free(&spans);
}

static void strict_windows_follow_the_scheme(void **state)
{
    const LabelTable *table = *state;
    const TokenDecision decisions[] = {{I_PER, 1}, {OUT, 1}, {B_PER, 1}, {I_PER, 1}};
    WindowDecisions only = window(0, 4, 0, 4, decisions);
    ScoredSpanArray spans = {0};
    spans_merge_windows_strict(table, SCHEME_IOB2, &only, 1, 4, MERGE_CONFIDENCE, &spans, NULL);
    assert_int_equal(spans.count, 1); /* an I- alone is no span */
    assert_span(&spans.items[0], 2, 4, table, "PER", 1);
    array_free(&spans);
}

/* -- properties over random windows */

enum { TOKENS = 40, WINDOWS = 5, ROUNDS = 3000 };

typedef struct Random {
    PhiloxKey key;
    uint32_t count;
} Random;

static int32_t draw(Random *random, int32_t bound)
{
    PhiloxBlock block = philox4x32_10(random->key, random->count++, 0, 0, 0);
    return (int32_t)philox_uniform_below(block.word[0], block.word[1], (uint64_t)bound);
}

/* Windows of 16 tokens, 8 apart, each owning the middle of its overlaps. */
static size_t random_windows(Random *random, int32_t token_count, WindowDecisions *windows,
                             TokenDecision decisions[WINDOWS][TOKENS])
{
    size_t count = 0;
    for (int32_t first = 0; count < WINDOWS; first += 8, count++) {
        int32_t end = first + 16 < token_count ? first + 16 : token_count;
        for (int32_t t = first; t < end; t++)
            decisions[count][t - first] =
                (TokenDecision){draw(random, 12) == 0 ? -1 : draw(random, LABEL_COUNT), (float)(1 + draw(random, 10)) / 10};
        bool last = end == token_count;
        windows[count] = window(first, end, first == 0 ? 0 : first + 4, last ? end : end - 4, decisions[count]);
        if (last)
            return count + 1;
    }
    return count;
}

static bool is_span_of_a_window(const LabelTable *table, const WindowDecisions *one, const ScoredSpan *scored)
{
    int32_t labels[TOKENS];
    SpanArray spans = {0};
    bool found = false;
    for (int32_t t = one->token_first; t < one->token_end; t++)
        labels[t - one->token_first] =
            one->decisions[t - one->token_first].label < 0 ? OUT : one->decisions[t - one->token_first].label;
    spans_extract_default(table, labels, one->token_end - one->token_first, &spans);
    for (size_t i = 0; i < spans.count; i++)
        found |= spans.items[i].start + one->token_first == scored->span.start &&
                 spans.items[i].end + one->token_first == scored->span.end && spans.items[i].type == scored->span.type;
    array_free(&spans);
    return found;
}

static void merged_spans_are_sorted_never_overlap_and_each_is_one_windows_own(void **state)
{
    const LabelTable *table = *state;
    Random random = {.key = philox_key(1, RANDOM_BOOTSTRAP, 0)};
    for (int round = 0; round < ROUNDS; round++) {
        WindowDecisions windows[WINDOWS];
        TokenDecision decisions[WINDOWS][TOKENS];
        ScoredSpanArray spans = {0};
        int32_t token_count = 1 + draw(&random, TOKENS), labels[TOKENS];
        size_t count = random_windows(&random, token_count, windows, decisions);
        MergeRule rule = round % 2 ? MERGE_CONTEXT : MERGE_CONFIDENCE;
        spans_merge_windows(table, windows, count, token_count, rule, &spans, labels);
        for (size_t i = 0; i < spans.count; i++) {
            bool found = false;
            assert_true(spans.items[i].span.start < spans.items[i].span.end);
            assert_true(i == 0 || spans.items[i - 1].span.end <= spans.items[i].span.start);
            for (size_t w = 0; w < count; w++)
                found |= is_span_of_a_window(table, &windows[w], &spans.items[i]);
            assert_true(found);
        }
        for (int32_t t = 0; t < token_count; t++)
            assert_true(labels[t] >= 0 && labels[t] < LABEL_COUNT);
        array_free(&spans);
    }
}

static void one_random_window_is_decoded_as_its_labels(void **state)
{
    const LabelTable *table = *state;
    Random random = {.key = philox_key(2, RANDOM_BOOTSTRAP, 0)};
    for (int round = 0; round < ROUNDS; round++) {
        WindowDecisions windows[WINDOWS];
        TokenDecision decisions[WINDOWS][TOKENS];
        ScoredSpanArray spans = {0};
        SpanArray expected = {0};
        int32_t token_count = 1 + draw(&random, 16), labels[TOKENS];
        assert_int_equal(random_windows(&random, token_count, windows, decisions), 1);
        spans_merge_windows(table, windows, 1, token_count, round % 2 ? MERGE_CONTEXT : MERGE_CONFIDENCE, &spans, labels);
        spans_extract_default(table, labels, token_count, &expected);
        assert_int_equal(spans.count, expected.count);
        for (size_t i = 0; i < spans.count; i++)
            assert_memory_equal(&spans.items[i].span, &expected.items[i], sizeof(Span));
        array_free(&spans);
        array_free(&expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_piece_of_each_token_decides),
        cmocka_unit_test(huge_logits_do_not_overflow),
        cmocka_unit_test(a_window_of_specials_has_no_tokens),
        cmocka_unit_test(one_window_gives_the_spans_of_its_labels),
        cmocka_unit_test(a_token_without_a_decision_parts_a_span_as_o_does),
        cmocka_unit_test(what_both_windows_see_counts_once_with_the_higher_score),
        cmocka_unit_test(a_cut_span_gives_way_to_the_whole_one),
        cmocka_unit_test(of_overlapping_spans_the_more_confident_stays),
        cmocka_unit_test(of_equally_confident_spans_the_owned_one_stays),
        cmocka_unit_test(by_context_the_owner_of_the_middle_decides),
        cmocka_unit_test(strict_windows_follow_the_scheme),
        cmocka_unit_test(merged_spans_are_sorted_never_overlap_and_each_is_one_windows_own),
        cmocka_unit_test(one_random_window_is_decoded_as_its_labels),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
