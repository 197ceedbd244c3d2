/* Sums of floats over the ranks of a real MPI world, as many as mpirun starts: 2^n ranks add pairwise by their numbers. */
#include "tests/worker/fixture.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/memory.h"
#include "core/base/philox.h"
#include "worker/communicator.h"
#include "worker/peer_memory.h"

/* About a segment of the communicator's and some of them, and less than one number for each rank. */
static const size_t counts[] = {1, 2, 3, 5, 1000, 262143, 262144, 262145, 1000003};
enum { COUNTS = sizeof counts / sizeof *counts, COUNT_LIMIT = 1000003, RANK_LIMIT = 16 };

static float number_of(int32_t rank, uint32_t sum, uint32_t index)
{
    PhiloxBlock block = philox4x32_10(philox_key(7, RANDOM_INIT, sum), index, (uint32_t)rank, 0, 0);
    return ((float)block.word[0] / 4294967296.0f - 0.5f) * ldexpf(1.0f, (int)(block.word[1] % 20));
}

/* (0 + 1) + (2 + 3) ... */
static float by_the_tree(int32_t size, uint32_t sum, uint32_t index)
{
    float values[RANK_LIMIT];
    assert_true(size <= RANK_LIMIT);
    for (int32_t rank = 0; rank < size; rank++)
        values[rank] = number_of(rank, sum, index);
    for (int32_t width = 1; width < size; width *= 2)
        for (int32_t rank = 0; rank + width < size; rank += 2 * width)
            values[rank] += values[rank + width];
    return values[0];
}

static void assert_sum(Communicator *world, const float *values, uint32_t sum)
{
    int32_t size = communicator_size(world);
    bool any_order = (size & (size - 1)) != 0;
    for (uint32_t i = 0; i < counts[sum]; i++) {
        float expected = by_the_tree(size, sum, i);
        if (any_order ? !(fabsf(values[i] - expected) <= 0.5f) : memcmp(&values[i], &expected, sizeof expected) != 0)
            fail_msg("%u of %zu numbers over %d ranks: %.9g instead of %.9g", i, counts[sum], size, (double)values[i],
                     (double)expected);
    }
}

/* This rank's numbers of all sums, with a fence behind each, after all were started and waited for. */
static void exchange_all(Communicator *world, void (*start)(Communicator *, float *, size_t), float *values[COUNTS])
{
    for (uint32_t sum = 0; sum < COUNTS; sum++) {
        values[sum] = memory_allocate(counts[sum] + 1, sizeof(float));
        for (uint32_t i = 0; i < counts[sum]; i++)
            values[sum][i] = number_of(communicator_rank(world), sum, i);
        values[sum][counts[sum]] = 42.0f;
        start(world, values[sum], counts[sum]);
    }
    communicator_wait(world);
    assert_int_equal(communicator_numbers_left(world), 0);
}

static void sums_started_together_are_each_the_trees(void **state)
{
    Communicator *world = *state;
    float *values[COUNTS];
    exchange_all(world, communicator_sum_float_start, values);
    for (uint32_t sum = 0; sum < COUNTS; sum++) {
        assert_sum(world, values[sum], sum);
        assert_true(values[sum][counts[sum]] == 42.0f);
        free(values[sum]);
    }
}

/* Also where the ranks come at other times. */
static void every_rank_has_the_same_bits_round_after_round(void **state)
{
    Communicator *world = *state;
    float *values = memory_allocate(COUNT_LIMIT, sizeof *values);
    for (uint32_t round = 0; round < 40; round++) {
        uint32_t sum = round % COUNTS;
        for (uint32_t i = 0; i < counts[sum]; i++)
            values[i] = number_of(communicator_rank(world), sum, i);
        if ((int32_t)(round % (uint32_t)communicator_size(world)) == communicator_rank(world))
            communicator_progress(world);
        communicator_sum_float_start(world, values, counts[sum]);
        communicator_wait(world);
        int64_t check[2] = {(int64_t)(checksum64(values, counts[sum] * sizeof *values) >> 1), 0};
        check[1] = -check[0];
        communicator_max_int64(world, check, 2);
        assert_true(check[0] == -check[1]);
    }
    free(values);
}

/* A process that holds a card until it is told to end. */
static pid_t hold_card(PeerCard *card, int *told)
{
    int ends[2], ready[2];
    assert_true(pipe(ends) == 0 && pipe(ready) == 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        PeerCard own;
        char byte;
        peer_card_fill(&own);
        close(ends[1]);
        ssize_t moved = write(ready[1], &own, sizeof own);
        moved += read(ends[0], &byte, 1);
        _exit(moved > 0 ? 0 : 1);
    }
    assert_int_equal(read(ready[0], card, sizeof *card), sizeof *card);
    close(ends[0]);
    close(ready[0]);
    close(ready[1]);
    *told = ends[1];
    return child;
}

/* Whether the system lets a process of this user read another one. */
static bool memory_can_be_read(void)
{
    PeerCard card;
    int told;
    pid_t child = hold_card(&card, &told);
    bool readable = peer_card_try(&card) == 0;
    close(told);
    assert_true(waitpid(child, NULL, 0) == child);
    return readable;
}

static void another_process_is_read_only_if_it_is_the_one_that_was_meant(void **state)
{
    (void)state;
    PeerCard card;
    int told;
    pid_t child = hold_card(&card, &told);
    int found = peer_card_try(&card);
    assert_true(found == 0 || found == EPERM || found == ENOSYS || found == EACCES);
    card.proof++;
    assert_int_equal(peer_card_try(&card), found ? found : ESRCH);
    card.address = 16;
    assert_int_equal(peer_card_try(&card), found ? found : EFAULT);
    card.pid = 0;
    assert_int_equal(peer_card_try(&card), ESRCH);
    card.pid = (int64_t)INT32_MAX + 2;
    assert_int_equal(peer_card_try(&card), ESRCH);
    close(told);
    assert_true(waitpid(child, NULL, 0) == child);
    card.pid = child;
    assert_int_not_equal(peer_card_try(&card), 0);
}

/* All of these are of one host. */
static void ranks_read_each_other_where_they_may_and_want_to(void **state)
{
    Communicator *world = *state;
    int32_t size = communicator_size(world), partners = 0;
    const char *exchange = getenv("NERSWEEP_EXCHANGE");
    for (int32_t width = 1; (size & (size - 1)) == 0 && width < size; width *= 2)
        partners++;
    bool reads = memory_can_be_read() && !(exchange && strcmp(exchange, "messages") == 0);
    assert_int_equal(communicator_readers(world), reads ? partners : 0);
}

static void an_exchange_that_is_not_known_is_refused(void **state)
{
    (void)state;
    Communicator *none;
    Diagnostic diagnostic = {0};
    const char *exchange = getenv("NERSWEEP_EXCHANGE");
    char *before = exchange ? memory_format("%s", exchange) : NULL;
    setenv("NERSWEEP_EXCHANGE", "pigeons", 1);
    assert_int_equal(communicator_open(&none, 0, &diagnostic), STATUS_USAGE);
    assert_null(none);
    assert_non_null(strstr(diagnostic.message, "pigeons"));
    if (before)
        setenv("NERSWEEP_EXCHANGE", before, 1);
    else
        unsetenv("NERSWEEP_EXCHANGE");
    free(before);
}

static void nothing_to_sum_is_nothing_to_wait_for(void **state)
{
    Communicator *world = *state, *alone = communicator_alone();
    float value = 3.0f;
    communicator_sum_float_start(world, &value, 0);
    communicator_wait(world);
    communicator_sum_float_start(alone, &value, 1);
    communicator_progress(alone);
    communicator_wait(alone);
    assert_true(value == 3.0f);
    communicator_close(&alone);
}

/* A rank's shares of count floats marked: how many ranks own each one. */
static void mark_shares(const Communicator *world, int32_t rank, size_t count, uint8_t *owners)
{
    size_t pieces = communicator_share_count(world, count), most = communicator_piece_floats(world, count), behind = 0;
    for (size_t i = 0; i < pieces; i++) {
        size_t begin, end;
        communicator_share(world, rank, count, i, &begin, &end);
        assert_true(behind <= begin && i * most <= begin && begin <= end && end <= count && end <= (i + 1) * most);
        assert_true(begin == count || begin == end || begin % COMMUNICATOR_CELL_FLOATS == 0);
        for (size_t at = begin; at < end; at++)
            owners[at]++;
        behind = end;
    }
}

static void shares_of_all_ranks_are_the_whole_and_of_one_size(void **state)
{
    const Communicator *world = *state;
    uint8_t *owners = memory_allocate(COUNT_LIMIT, 1);
    for (uint32_t sum = 0; sum < COUNTS; sum++) {
        size_t least = SIZE_MAX, most = 0;
        memset(owners, 0, COUNT_LIMIT);
        for (int32_t rank = 0; rank < communicator_size(world); rank++) {
            size_t before = 0, after = 0;
            for (size_t at = 0; at < counts[sum]; at++)
                before += owners[at];
            mark_shares(world, rank, counts[sum], owners);
            for (size_t at = 0; at < counts[sum]; at++)
                after += owners[at];
            least = after - before < least ? after - before : least;
            most = after - before > most ? after - before : most;
        }
        for (size_t at = 0; at < counts[sum]; at++)
            assert_int_equal(owners[at], 1);
        assert_true(most - least <= 4 * COMMUNICATOR_CELL_FLOATS);
    }
    free(owners);
}

/* Half of a sum, and the other half: in between a rank has the sums of its own share. */
static void what_is_scattered_and_gathered_is_the_sum(void **state)
{
    Communicator *world = *state;
    float *values[COUNTS], *piece = memory_allocate(COUNT_LIMIT, sizeof *piece);
    exchange_all(world, communicator_scatter_sum_start, values);
    for (uint32_t sum = 0; sum < COUNTS; sum++) {
        for (uint32_t i = 0; i < counts[sum]; i++)
            piece[i] = NAN;
        for (size_t i = 0; i < communicator_share_count(world, counts[sum]); i++) {
            size_t begin, end;
            communicator_share(world, communicator_rank(world), counts[sum], i, &begin, &end);
            memcpy(piece + begin, values[sum] + begin, (end - begin) * sizeof *piece);
        }
        size_t foreign = 0; /* sums of others' shares: not sent */
        for (uint32_t i = 0; i < counts[sum]; i++)
            foreign += isnan(piece[i]) && values[sum][i] == by_the_tree(communicator_size(world), sum, i);
        assert_true((communicator_size(world) & (communicator_size(world) - 1)) != 0 || foreign < counts[sum] / 100 + 1);
        memcpy(values[sum], piece, counts[sum] * sizeof *piece); /* what others own is not to be used */
        communicator_gather_start(world, values[sum], counts[sum], sizeof(float));
    }
    communicator_wait(world);
    assert_int_equal(communicator_numbers_left(world), 0);
    for (uint32_t sum = 0; sum < COUNTS; sum++) {
        assert_sum(world, values[sum], sum);
        assert_true(values[sum][counts[sum]] == 42.0f);
        free(values[sum]);
    }
    free(piece);
}

static uint16_t half_of(int32_t rank, uint32_t sum, uint32_t index)
{
    return (uint16_t)philox4x32_10(philox_key(9, RANDOM_INIT, sum), index, (uint32_t)rank, 0, 0).word[0];
}

/* Numbers of half a float are shared out and gathered as floats are, together with them. */
static void numbers_of_two_bytes_are_gathered(void **state)
{
    Communicator *world = *state;
    uint16_t *values[COUNTS];
    uint8_t *owner = memory_allocate(COUNT_LIMIT, 1);
    float *between = memory_allocate(COUNT_LIMIT, sizeof *between);
    for (uint32_t sum = 0; sum < COUNTS; sum++) {
        values[sum] = memory_allocate(counts[sum] + 1, sizeof **values);
        values[sum][counts[sum]] = 42;
        for (size_t i = 0; i < communicator_share_count(world, counts[sum]); i++) {
            size_t begin, end;
            communicator_share(world, communicator_rank(world), counts[sum], i, &begin, &end);
            for (size_t at = begin; at < end; at++)
                values[sum][at] = half_of(communicator_rank(world), sum, (uint32_t)at);
        }
        communicator_gather_start(world, values[sum], counts[sum], sizeof **values);
        if (sum == COUNTS / 2)
            communicator_gather_start(world, between, COUNT_LIMIT, sizeof *between);
    }
    communicator_wait(world);
    assert_int_equal(communicator_numbers_left(world), 0);
    for (uint32_t sum = 0; sum < COUNTS; sum++) {
        for (int32_t rank = 0; rank < communicator_size(world); rank++) {
            memset(owner, 0, counts[sum]);
            mark_shares(world, rank, counts[sum], owner);
            for (uint32_t at = 0; at < counts[sum]; at++)
                assert_true(!owner[at] || values[sum][at] == half_of(rank, sum, at));
        }
        assert_int_equal(values[sum][counts[sum]], 42);
        free(values[sum]);
    }
    free(owner);
    free(between);
}

/* Whatever their bits mean: -0 among them. */
static void words_are_merged_by_their_bits(void **state)
{
    enum { WORDS = 10007 };
    Communicator *world = *state;
    uint32_t *words = memory_allocate(WORDS + 1, sizeof *words), size = (uint32_t)communicator_size(world);
    for (uint32_t i = 0; i < WORDS; i++)
        words[i] = i % size == (uint32_t)communicator_rank(world) ? 0x80000000u + (i % 3) * i : 0;
    words[WORDS] = (uint32_t)communicator_rank(world) + 1;
    communicator_merge_words(world, words, WORDS);
    for (uint32_t i = 0; i < WORDS; i++)
        assert_int_equal(words[i], 0x80000000u + (i % 3) * i);
    assert_int_equal(words[WORDS], communicator_rank(world) + 1);
    free(words);
}

static void pieces_are_collected_from_all_ranks(void **state)
{
    Communicator *world = *state;
    float *piece = memory_allocate(COUNT_LIMIT, sizeof *piece), *own = memory_allocate(COUNT_LIMIT, sizeof *own);
    for (uint32_t sum = 0; sum < COUNTS; sum++) {
        size_t most = communicator_piece_floats(world, counts[sum]);
        for (size_t i = 0; i < communicator_share_count(world, counts[sum]); i++) {
            size_t begin, end, first = i * most, last = counts[sum] - first < most ? counts[sum] : first + most;
            communicator_share(world, communicator_rank(world), counts[sum], i, &begin, &end);
            for (size_t at = begin; at < end; at++)
                own[at - begin] = number_of(0, sum, (uint32_t)at);
            communicator_collect_piece(world, own, counts[sum], i, piece);
            for (size_t at = first; communicator_rank(world) == 0 && at < last; at++)
                assert_true(piece[at - first] == number_of(0, sum, (uint32_t)at));
        }
    }
    free(piece);
    free(own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_started_together_are_each_the_trees),
        cmocka_unit_test(every_rank_has_the_same_bits_round_after_round),
        cmocka_unit_test(shares_of_all_ranks_are_the_whole_and_of_one_size),
        cmocka_unit_test(what_is_scattered_and_gathered_is_the_sum),
        cmocka_unit_test(numbers_of_two_bytes_are_gathered),
        cmocka_unit_test(words_are_merged_by_their_bits),
        cmocka_unit_test(pieces_are_collected_from_all_ranks),
        cmocka_unit_test(nothing_to_sum_is_nothing_to_wait_for),
        cmocka_unit_test(another_process_is_read_only_if_it_is_the_one_that_was_meant),
        cmocka_unit_test(ranks_read_each_other_where_they_may_and_want_to),
        cmocka_unit_test(an_exchange_that_is_not_known_is_refused),
    };
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
