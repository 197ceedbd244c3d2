#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/spans/labels.h"

static void check_split(const char *label, LabelPrefix prefix, const char *type)
{
    LabelParts parts;
    assert_true(label_split(label, &parts));
    assert_int_equal(parts.prefix, prefix);
    assert_string_equal(parts.type, type);
}

static void a_label_is_split_at_its_first_hyphen(void **state)
{
    (void)state;
    check_split("O", PREFIX_O, "");
    check_split("B-PER", PREFIX_B, "PER");
    check_split("I-creative-work", PREFIX_I, "creative-work");
    check_split("B--x", PREFIX_B, "-x");
}

static void l_and_u_are_read_as_e_and_s(void **state)
{
    (void)state;
    check_split("E-X", PREFIX_E, "X");
    check_split("L-X", PREFIX_E, "X");
    check_split("S-X", PREFIX_S, "X");
    check_split("U-X", PREFIX_S, "X");
}

static void what_is_no_label_is_not_split(void **state)
{
    (void)state;
    static const char *const texts[] = {"",      "B",  "B-",   "I",     "PER",  "b-PER",  "o",
                                        "O-PER", "OO", "BPER", "X-PER", "-PER", " B-PER", "0"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        LabelParts parts;
        assert_false(label_split(texts[i], &parts));
    }
}

static void a_label_keeps_its_id_when_added_again(void **state)
{
    (void)state;
    LabelSet *set = label_set_create();
    assert_int_equal(label_set_add(set, "O"), 0);
    assert_int_equal(label_set_add(set, "B-PER"), 1);
    assert_int_equal(label_set_add(set, "O"), 0);
    assert_int_equal(label_set_count(set), 2);
    assert_int_equal(label_set_find(set, "B-PER"), 1);
    assert_int_equal(label_set_find(set, "I-PER"), -1);
    label_set_destroy(&set);
    assert_null(set);
}

static void thousands_of_labels_are_found_again_after_growing_sorting_and_copying(void **state)
{
    (void)state;
    enum { COUNT = 5000 };
    LabelSet *set = label_set_create();
    char name[32];
    for (int i = 0; i < COUNT; i++) {
        snprintf(name, sizeof name, "B-%d", (i * 7919) % COUNT);
        assert_int_equal(label_set_add(set, name), i);
    }
    int32_t *map = calloc(COUNT, sizeof *map);
    label_set_sort(set, map);
    LabelSet *copy = label_set_copy(set);
    label_set_destroy(&set);
    for (int i = 0; i < COUNT; i++) {
        snprintf(name, sizeof name, "B-%d", (i * 7919) % COUNT);
        assert_int_equal(label_set_find(copy, name), map[i]);
        assert_string_equal(label_set_name(copy, map[i]), name);
    }
    for (int i = 1; i < COUNT; i++)
        assert_true(strcmp(label_set_name(copy, i - 1), label_set_name(copy, i)) < 0);
    free(map);
    label_set_destroy(&copy);
}

static void labels_are_sorted_by_bytes(void **state)
{
    (void)state;
    LabelSet *set = label_set_create();
    static const char *const names[] = {"O", "I-b", "B-\xC3\xA9", "B-z", "B-A"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        label_set_add(set, names[i]);
    label_set_sort(set, NULL);
    static const char *const sorted[] = {"B-A", "B-z", "B-\xC3\xA9", "I-b", "O"};
    for (int32_t id = 0; id < 5; id++)
        assert_string_equal(label_set_name(set, id), sorted[id]);
    label_set_sort(set, NULL);
    assert_string_equal(label_set_name(set, 4), "O");
    label_set_destroy(&set);
}

static void a_table_takes_each_label_apart_and_sorts_the_types(void **state)
{
    (void)state;
    LabelSet *set = label_set_create();
    static const char *const names[] = {"O", "B-PER", "L-LOC", "I-PER", "U-LOC"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        label_set_add(set, names[i]);
    LabelTable *table = NULL;
    assert_int_equal(label_table_create(&table, set, NULL), STATUS_OK);
    assert_int_equal(table->label_count, 5);
    assert_int_equal(table->type_count, 2);
    assert_string_equal(table->type_names[0], "LOC");
    assert_string_equal(table->type_names[1], "PER");
    static const int32_t types[] = {-1, 1, 0, 1, 0};
    static const LabelPrefix prefixes[] = {PREFIX_O, PREFIX_B, PREFIX_E, PREFIX_I, PREFIX_S};
    for (int i = 0; i < 5; i++) {
        assert_int_equal(table->types[i], types[i]);
        assert_int_equal(table->prefixes[i], prefixes[i]);
    }
    label_table_destroy(&table);
    assert_null(table);
    label_set_destroy(&set);
}

static void a_table_of_a_set_without_types_is_empty(void **state)
{
    (void)state;
    LabelSet *set = label_set_create();
    LabelTable *table = NULL;
    assert_int_equal(label_table_create(&table, set, NULL), STATUS_OK);
    assert_int_equal(table->type_count, 0);
    SpanArray spans = {0};
    spans_extract_default(table, NULL, 0, &spans);
    spans_extract_strict(table, SCHEME_IOB2, NULL, 0, &spans);
    assert_int_equal(spans.count, 0);
    label_table_destroy(&table);
    label_set_destroy(&set);
}

static void a_table_refuses_what_is_no_label_and_names_it(void **state)
{
    (void)state;
    LabelSet *set = label_set_create();
    label_set_add(set, "O");
    label_set_add(set, "Q-PER");
    LabelTable *table = NULL;
    Diagnostic diagnostic = {0};
    assert_int_equal(label_table_create(&table, set, &diagnostic), STATUS_INVALID_INPUT);
    assert_null(table);
    assert_non_null(strstr(diagnostic.message, "\"Q-PER\""));
    label_set_destroy(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_label_is_split_at_its_first_hyphen),
        cmocka_unit_test(l_and_u_are_read_as_e_and_s),
        cmocka_unit_test(what_is_no_label_is_not_split),
        cmocka_unit_test(a_label_keeps_its_id_when_added_again),
        cmocka_unit_test(thousands_of_labels_are_found_again_after_growing_sorting_and_copying),
        cmocka_unit_test(labels_are_sorted_by_bytes),
        cmocka_unit_test(a_table_takes_each_label_apart_and_sorts_the_types),
        cmocka_unit_test(a_table_of_a_set_without_types_is_empty),
        cmocka_unit_test(a_table_refuses_what_is_no_label_and_names_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
