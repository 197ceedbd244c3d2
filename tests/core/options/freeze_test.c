#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "core/options/freeze.h"

static void check_text(const char *text, const char *formatted)
{
    FreezeSchedule schedule;
    char buffer[1024];
    assert_int_equal(freeze_schedule_parse(&schedule, text, NULL), STATUS_OK);
    assert_string_equal(freeze_schedule_format(&schedule, buffer, sizeof buffer), formatted);
}

static void schedules_read_and_write_back(void **state)
{
    (void)state;
    check_text("none", "none");
    check_text("embeddings@1", "embeddings@1");
    check_text("embeddings+2@1", "embeddings+2@1");
    check_text("6@0.5", "6@0.5");
    check_text("embeddings+8@1;embeddings+4@2", "embeddings+8@1;embeddings+4@2");
    check_text("embeddings+08@1.50;8@2e0;1@2.25", "embeddings+8@1.5;8@2;1@2.25");
}

static void a_schedule_says_what_is_frozen_when(void **state)
{
    (void)state;
    FreezeSchedule schedule;
    assert_int_equal(freeze_schedule_parse(&schedule, "embeddings+8@1;4@2.5", NULL), STATUS_OK);
    assert_int_equal(schedule.phase_count, 2);
    const FreezePhase *phase = freeze_schedule_at(&schedule, 0);
    assert_true(phase->embeddings);
    assert_int_equal(phase->layers, 8);
    assert_ptr_equal(freeze_schedule_at(&schedule, 0.999), phase);
    phase = freeze_schedule_at(&schedule, 1);
    assert_false(phase->embeddings);
    assert_int_equal(phase->layers, 4);
    assert_ptr_equal(freeze_schedule_at(&schedule, 2.499), phase);
    assert_null(freeze_schedule_at(&schedule, 2.5));
    assert_int_equal(freeze_schedule_parse(&schedule, "none", NULL), STATUS_OK);
    assert_null(freeze_schedule_at(&schedule, 0));
}

static void every_fault_is_named_with_its_character(void **state)
{
    (void)state;
    const struct {
        const char *text;
        long column;
        const char *message;
    } cases[] = {
        {"", 1, "\"embeddings\", \"embeddings+K\""},
        {"None", 1, "is wanted"},
        {"none;2@1", 1, "is wanted"},
        {"embedding@1", 1, "is wanted"},
        {" 2@1", 1, "is wanted"},
        {"-2@1", 1, "is wanted"},
        {"embeddings", 11, "\"@\""},
        {"embeddings+@1", 12, "from 1 to 1024"},
        {"embeddings+0@1", 12, "from 1 to 1024"},
        {"0@1", 1, "from 1 to 1024"},
        {"99999999999999999999@1", 1, "from 1 to 1024"},
        {"embeddings+2", 13, "\"@\""},
        {"embeddings-2@1", 11, "\"@\""},
        {"embeddings+2@", 14, "number of epochs"},
        {"embeddings+2@x", 14, "number of epochs"},
        {"embeddings+2@0", 14, "0 is not a number of epochs above 0"},
        {"embeddings+2@-1", 14, "-1 is not"},
        {"embeddings+2@1e999", 14, "1e999 is not"},
        {"embeddings+2@1,2@2", 15, "\";\""},
        {"embeddings+2@1 ", 15, "\";\""},
        {"embeddings+2@1;", 16, "is wanted"},
        {"embeddings+2@1;;2@2", 16, "is wanted"},
        {"2@1;embeddings@2", 5, "thawed"},
        {"embeddings+2@1;embeddings+3@2", 16, "thawed"},
        {"embeddings@1;1@2", 14, "thawed"},
        {"8@2;4@2", 7, "must rise"},
        {"8@2;4@1.5", 7, "must rise"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        FreezeSchedule schedule = {.phase_count = 7};
        Diagnostic diagnostic = {0};
        assert_int_equal(freeze_schedule_parse(&schedule, cases[i].text, &diagnostic), STATUS_INVALID_INPUT);
        char place[64];
        snprintf(place, sizeof place, "at character %ld ", cases[i].column);
        if (diagnostic.input_column != cases[i].column || !strstr(diagnostic.message, cases[i].message) ||
            !strstr(diagnostic.message, place))
            fail_msg("%s: column %ld: %s", cases[i].text, diagnostic.input_column, diagnostic.message);
        assert_int_equal(schedule.phase_count, 7);
    }
}

static void the_number_of_phases_is_bounded(void **state)
{
    (void)state;
    char text[1024] = "";
    for (int phase = 0; phase < FREEZE_PHASE_LIMIT; phase++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%d@%d", phase ? ";" : "", 100 - phase, phase + 1);
    FreezeSchedule schedule;
    assert_int_equal(freeze_schedule_parse(&schedule, text, NULL), STATUS_OK);
    assert_int_equal(schedule.phase_count, FREEZE_PHASE_LIMIT);
    strcat(text, ";1@99");
    Diagnostic diagnostic = {0};
    assert_int_equal(freeze_schedule_parse(&schedule, text, &diagnostic), STATUS_INVALID_INPUT);
    assert_non_null(strstr(diagnostic.message, "more than 16"));
}

static void the_longest_schedule_can_be_written(void **state)
{
    (void)state;
    FreezeSchedule schedule = {.phase_count = FREEZE_PHASE_LIMIT}, back;
    for (int phase = 0; phase < FREEZE_PHASE_LIMIT; phase++)
        schedule.phases[phase] = (FreezePhase){true, 1024, (phase + 1) * 1.2345678901234567e-300};
    char text[1024];
    freeze_schedule_format(&schedule, text, sizeof text);
    assert_int_equal(freeze_schedule_parse(&back, text, NULL), STATUS_OK);
    for (int phase = 0; phase < FREEZE_PHASE_LIMIT; phase++)
        assert_true(back.phases[phase].until_epochs == schedule.phases[phase].until_epochs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schedules_read_and_write_back),           cmocka_unit_test(a_schedule_says_what_is_frozen_when),
        cmocka_unit_test(every_fault_is_named_with_its_character), cmocka_unit_test(the_number_of_phases_is_bounded),
        cmocka_unit_test(the_longest_schedule_can_be_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
