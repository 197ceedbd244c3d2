/* The order of what a pipeline does, on one thread and on several, and what it does about errors. */
#include "shard/pipeline.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

enum { PIECES = 40, SLOTS = 6, NEVER = -1 };

typedef struct Slot {
    int piece; /* NEVER: none */
    int64_t index;
} Slot;

typedef struct Line {
    int fill_fails, read_fails, work_fails, finish_fails; /* the piece at which it does */
    pthread_mutex_t lock;
    int filled, filling, in_flight, most_in_flight; /* guarded by the lock */
    int ordered;
    int64_t total; /* of the numbers of the pieces ordered before */
    int finished[PIECES];
    int finished_count;
} Line;

static Status piece_fail(Diagnostic *diagnostic, const char *stage, int piece)
{
    return FAIL(diagnostic, STATUS_INVALID_INPUT, "%s %d", stage, piece);
}

static void in_flight(Line *line, int change)
{
    pthread_mutex_lock(&line->lock);
    line->in_flight += change;
    line->most_in_flight = line->in_flight > line->most_in_flight ? line->in_flight : line->most_in_flight;
    pthread_mutex_unlock(&line->lock);
}

static Status line_fill(void *context, void *filled, bool *more, Diagnostic *diagnostic)
{
    Line *line = context;
    Slot *slot = filled;
    pthread_mutex_lock(&line->lock);
    ASSERT(line->filling++ == 0);
    pthread_mutex_unlock(&line->lock);
    int piece = line->filled++;
    *slot = (Slot){.piece = piece < PIECES ? piece : NEVER, .index = -1};
    *more = piece < PIECES;
    in_flight(line, 1);
    pthread_mutex_lock(&line->lock);
    line->filling--;
    pthread_mutex_unlock(&line->lock);
    return piece == line->fill_fails ? piece_fail(diagnostic, "fill", piece) : STATUS_OK;
}

static Status line_read(void *context, void *slot, Diagnostic *diagnostic)
{
    const Line *line = context;
    int piece = ((const Slot *)slot)->piece;
    for (volatile int i = 0; i < (piece % 3) * 20000; i++) /* later ones overtake it */
        ;
    return piece == line->read_fails ? piece_fail(diagnostic, "read", piece) : STATUS_OK;
}

static void line_order(void *context, void *ordered)
{
    Line *line = context;
    Slot *slot = ordered;
    ASSERT(slot->piece == line->ordered++);
    slot->index = line->total;
    line->total += slot->piece;
}

static Status line_work(void *context, void *worked, Diagnostic *diagnostic)
{
    const Line *line = context;
    const Slot *slot = worked;
    ASSERT(slot->index == (int64_t)slot->piece * (slot->piece - 1) / 2);
    return slot->piece == line->work_fails ? piece_fail(diagnostic, "work", slot->piece) : STATUS_OK;
}

static Status line_finish(void *context, void *worked, Diagnostic *diagnostic)
{
    Line *line = context;
    int piece = ((const Slot *)worked)->piece;
    in_flight(line, -1);
    if (piece == line->finish_fails)
        return piece_fail(diagnostic, "finish", piece);
    line->finished[line->finished_count++] = piece;
    return STATUS_OK;
}

static size_t line_cost(void *context, const void *slot)
{
    (void)context;
    (void)slot;
    return 10;
}

/* finished: so many pieces are, all of them the first ones. error: NULL for none. */
static void runs(Line line, size_t cost_limit, int finished, const char *error)
{
    for (int32_t threads = 1; threads <= 4; threads++) {
        Slot slots[SLOTS];
        void *pointers[SLOTS];
        Diagnostic diagnostic = {0};
        Line run = line;
        PipelineStages stages = {.context = &run,
                                 .fill = line_fill,
                                 .read = line_read,
                                 .order = line_order,
                                 .work = line_work,
                                 .finish = line_finish,
                                 .cost = line_cost,
                                 .cost_limit = cost_limit};
        for (int i = 0; i < SLOTS; i++)
            pointers[i] = &slots[i];
        pthread_mutex_init(&run.lock, NULL);
        Status status = pipeline_run(&stages, pointers, SLOTS, threads, &diagnostic);
        pthread_mutex_destroy(&run.lock);
        assert_int_equal(status, error ? STATUS_INVALID_INPUT : STATUS_OK);
        if (error)
            assert_string_equal(diagnostic.message, error);
        assert_int_equal(run.finished_count, finished);
        if (line.read_fails != NEVER)
            assert_true(run.ordered <= line.read_fails + 1); /* what is behind the error is as if it were not there */
        for (int i = 0; i < finished; i++)
            assert_int_equal(run.finished[i], i);
        assert_true(run.most_in_flight <= SLOTS);
        if (cost_limit < 10)
            assert_true(run.most_in_flight <= 2); /* one that costs too much, and the empty one at the end */
    }
}

static const Line CALM = {.fill_fails = NEVER, .read_fails = NEVER, .work_fails = NEVER, .finish_fails = NEVER};

static void pieces_are_finished_in_the_order_of_the_input(void **state)
{
    (void)state;
    runs(CALM, SIZE_MAX, PIECES, NULL);
}

static void no_more_is_filled_than_the_limit_allows(void **state)
{
    (void)state;
    runs(CALM, 5, PIECES, NULL);
}

static void what_stands_before_an_error_is_finished(void **state)
{
    (void)state;
    for (int piece = 0; piece < PIECES; piece += 13) {
        Line line = CALM;
        char *error = memory_format("read %d", piece);
        line.read_fails = piece;
        runs(line, SIZE_MAX, piece + 1, error); /* what was read before the error is in the piece */
        free(error);
        line = CALM;
        line.fill_fails = piece;
        error = memory_format("fill %d", piece);
        runs(line, SIZE_MAX, piece + 1, error);
        free(error);
        line = CALM;
        line.work_fails = piece;
        error = memory_format("work %d", piece);
        runs(line, SIZE_MAX, piece, error);
        free(error);
        line = CALM;
        line.finish_fails = piece;
        error = memory_format("finish %d", piece);
        runs(line, SIZE_MAX, piece, error);
        free(error);
    }
}

static void of_several_errors_the_first_in_the_input_is_told(void **state)
{
    (void)state;
    Line line = CALM;
    line.read_fails = 20;
    line.work_fails = 20; /* in what stands before that which cannot be read */
    runs(line, SIZE_MAX, 20, "work 20");
    line.work_fails = 21;
    line.fill_fails = 22;
    runs(line, SIZE_MAX, 21, "read 20");
    line.fill_fails = 20; /* behind what was to be read */
    runs(line, SIZE_MAX, 21, "read 20");
    line.work_fails = 18;
    line.finish_fails = 19;
    runs(line, SIZE_MAX, 18, "work 18");
    line.work_fails = 19;
    line.finish_fails = 18;
    runs(line, SIZE_MAX, 18, "finish 18");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(pieces_are_finished_in_the_order_of_the_input),
                                       cmocka_unit_test(no_more_is_filled_than_the_limit_allows),
                                       cmocka_unit_test(what_stands_before_an_error_is_finished),
                                       cmocka_unit_test(of_several_errors_the_first_in_the_input_is_told)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
