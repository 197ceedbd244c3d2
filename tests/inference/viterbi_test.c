/* The best allowed sequence of labels, against trying all of them. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/philox.h"
#include "inference/decode.h"

enum { TOKENS = 4, LABELS_LIMIT = 8 };

static LabelTable *make_table(const char *const *names, int32_t count)
{
    LabelTable *table;
    LabelSet *set = label_set_create();
    for (int32_t i = 0; i < count; i++)
        assert_int_equal(label_set_add(set, names[i]), i);
    assert_int_equal(label_table_create(&table, set, NULL), STATUS_OK);
    label_set_destroy(&set);
    return table;
}

static double uniform(PhiloxKey key, uint32_t *count)
{
    PhiloxBlock block = philox4x32_10(key, (*count)++, 0, 0, 0);
    return (double)block.word[0] / 4294967296.0;
}

/* Sum of the best sequence that breaks nothing, by trying all; -INFINITY: there is none. */
static double best_by_trying(const char *const *names, int32_t count, LabelScheme scheme, const float *rows, int32_t n)
{
    int64_t total = 1;
    double best = -INFINITY;
    for (int32_t t = 0; t < n; t++)
        total *= count;
    for (int64_t code = 0; code < total; code++) {
        const char *labels[TOKENS];
        double sum = 0;
        int64_t rest = code;
        for (int32_t t = 0; t < n; t++, rest /= count) {
            labels[t] = names[rest % count];
            sum += (double)rows[t * count + rest % count];
        }
        if (sum > best && scheme_first_violation(scheme, labels, n) < 0)
            best = sum;
    }
    return best;
}

static void check_scheme(const char *const *names, int32_t count, LabelScheme scheme, uint32_t seed)
{
    LabelTable *table = make_table(names, count);
    Transitions *transitions = transitions_create(table, count, scheme);
    PhiloxKey key = philox_key(seed, RANDOM_BOOTSTRAP, 0);
    uint32_t drawn = 0;
    for (int round = 0; round < 300; round++) {
        float rows[TOKENS * LABELS_LIMIT];
        int32_t n = 1 + round % TOKENS, labels[TOKENS];
        for (int32_t i = 0; i < n * count; i++)
            rows[i] = (float)log(0.01 + uniform(key, &drawn));
        transitions_decode(transitions, rows, n, true, true, labels);
        const char *chosen[TOKENS];
        double sum = 0;
        for (int32_t t = 0; t < n; t++) {
            chosen[t] = names[labels[t]];
            sum += (double)rows[t * count + labels[t]];
        }
        assert_int_equal(scheme_first_violation(scheme, chosen, n), -1);
        assert_true(fabs(sum - best_by_trying(names, count, scheme, rows, n)) < 1e-9);
    }
    transitions_destroy(&transitions);
    label_table_destroy(&table);
}

static void the_best_allowed_sequence_is_found_in_every_scheme(void **state)
{
    (void)state;
    static const char *const iob[] = {"B-A", "B-B", "I-A", "I-B", "O"};
    static const char *const ioe[] = {"E-A", "E-B", "I-A", "I-B", "O"};
    static const char *const iobes[] = {"B-A", "E-A", "I-A", "I-B", "O", "S-A", "S-B"};
    static const char *const bilou[] = {"B-A", "I-A", "L-A", "L-B", "O", "U-A"};
    check_scheme(iob, 5, SCHEME_IOB2, 1);
    check_scheme(iob, 5, SCHEME_IOB1, 2);
    check_scheme(ioe, 5, SCHEME_IOE1, 3);
    check_scheme(ioe, 5, SCHEME_IOE2, 4);
    check_scheme(iobes, 7, SCHEME_IOBES, 5);
    check_scheme(bilou, 6, SCHEME_BILOU, 6);
    check_scheme(iob + 2, 3, SCHEME_IO, 7);
}

static void a_window_inside_a_sequence_may_begin_and_end_inside_a_span(void **state)
{
    (void)state;
    static const char *const names[] = {"B-A", "E-A", "I-A", "O", "S-A"};
    LabelTable *table = make_table(names, 5);
    Transitions *transitions = transitions_create(table, 5, SCHEME_IOBES);
    const float rows[] = {-5, -5, -0.1f, -3, -5, -5, -5, -0.1f, -3, -5};
    int32_t labels[2];
    transitions_decode(transitions, rows, 2, false, false, labels);
    assert_int_equal(labels[0], 2);
    assert_int_equal(labels[1], 2);
    transitions_decode(transitions, rows, 2, true, false, labels); /* a span must be opened first: O O costs 6, B I 5.1 */
    assert_int_equal(labels[0], 0);
    assert_int_equal(labels[1], 2);
    transitions_decode(transitions, rows, 2, false, true, labels);
    assert_int_equal(labels[0], 2);
    assert_int_equal(labels[1], 1);
    transitions_destroy(&transitions);
    label_table_destroy(&table);
}

static void labels_of_another_scheme_are_never_used_and_without_any_path_argmax_is(void **state)
{
    (void)state;
    static const char *const names[] = {"B-A", "E-A", "I-A"};
    LabelTable *table = make_table(names, 3);
    Transitions *transitions = transitions_create(table, 3, SCHEME_IOB2);
    const float rows[] = {-2, -0.1f, -4};
    int32_t labels[2];
    transitions_decode(transitions, rows, 1, true, true, labels);
    assert_int_equal(labels[0], 0);
    transitions_destroy(&transitions);
    transitions = transitions_create(table, 3, SCHEME_IOBES); /* neither O nor S: one token alone can have no label */
    transitions_decode(transitions, rows, 1, true, true, labels);
    assert_int_equal(labels[0], 1);
    transitions_destroy(&transitions);
    label_table_destroy(&table);
}

static void equally_probable_sequences_give_the_lower_ids(void **state)
{
    (void)state;
    static const char *const names[] = {"B-A", "I-A", "O"};
    LabelTable *table = make_table(names, 3);
    Transitions *transitions = transitions_create(table, 3, SCHEME_IOB2);
    const float rows[6] = {0};
    int32_t labels[2];
    transitions_decode(transitions, rows, 2, true, true, labels);
    assert_int_equal(labels[0], 0);
    assert_int_equal(labels[1], 0);
    transitions_destroy(&transitions);
    label_table_destroy(&table);
}

/* Tokens 4, 5 and 7 of a sequence of 8; token 6 has no piece and parts spans. */
static void a_window_is_decoded_run_by_run(void **state)
{
    (void)state;
    static const char *const names[] = {"B-A", "I-A", "O"};
    LabelTable *table = make_table(names, 3);
    Transitions *transitions = transitions_create(table, 3, SCHEME_IOB2);
    const int32_t token_index[] = {-1, 4, 4, 5, 7, -1};
    const float logits[6][3] = {{9, 0, 0}, {0, 4, 1}, {9, 0, 0}, {0, 4, 1}, {1, 4, 0}, {9, 0, 0}};
    TokenDecision decisions[6];
    int32_t first, end;
    window_decode(&logits[0][0], token_index, 6, 3, transitions, 8, &first, &end, decisions);
    assert_int_equal(first, 4);
    assert_int_equal(end, 8);
    assert_int_equal(decisions[0].label, 1); /* the window does not begin the sequence: I- may go on with what came before */
    assert_int_equal(decisions[1].label, 1);
    assert_int_equal(decisions[2].label, -1);
    assert_int_equal(decisions[3].label, 0); /* behind the gap I- is forbidden: B- is its best */
    double sum = exp(1) + exp(4) + exp(0);
    assert_true(fabs((double)decisions[3].probability - exp(1) / sum) < 1e-6);
    assert_true(fabs((double)decisions[0].probability - exp(4) / (exp(0) + exp(4) + exp(1))) < 1e-6);
    transitions_destroy(&transitions);
    label_table_destroy(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_allowed_sequence_is_found_in_every_scheme),
        cmocka_unit_test(a_window_inside_a_sequence_may_begin_and_end_inside_a_span),
        cmocka_unit_test(labels_of_another_scheme_are_never_used_and_without_any_path_argmax_is),
        cmocka_unit_test(equally_probable_sequences_give_the_lower_ids),
        cmocka_unit_test(a_window_is_decoded_run_by_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
