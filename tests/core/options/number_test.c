#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/base/philox.h"
#include "core/options/number.h"

static void reals_are_read_whole_or_not_at_all(void **state)
{
    (void)state;
    const struct {
        const char *text;
        double value;
    } good[] = {{"1", 1},       {"-1.5", -1.5}, {"+.5", 0.5},  {"2.", 2}, {"1e-5", 1e-5},
                {"5E+3", 5000}, {"0.0", 0},     {"1e-400", 0}, {"007", 7}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        double value = -7;
        assert_true(number_parse_real(good[i].text, &value));
        assert_true(value == good[i].value);
    }
    static const char *const bad[] = {"",     " 1",  "1 ",  "1,5",  ".",     "e5",    "1e",    "1e+", "--1", "+-1",
                                      "0x10", "inf", "nan", "-inf", "1e999", "1_000", "1.2.3", "1d5", "1f",  "\xEF\xBC\x91"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        double value = -7;
        assert_false(number_parse_real(bad[i], &value));
        assert_true(value == -7);
    }
}

static void a_negative_zero_is_read_as_zero(void **state)
{
    (void)state;
    double value = 1;
    assert_true(number_parse_real("-0.0", &value));
    assert_false(signbit(value));
}

static void integers_are_exact_or_refused(void **state)
{
    (void)state;
    int64_t value = 5;
    assert_true(number_parse_integer("-9223372036854775808", &value));
    assert_true(value == INT64_MIN);
    assert_true(number_parse_integer("+12", &value));
    assert_true(value == 12);
    static const char *const bad[] = {"",    "1.5", "1e3", "9223372036854775808", "-9223372036854775809", " 1", "1 ",
                                      "0x1", "-",   "1a"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(number_parse_integer(bad[i], &value));
    uint64_t large = 5;
    assert_true(number_parse_unsigned("18446744073709551615", &large));
    assert_true(large == UINT64_MAX);
    assert_false(number_parse_unsigned("18446744073709551616", &large));
    assert_false(number_parse_unsigned("-1", &large));
    assert_false(number_parse_unsigned("-0", &large));
}

static void bytes_have_units_of_1024(void **state)
{
    (void)state;
    const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {{"1", 1},      {"512M", 512 << 20},       {"1.5G", (uint64_t)3 << 29}, {"8GiB", (uint64_t)8 << 30}, {"2KB", 2048},
                {"100B", 100}, {"1T", (uint64_t)1 << 40}, {"1e3K", 1024000},           {"1048576", 1048576}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        uint64_t bytes = 7;
        assert_true(number_parse_bytes(good[i].text, &bytes));
        assert_int_equal(bytes, good[i].bytes);
    }
    static const char *const bad[] = {
        "",     "0",  "-1G", "G", "8 G", "8g", "8GG", "8Gi", "8iB", "8P", "0.1", "nan", "8GiBx", "1e30", "9223372036854775808",
        "0x10", "8G,"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint64_t bytes = 7;
        assert_false(number_parse_bytes(bad[i], &bytes));
        assert_int_equal(bytes, 7);
    }
}

static void reals_are_written_as_people_write_them(void **state)
{
    (void)state;
    const struct {
        double value;
        const char *text;
    } cases[] = {{0, "0"},
                 {3, "3"},
                 {100, "100"},
                 {-2, "-2"},
                 {0.06, "0.06"},
                 {0.1, "0.1"},
                 {5e-5, "5e-5"},
                 {1e-8, "1e-8"},
                 {0.0001, "0.0001"},
                 {0.00012, "0.00012"},
                 {1.25e-5, "1.25e-5"},
                 {1e15, "1000000000000000"},
                 {1e16, "1e16"},
                 {-1.5e300, "-1.5e300"},
                 {0.999, "0.999"},
                 {12.5, "12.5"},
                 {1.0 / 3, "0.3333333333333333"},
                 {0.1 + 0.2, "0.30000000000000004"},
                 {9007199254740992, "9007199254740992"},
                 {5e-324, "5e-324"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[NUMBER_TEXT_SIZE];
        assert_string_equal(number_format_real(cases[i].value, text), cases[i].text);
    }
}

static void what_is_written_reads_back_to_the_same_bits(void **state)
{
    (void)state;
    PhiloxKey key = philox_key(3, RANDOM_SEARCH, 0);
    int tried = 0;
    for (uint32_t i = 0; i < 20000; i++) {
        PhiloxBlock block = philox4x32_10(key, i, 0, 0, 0);
        double value, back;
        if (i % 2 == 0)
            memcpy(&value, block.word, sizeof value); /* any bits */
        else
            value = round(philox_uniform_double(block.word[0], block.word[1]) * 1e6) / pow(10, block.word[2] % 12); /* few digits */
        if (!isfinite(value))
            continue;
        char text[NUMBER_TEXT_SIZE];
        assert_true(number_parse_real(number_format_real(value, text), &back));
        assert_true(memcmp(&value, &back, sizeof value) == 0);
        tried++;
    }
    assert_true(tried > 15000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reals_are_read_whole_or_not_at_all),     cmocka_unit_test(a_negative_zero_is_read_as_zero),
        cmocka_unit_test(integers_are_exact_or_refused),          cmocka_unit_test(bytes_have_units_of_1024),
        cmocka_unit_test(reals_are_written_as_people_write_them), cmocka_unit_test(what_is_written_reads_back_to_the_same_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
