#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/io/json.h"
#include "tests/core/base/support.h"

static Diagnostic diagnostic;

static Json *parse(const char *text)
{
    Json *json;
    assert_ok(json_parse(&json, text, strlen(text), "a.json", &diagnostic), &diagnostic);
    return json;
}

static void assert_text(const Json *json, JsonStyle style, const char *wanted)
{
    char *text = json_text(json, style);
    assert_string_equal(text, wanted);
    free(text);
}

static void all_kinds_of_values_are_read(void **state)
{
    (void)state;
    Json *json = parse("{\"s\":\"x\",\"i\":-7,\"r\":1.5,\"t\":true,\"f\":false,\"n\":null,\"a\":[1,2],\"o\":{}}");
    assert_true(json_is_object(json) && json_count(json) == 8);
    assert_string_equal(json_string_value(json_get(json, "s")), "x");
    assert_int_equal(json_integer_value(json_get(json, "i"), 0), -7);
    assert_true(json_number_value(json_get(json, "i"), 0) == -7.0);
    assert_true(json_number_value(json_get(json, "r"), 0) == 1.5);
    assert_true(json_is_number(json_get(json, "r")) && !json_is_integer(json_get(json, "r")));
    assert_true(json_boolean_value(json_get(json, "t"), false));
    assert_false(json_boolean_value(json_get(json, "f"), true));
    assert_true(json_is_null(json_get(json, "n")) && !json_is_null(NULL));
    assert_true(json_is_array(json_get(json, "a")) && json_count(json_get(json, "a")) == 2);
    assert_int_equal(json_integer_value(json_at(json_get(json, "a"), 1), 0), 2);
    json_destroy(&json);
    assert_null(json);
    json_destroy(&json);
    for (size_t i = 0; i < 3; i++) { /* a root need not be an object */
        json = parse(((const char *const[]){"3", "\"x\"", "null"})[i]);
        assert_non_null(json);
        json_destroy(&json);
    }
}

static void what_is_absent_or_of_another_kind_is_null_or_the_default(void **state)
{
    (void)state;
    Json *json = parse("{\"s\":\"x\",\"a\":[1]}");
    assert_null(json_get(json, "none"));
    assert_null(json_get(json_get(json, "s"), "x"));
    assert_null(json_get(NULL, "x"));
    assert_null(json_at(json, 0));
    assert_null(json_at(json_get(json, "a"), 1));
    assert_null(json_string_value(json_get(json, "a")));
    assert_null(json_string_value(NULL));
    assert_int_equal(json_integer_value(json_get(json, "s"), 5), 5);
    assert_true(json_number_value(NULL, 2.5) == 2.5);
    assert_true(json_boolean_value(json_get(json, "s"), true));
    assert_int_equal(json_count(json_get(json, "s")), 0);
    assert_int_equal(json_count(NULL), 0);
    assert_null(json_key_at(json, 2));
    assert_null(json_value_at(json, 2));
    assert_null(json_key_at(json_get(json, "a"), 0));
    json_destroy(&json);
}

static void errors_tell_line_and_column_in_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        long line, column;
        const char *part;
    } cases[] = {
        {"{\"a\": 1,\n \"b\": x}", 2, 7, "invalid token"},
        {"{\"\xC3\xA4\xC3\xA4\": x}", 1, 10, "invalid token"},
        {"[1,\n\n2,]", 3, 3, "unexpected token"},
        {"", 1, 1, "end of file"},
        {"[1", 1, 2, "']' expected"},
        {"{\"a\":1,\n\"a\":2}", 2, 3, "duplicate"},
        {"[\"\\u0000\"]", 1, 9, "\\u0000"},
        {"[1] x", 1, 5, "end of file"},
        {"[\"\xFF\"]", 1, 2, "unable to decode byte 0xff"},
        {"[99999999999999999999]", 1, 21, "too big integer"},
        {"[1e999]", 1, 6, "real number overflow"},
        {"{\"a\\u0000\": 1}", 1, 10, "NUL"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Json *json = (Json *)1;
        Status status = json_parse(&json, cases[i].text, strlen(cases[i].text), "a.json", &diagnostic);
        assert_status(status, STATUS_INVALID_INPUT, &diagnostic);
        assert_null(json);
        assert_string_equal(diagnostic.input_file, "a.json");
        if (diagnostic.input_line != cases[i].line || diagnostic.input_column != cases[i].column ||
            !strstr(diagnostic.message, cases[i].part))
            fail_msg("case %zu: %s at %ld:%ld", i, diagnostic.message, diagnostic.input_line, diagnostic.input_column);
    }
}

static void cut_and_nested_texts_are_refused(void **state)
{
    (void)state;
    const char *text = "{\"a\":[1,2.5,\"x\\u00e4\",true,null,{\"b\":-1e3}]}";
    Json *json;
    for (size_t size = 0; size < strlen(text); size++) {
        char *exact = malloc(size ? size : 1); /* so that a sanitizer sees what is read behind its end */
        memcpy(exact, text, size);
        assert_status(json_parse(&json, exact, size, "cut", &diagnostic), STATUS_INVALID_INPUT, &diagnostic);
        free(exact);
    }
    enum { DEPTH = 100000 };
    char *deep = malloc(DEPTH);
    memset(deep, '[', DEPTH);
    assert_status(json_parse(&json, deep, DEPTH, "deep", &diagnostic), STATUS_INVALID_INPUT, &diagnostic);
    free(deep);
}

static void files_are_read_with_their_limit(void **state)
{
    (void)state;
    char *folder = scratch_make();
    const char *path = scratch_path(folder, "a.json");
    Json *json;
    scratch_write(path, "[1, 2]", 6);
    assert_ok(json_read_file(&json, path, 6, &diagnostic), &diagnostic);
    assert_int_equal(json_count(json), 2);
    json_destroy(&json);
    assert_status(json_read_file(&json, path, 5, &diagnostic), STATUS_LIMIT, &diagnostic);
    assert_null(json);
    assert_status(json_read_file(&json, folder, 5, &diagnostic), STATUS_INVALID_INPUT, &diagnostic);
    scratch_write(path, "[1, 2", 5);
    assert_status(json_read_file(&json, path, 5, &diagnostic), STATUS_INVALID_INPUT, &diagnostic);
    assert_string_equal(diagnostic.input_file, path);
    scratch_remove(&folder);
}

static void what_is_built_is_written(void **state)
{
    (void)state;
    Json *json = json_object(), *list = json_array();
    json_append(list, json_integer(INT64_MIN));
    json_append(list, json_real(0.1));
    json_append(list, json_real(NAN));
    json_append(list, json_real(-INFINITY));
    json_append(list, json_boolean(true));
    json_append(list, json_null());
    json_set(json, "z", list);
    json_set(json, "a", json_string("x\"\n"));
    assert_text(json, JSON_COMPACT, "{\"z\":[-9223372036854775808,0.10000000000000001,null,null,true,null],\"a\":\"x\\\"\\n\"}");
    assert_text(json_get(json, "a"), JSON_COMPACT, "\"x\\\"\\n\"");
    assert_text(json, JSON_CANONICAL, "{\"a\":\"x\\\"\\n\",\"z\":[-9223372036854775808,0.10000000000000001,null,null,true,null]}");
    json_set(json, "z", json_integer(1));
    assert_text(json, JSON_INDENTED, "{\n  \"z\": 1,\n  \"a\": \"x\\\"\\n\"\n}");
    json_destroy(&json);
}

static void reals_read_back_as_the_same_double(void **state)
{
    (void)state;
    const double values[] = {0.1, 1.0 / 3.0, 5e-324, 1.7976931348623157e308, -0.0, 1e22, 123456789.123456789, 3.0};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        Json *json = json_real(values[i]);
        char *text = json_text(json, JSON_COMPACT);
        Json *back = parse(text);
        double value = json_number_value(back, 99.0);
        assert_memory_equal(&value, &values[i], sizeof value);
        assert_false(json_is_integer(back)); /* a real stays one */
        free(text);
        json_destroy(&json);
        json_destroy(&back);
    }
}

static void keys_keep_their_order(void **state)
{
    (void)state;
    Json *json = parse("{\"z\":1,\"a\":2,\"m\":3}");
    json_set(json, "b", json_integer(4));
    json_set(json, "a", json_integer(5)); /* keeps its place */
    static const char *const keys[] = {"z", "a", "m", "b"};
    const int64_t values[] = {1, 5, 3, 4};
    const char *walked = NULL;
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(json_key_at(json, i), keys[i]);
        assert_int_equal(json_integer_value(json_value_at(json, i), 0), values[i]);
        walked = json_next_key(json, walked);
        assert_string_equal(walked, keys[i]);
    }
    assert_null(json_next_key(json, walked));
    json_destroy(&json);
    json = json_object();
    assert_null(json_next_key(json, NULL));
    for (int i = 0; i < 1000; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", i * 7919 % 1000);
        json_set(json, key, json_integer(i));
    }
    int64_t wanted = 0;
    for (const char *key = json_next_key(json, NULL); key; key = json_next_key(json, key))
        assert_int_equal(json_integer_value(json_get(json, key), -1), wanted++);
    assert_int_equal(wanted, 1000);
    json_destroy(&json);
}

static void a_copy_stands_for_itself(void **state)
{
    (void)state;
    Json *json = parse("{\"a\":[1,{\"b\":2}]}"), *copy = json_copy(json), *part = json_copy(json_get(json, "a"));
    json_destroy(&json);
    assert_text(copy, JSON_COMPACT, "{\"a\":[1,{\"b\":2}]}");
    assert_text(part, JSON_COMPACT, "[1,{\"b\":2}]");
    json_destroy(&copy);
    json_destroy(&part);
}

static void invalid_utf8_is_replaced(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
        const char *wanted;
    } cases[] = {
        {"\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80", 9, "\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80"},
        {"a\xFFz", 3, "a\xEF\xBF\xBDz"},
        {"a\xC3", 2, "a\xEF\xBF\xBD"},
        {"\xC0\x80", 2, "\xEF\xBF\xBD\xEF\xBF\xBD"},
        {"\xED\xA0\x80", 3, "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
        {"\xF4\x90\x80\x80", 4, "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
        {"a\0z", 3, "a\xEF\xBF\xBDz"},
        {"", 0, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Json *json = json_string_bytes(cases[i].bytes, cases[i].size);
        assert_string_equal(json_string_value(json), cases[i].wanted);
        json_destroy(&json);
    }
    Json *json = json_object();
    json_set(json, "k\xFF", json_string("v\xFF"));
    assert_text(json, JSON_COMPACT, "{\"k\xEF\xBF\xBD\":\"v\xEF\xBF\xBD\"}");
    json_destroy(&json);
}

static void required_members_say_what_is_wrong(void **state)
{
    (void)state;
    Json *json = parse("{\"s\":\"x\",\"i\":7,\"r\":0.5,\"n\":null}");
    const char *text;
    int64_t integer;
    double number;
    assert_ok(json_require_string(json, "s", "a.json", &text, &diagnostic), &diagnostic);
    assert_string_equal(text, "x");
    assert_ok(json_require_integer(json, "i", "a.json", 7, 7, &integer, &diagnostic), &diagnostic);
    assert_int_equal(integer, 7);
    assert_ok(json_require_number(json, "i", "a.json", &number, &diagnostic), &diagnostic);
    assert_true(number == 7.0);
    assert_status(json_require_string(json, "q", "a.json", &text, &diagnostic), STATUS_INVALID_INPUT, &diagnostic);
    assert_string_equal(diagnostic.message, "a.json: key \"q\" is missing, expected a string");
    assert_status(json_require_string(json, "n", "a.json", &text, &diagnostic), STATUS_INVALID_INPUT, &diagnostic);
    assert_string_equal(diagnostic.message, "a.json: key \"n\" is null, expected a string");
    assert_status(json_require_integer(json, "r", "a.json", 0, 9, &integer, &diagnostic), STATUS_INVALID_INPUT, &diagnostic);
    assert_string_equal(diagnostic.message, "a.json: key \"r\" is a number, expected an integer");
    assert_status(json_require_integer(json, "i", "a.json", 8, 9, &integer, &diagnostic), STATUS_INVALID_INPUT, &diagnostic);
    assert_string_equal(diagnostic.message, "a.json: key \"i\" is 7, expected 8 to 9");
    assert_status(json_require_number(json, "s", "a.json", &number, &diagnostic), STATUS_INVALID_INPUT, &diagnostic);
    assert_status(json_require_number(json_get(json, "s"), "s", "a.json", &number, &diagnostic), STATUS_INVALID_INPUT, &diagnostic);
    assert_status(json_require_number(NULL, "s", "a.json", &number, &diagnostic), STATUS_INVALID_INPUT, &diagnostic);
    json_destroy(&json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_kinds_of_values_are_read),
        cmocka_unit_test(what_is_absent_or_of_another_kind_is_null_or_the_default),
        cmocka_unit_test(errors_tell_line_and_column_in_bytes),
        cmocka_unit_test(cut_and_nested_texts_are_refused),
        cmocka_unit_test(files_are_read_with_their_limit),
        cmocka_unit_test(what_is_built_is_written),
        cmocka_unit_test(reals_read_back_as_the_same_double),
        cmocka_unit_test(keys_keep_their_order),
        cmocka_unit_test(a_copy_stands_for_itself),
        cmocka_unit_test(invalid_utf8_is_replaced),
        cmocka_unit_test(required_members_say_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
