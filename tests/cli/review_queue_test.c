/* The review queue's order and bounds, without a model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "cli/review_queue.h"
#include "core/io/file.h"

static int folder_setup(void **state)
{
    const char *base = getenv("TMPDIR");
    char *folder = memory_format("%s/nersweep-review-XXXXXX", base ? base : "/tmp");
    *state = folder;
    return mkdtemp(folder) ? 0 : -1;
}

static int folder_teardown(void **state)
{
    Status status = folder_remove_tree(*state, NULL);
    free(*state);
    return status == STATUS_OK ? 0 : -1;
}

/* One word, one entity, of this confidence. */
static void add(ReviewQueue *queue, int64_t number, float confidence)
{
    Diagnostic diagnostic = {0};
    Prediction prediction = {0};
    Entity entity = {.type = "PER", .score = confidence, .end = 4, .end_byte = 4};
    array_push(&prediction.entities, entity);
    array_push(&prediction.words, ((Word){0, 4}));
    PredictedText predicted = {"Anna", 4, &prediction, NULL, number};
    assert_int_equal(review_queue_add(queue, &predicted, &diagnostic), STATUS_OK);
    prediction_free(&prediction);
}

/* The numbers of the records of the queue's file, in their order. */
static void expect(const char *path, ReviewFormat format, const char *expected)
{
    Diagnostic diagnostic = {0};
    char *bytes;
    size_t size;
    Text numbers = {0};
    Json *json = NULL;
    assert_int_equal(file_read(path, 1 << 20, &bytes, &size, &diagnostic), STATUS_OK);
    text_append(&numbers, "", 0);
    if (format == REVIEW_LABELSTUDIO) {
        assert_int_equal(json_parse(&json, bytes, size, path, &diagnostic), STATUS_OK);
        for (size_t i = 0; i < json_count(json); i++) {
            const Json *result = json_get(json_at(json_get(json_at(json, i), "predictions"), 0), "result");
            text_format(&numbers, "%s ", json_string_value(json_get(json_at(result, 0), "id")));
        }
        json_destroy(&json);
    }
    for (char *line = format == REVIEW_PRODIGY ? bytes : bytes + size; *line; line = strchr(line, '\n') + 1) {
        assert_int_equal(json_parse(&json, line, strcspn(line, "\n"), path, &diagnostic), STATUS_OK);
        text_format(&numbers, "%lld ", (long long)json_integer_value(json_get(json_get(json, "meta"), "number"), -1));
        json_destroy(&json);
    }
    assert_string_equal(numbers.bytes, expected);
    text_free(&numbers);
    free(bytes);
}

static void the_least_sure_come_first_and_equals_in_their_order(void **state)
{
    char *path = path_join(*state, "queue.jsonl");
    Diagnostic diagnostic = {0};
    ReviewQueue *queue = NULL;
    bool sorted = false;
    assert_int_equal(review_queue_begin(&queue, path, REVIEW_PRODIGY, 0, &diagnostic), STATUS_OK);
    add(queue, 1, 0.5F);
    add(queue, 2, 0.25F);
    add(queue, 3, 0.5F);
    add(queue, 4, 0.125F);
    assert_int_equal(review_queue_count(queue), 4);
    assert_false(path_exists(path));
    assert_int_equal(review_queue_commit(&queue, &sorted, &diagnostic), STATUS_OK);
    assert_true(sorted);
    assert_null(queue);
    expect(path, REVIEW_PRODIGY, "4 2 1 3 ");
    free(path);
}

static void more_than_may_be_held_stays_in_the_order_of_the_input(void **state)
{
    static const ReviewFormat formats[] = {REVIEW_PRODIGY, REVIEW_LABELSTUDIO};
    static const char *const expected[] = {"1 2 3 4 ", "1-1 2-1 3-1 4-1 "};
    for (size_t i = 0; i < 2; i++) {
        char *path = path_join(*state, "long.json");
        Diagnostic diagnostic = {0};
        ReviewQueue *queue = NULL;
        bool sorted = true;
        assert_int_equal(review_queue_begin(&queue, path, formats[i], 600, &diagnostic), STATUS_OK);
        for (int64_t number = 1; number <= 4; number++) /* two fit, the third is too much */
            add(queue, number, 1 / (float)number);
        assert_int_equal(review_queue_commit(&queue, &sorted, &diagnostic), STATUS_OK);
        assert_false(sorted);
        expect(path, formats[i], expected[i]);
        free(path);
    }
}

static void an_empty_queue_is_a_file_that_can_be_read(void **state)
{
    char *path = path_join(*state, "empty.json");
    Diagnostic diagnostic = {0};
    ReviewQueue *queue = NULL;
    bool sorted = false;
    assert_int_equal(review_queue_begin(&queue, path, REVIEW_LABELSTUDIO, 0, &diagnostic), STATUS_OK);
    assert_int_equal(review_queue_commit(&queue, &sorted, &diagnostic), STATUS_OK);
    expect(path, REVIEW_LABELSTUDIO, "");
    free(path);
}

static void a_queue_that_is_given_up_leaves_nothing(void **state)
{
    char *path = path_join(*state, "given-up.jsonl");
    Diagnostic diagnostic = {0};
    ReviewQueue *queue = NULL;
    StringArray before = {0}, after = {0};
    assert_int_equal(folder_list(*state, &before, &diagnostic), STATUS_OK);
    assert_int_equal(review_queue_begin(&queue, path, REVIEW_PRODIGY, 1, &diagnostic), STATUS_OK);
    add(queue, 1, 0.5F);
    review_queue_abandon(&queue);
    assert_int_equal(folder_list(*state, &after, &diagnostic), STATUS_OK);
    assert_int_equal(before.count, after.count);
    string_array_free(&before);
    string_array_free(&after);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_sure_come_first_and_equals_in_their_order),
        cmocka_unit_test(more_than_may_be_held_stays_in_the_order_of_the_input),
        cmocka_unit_test(an_empty_queue_is_a_file_that_can_be_read),
        cmocka_unit_test(a_queue_that_is_given_up_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, folder_setup, folder_teardown);
}
