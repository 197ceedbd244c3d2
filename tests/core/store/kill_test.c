/* A writer under load that is killed with SIGKILL at any time, again and again: kill_test [KILLS]. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/store/journal_care.h"
#include "tests/core/base/support.h"

enum { SNAPSHOT_BYTES = 128 * 1024, BATCH_LIMIT = 64 };

static int kills = 25;
static Diagnostic diagnostic;

/* Each record holds its own number, as often as fits its size. */
static size_t record_of(uint64_t number, uint64_t *words)
{
    size_t count = 1 + number * 31 % 40;
    for (size_t i = 0; i < count; i++)
        words[i] = number + i;
    return count * sizeof *words;
}

static Status count_record(void *context, uint64_t sequence, const void *payload, size_t size, Diagnostic *replay_diagnostic)
{
    uint64_t *count = context, words[64];
    ++*count;
    if (sequence != *count || size != record_of(*count, words) || memcmp(words, payload, size) != 0)
        return FAIL(replay_diagnostic, STATUS_INTERNAL, "record %llu is not what was written", (unsigned long long)sequence);
    return STATUS_OK;
}

static Status pack(const char *folder, Diagnostic *own)
{
    JournalCompaction compaction;
    uint64_t epoch;
    Status status = journal_snapshot_make(folder, file_system_posix(), NULL, &epoch, own);
    return status == STATUS_OK ? journal_compact(folder, file_system_posix(), 0, &compaction, own) : status;
}

/* The child: writes for ever, and says after each sync how many records are acknowledged. */
static void write_until_killed(const char *folder, int pipe_end)
{
    Journal *journal;
    Diagnostic own = {0};
    uint64_t count = 0, words[64], draw = (uint64_t)getpid();
    Status status = journal_open(&journal, folder, file_system_posix(), count_record, &count, &own);
    if (status == STATUS_OK && journal_replayed_bytes(journal) > SNAPSHOT_BYTES)
        status = pack(folder, &own);
    while (status == STATUS_OK) {
        draw = draw * UINT64_C(6364136223846793005) + 1;
        for (uint64_t i = 0; i <= (draw >> 33) % BATCH_LIMIT && status == STATUS_OK; i++) {
            size_t size = record_of(++count, words);
            status = journal_append(journal, words, size, &own);
        }
        if (status == STATUS_OK)
            status = journal_sync(journal, &own);
        if (status == STATUS_OK && write(pipe_end, &count, sizeof count) != sizeof count)
            break;
    }
    fprintf(stderr, "the writer ended by itself: %s\n", own.message);
    _exit(1);
}

static void sleep_us(long us)
{
    nanosleep(&(struct timespec){us / 1000000, us % 1000000 * 1000}, NULL);
}

/* Starts a writer, kills it some time after its first acknowledgement or while it still opens; returns what it acknowledged last. */
static uint64_t write_and_kill(const char *folder, int number)
{
    int ends[2];
    uint64_t acknowledged = 0, next;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(ends[0]);
        write_until_killed(folder, ends[1]);
    }
    close(ends[1]);
    if (number % 5 != 0) /* else perhaps before it has opened anything */
        assert_int_equal(read(ends[0], &acknowledged, sizeof acknowledged), sizeof acknowledged);
    sleep_us((long)number * 7919 % 20000);
    kill(child, SIGKILL);
    while (read(ends[0], &next, sizeof next) == sizeof next)
        acknowledged = next;
    close(ends[0]);
    int wait_status;
    assert_int_equal(waitpid(child, &wait_status, 0), child);
    assert_true(WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGKILL);
    return acknowledged;
}

static void a_writer_killed_under_load_loses_nothing_that_it_acknowledged(void **state)
{
    (void)state;
    char *folder = scratch_make();
    uint64_t before = 0;
    for (int number = 1; number <= kills; number++) {
        uint64_t acknowledged = write_and_kill(folder, number), count = 0;
        assert_ok(journal_read(folder, count_record, &count, &diagnostic), &diagnostic);
        if (count < acknowledged || count < before)
            fail_msg("kill %d: %llu records, but %llu were acknowledged", number, (unsigned long long)count,
                     (unsigned long long)(acknowledged > before ? acknowledged : before));
        before = count;
    }
    JournalReport report;
    assert_ok(journal_check(folder, &report, &diagnostic), &diagnostic);
    assert_true(report.sound);
    journal_report_free(&report);
    print_message("%d kills, %llu records, none lost\n", kills, (unsigned long long)before);
    scratch_remove(&folder);
}

int main(int argument_count, char **arguments)
{
    if (argument_count == 2)
        kills = atoi(arguments[1]);
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_writer_killed_under_load_loses_nothing_that_it_acknowledged)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
