#include "work.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/io/hash.h"

typedef struct Reading {
    const ShardStore *store;
    int64_t start;
    uint64_t sum; /* of the checksums of all records: does not depend on the order */
    Status status;
} Reading;

static void *read_from(void *argument)
{
    Reading *reading = argument;
    Diagnostic diagnostic = {0};
    Arena *arena = arena_create(1 << 12);
    int64_t windows = shard_window_count(reading->store, 0), sequences = shard_sequence_count(reading->store, 0);
    for (int64_t i = 0; i < windows && reading->status == STATUS_OK; i++) {
        ShardWindow window;
        reading->status = shard_window_read(reading->store, 0, (i + reading->start) % windows, arena, &window, &diagnostic);
        if (reading->status == STATUS_OK)
            reading->sum += checksum64(window.ids, 3 * sizeof *window.ids * (size_t)window.length);
    }
    for (int64_t i = 0; i < sequences && reading->status == STATUS_OK; i++) {
        ShardSequence sequence;
        reading->status = shard_sequence_read(reading->store, 0, (i + reading->start) % sequences, arena, &sequence, &diagnostic);
        if (reading->status == STATUS_OK)
            reading->sum += checksum64(sequence.gold, sizeof *sequence.gold * (size_t)sequence.token_count);
    }
    arena_destroy(&arena);
    return NULL;
}

static void many_threads_read_one_store(void **state)
{
    enum { THREADS = 4 };
    char *train = memory_format("%s/examples/train.conll", NERSWEEP_SOURCE_DIR);
    ShardStore *store = store_of(*state, train, NULL);
    Reading alone = {.store = store}, readings[THREADS];
    pthread_t threads[THREADS];
    read_from(&alone);
    assert_int_equal(alone.status, STATUS_OK);
    for (int i = 0; i < THREADS; i++) {
        readings[i] = (Reading){.store = store, .start = i * 37};
        assert_int_equal(pthread_create(&threads[i], NULL, read_from, &readings[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(readings[i].status, STATUS_OK);
        assert_int_equal(readings[i].sum, alone.sum);
    }
    shard_store_close(&store);
    free(train);
}

static void any_number_of_threads_gives_the_same_bytes(void **state)
{
    Work *work = work_new(*state);
    work_add_sentences(work, "train", "a.conll", 1, 1500); /* several batches */
    work_add_sentences(work, "train", "b.conll", 2, 30);
    work_add_sentences(work, "dev", "dev.conll", 3, 300);
    for (int unit = UNIT_SENTENCE; unit <= UNIT_DOCUMENT; unit++) {
        work->build.options.unit = (ShardUnit)unit;
        uint64_t first = 0;
        for (int32_t threads = 1; threads <= 8; threads += threads < 3 ? 1 : 5) {
            char *name = memory_format("unit%d-threads%d", unit, threads);
            work->build.threads = threads;
            must(work_build(work, name), &work->diagnostic);
            uint64_t records = records_of(work, name);
            assert_true(threads == 1 || records == first);
            first = records;
            free(name);
        }
    }
    work_free(work);
}

/* A label that is none, then, batches later, a line that cannot be read, and another bad label. */
static void the_first_error_of_a_file_is_told_whatever_the_threads(void **state)
{
    Work *work = work_new(*state);
    char *good = sentences(4, 800);
    char *text = memory_format("%sx\tX-BAD\n\n%sy\tO\tO\n\n%sz\tY-BAD\n", good, good, good);
    work_add(work, "train", SHARD_GOLD, "bad.conll", text);
    long line = 1;
    for (const char *at = text; strncmp(at, "x\tX-BAD", 7) != 0; at++)
        line += *at == '\n';
    for (int32_t threads = 1; threads <= 4; threads++)
        for (int again = 0; again < 3; again++) {
            work->build.threads = threads;
            assert_int_equal(work_build(work, "bad"), STATUS_INVALID_INPUT);
            must_contain(work->diagnostic.message, "X-BAD");
            assert_int_equal(work->diagnostic.input_line, line);
        }
    free(good);
    free(text);
    work_free(work);
}

/* Errors in the first part of a file that is read by all threads, in the second and in the last one, each behind a sentence that has a
 * warning; and warnings before them and behind them. */
static void the_first_warning_and_error_are_told_whatever_the_threads(void **state)
{
    static const struct {
        int before, after; /* sentences */
        const char *bad, *message;
    } cases[] = {{3, 9000, "x", "found 1"},
                 {2500, 9000, "x\t", "the label is empty"},
                 {9000, 2, "\xFF\tO", "valid UTF-8"},
                 {9000, 0, "x\tO\tO", "found 3"},
                 {2500, 9000, "x\rx\tO", "line feed"}};
    Work *work = work_new(*state);
    work_add(work, "train", SHARD_GOLD, "bad.conll", "");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *before = sentences(4, cases[i].before), *after = sentences(5, cases[i].after);
        char *text = memory_format("%s\tO\nbehind\tO\n\n%s\n\n\tO\n\n%s", before, cases[i].bad, after);
        free(scratch_write(*state, "bad.conll", text));
        long line = 1;
        for (const char *at = before; *at; at++)
            line += *at == '\n';
        char *warning = memory_format("bad.conll:%ld:1: the token is empty", line);
        for (int32_t threads = 1; threads <= 4; threads++) {
            work->build.threads = threads;
            log_capture(*state);
            assert_int_equal(work_build(work, "bad"), STATUS_INVALID_INPUT);
            char *said = log_captured(*state);
            must_contain(work->diagnostic.message, cases[i].message);
            assert_int_equal(work->diagnostic.input_line, line + 3);
            must_contain(said, warning);
            assert_null(strstr(strstr(said, "the token is empty") + 1, "the token is empty"));
            free(said);
        }
        free(warning);
        free(text);
        free(before);
        free(after);
    }
    work_free(work);
}

/* A token without pieces and, behind it or before it, a label that the scheme does not allow, near to it or batches away. */
static void of_a_token_and_a_label_the_first_is_refused_whatever_the_batches(void **state)
{
    Work *work = work_new(*state);
    work_add(work, "train", SHARD_GOLD, "both.conll", "");
    work->build.options.strict = true;
    work->build.options.zero_piece = ZERO_PIECE_ERROR;
    memcpy(work->build.options.scheme, "IOB2", sizeof "IOB2");
    for (int count = 0; count <= 800; count += 400)
        for (int token_first = 0; token_first < 2; token_first++) {
            char *between = sentences(4, count);
            char *text = memory_format("the\tO\n\n%s\n\n%s%s\n\n", token_first ? "\xE2\x80\x8B\tO" : "was\tI-PER", between,
                                       token_first ? "was\tI-PER" : "\xE2\x80\x8B\tO");
            free(scratch_write(*state, "both.conll", text));
            assert_int_equal(work_build(work, "both"), STATUS_INVALID_INPUT);
            assert_int_equal(work->diagnostic.input_line, 3);
            assert_true((strstr(work->diagnostic.message, "scheme") != NULL) == !token_first);
            free(text);
            free(between);
        }
    work_free(work);
}

static void what_stands_behind_an_error_is_not_warned_of(void **state)
{
    Work *work = work_new(*state);
    char *before = sentences(4, 800), *after = sentences(5, 800), *text = memory_format("%sx\n\n%s\tO\n\n", before, after);
    work_add(work, "train", SHARD_GOLD, "bad.conll", text);
    for (int32_t threads = 1; threads <= 4; threads++) {
        work->build.threads = threads;
        log_capture(*state);
        assert_int_equal(work_build(work, "bad"), STATUS_INVALID_INPUT);
        char *said = log_captured(*state);
        assert_null(strstr(said, "is empty"));
        free(said);
    }
    free(text);
    free(before);
    free(after);
    work_free(work);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(any_number_of_threads_gives_the_same_bytes),
                                       cmocka_unit_test(the_first_error_of_a_file_is_told_whatever_the_threads),
                                       cmocka_unit_test(the_first_warning_and_error_are_told_whatever_the_threads),
                                       cmocka_unit_test(of_a_token_and_a_label_the_first_is_refused_whatever_the_batches),
                                       cmocka_unit_test(what_stands_behind_an_error_is_not_warned_of),
                                       cmocka_unit_test(many_threads_read_one_store)};
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
