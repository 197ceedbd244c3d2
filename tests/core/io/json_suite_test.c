/* RFC 8259 case by case: what every parser must take, what none may, and what we decided where it leaves the choice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/io/json.h"

static Status parse(const char *text, size_t size, Diagnostic *diagnostic)
{
    Json *json = NULL;
    Status status = json_parse(&json, text, size, "a.json", diagnostic);
    assert_int_equal(status == STATUS_OK, json != NULL);
    json_destroy(&json);
    return status;
}

static void refuse(const char *text, size_t size, Status wanted)
{
    Diagnostic diagnostic = {0};
    Status status = parse(text, size, &diagnostic);
    if (status != wanted)
        fail_msg("%.60s: %s", text, status_name(status));
    assert_string_equal(diagnostic.input_file, "a.json");
    assert_true(diagnostic.input_line >= 1 && diagnostic.input_column >= 1 && diagnostic.message[0]);
}

static void what_is_json_is_read(void **state)
{
    (void)state;
    static const char *const texts[] = {
        /* structure and white space */
        "[]",
        "{}",
        " [] ",
        "\t[\n]\r\n",
        "[[]   ]",
        "[[],[[]]]",
        "{\"a\":[]}",
        "[ 4]",
        "[1\n]",
        "[1,null,null,null,2]",
        "[\"\"]",
        "{\"\":0}",
        "{\"a\":\"b\",\"c\":\"d\"}",
        "{\"a\" : 1 , \"b\":2}",
        "{\n\"a\": \"b\"\n}",
        "\"asd\"",
        "42",
        "-0.1",
        "null",
        "true",
        "false",
        "[ \"asd\"]",
        "\"\"",
        "[\"a\"]\n",
        "{\"foo\\u0062ar\":1}",
        /* numbers */
        "[0]",
        "[-0]",
        "[-1]",
        "[123]",
        "[0e+1]",
        "[0e1]",
        "[1e1]",
        "[1E22]",
        "[1E-2]",
        "[1E+2]",
        "[123e45]",
        "[123.456e78]",
        "[1e-2]",
        "[1e+2]",
        "[123.456789]",
        "[-123]",
        "[-0.000000000000000000000000000000000000000000000000000000000000000000000001]",
        "[9223372036854775807]",
        "[-9223372036854775808]",
        "[1.5]",
        "[20e1]",
        "[0.1e-400]",
        /* strings */
        "[\"\\u0060\\u012a\\u12AB\"]",
        "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]",
        "[\"\\\\u0000\"]",
        "[\"\\\\a\"]",
        "[\"\\\\n\"]",
        "[\"\\u0012\"]",
        "[\"\\uFFFF\"]",
        "[\"\\uFFFE\"]",
        "[\"\\uFDD0\"]",
        "[\"\\u00E9\"]",
        "[\"\\u2028\\u2029\"]",
        "[\"\\u0022\"]",
        "[\"\\u005C\"]",
        "[\"\\uD801\\udc37\"]",
        "[\"\\ud83d\\ude39\\ud83d\\udc8d\"]",
        "[\"\\uDBFF\\uDFFF\"]",
        "[\"\\uDBFF\\uDFFE\"]",
        "[\"\\u200B\"]",
        "[\"a/*b*/c/*d//e\"]",
        "[\"\xE2\x80\xA8\xE2\x80\xA9\"]",
        "[\"\xC3\xA9\xF0\x9F\x98\x80\"]",
        "[\"\xEF\xBF\xBF\"]",
        "[\"\xF4\x8F\xBF\xBF\"]",
        "[\"\x7F\"]",
        "[\"a\x7F"
        "b\"]",
        "[\" \"]",
        "[\"new\xC2\xA0line\"]",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        Diagnostic diagnostic = {0};
        if (parse(texts[i], strlen(texts[i]), &diagnostic) != STATUS_OK)
            fail_msg("%s: %s", texts[i], diagnostic.message);
    }
}

static void what_is_no_json_is_refused_with_its_place(void **state)
{
    (void)state;
    static const char *const texts[] = {
        /* nothing, or something behind the value */
        "",
        " ",
        "\n",
        "[1]x",
        "[1]]",
        "{}}",
        "[][]",
        "{\"a\":1} \"x\"",
        "[]\xE2\x81\xA0",
        "2@",
        "{\"a\":\"b\"}/**/",
        "{\"a\":\"b\"}//",
        "{\"a\":\"b\"}#",
        "1]",
        "\xEF\xBB\xBF",
        /* lists */
        "[",
        "]",
        "[1,]",
        "[,1]",
        "[1,,2]",
        "[,]",
        "[1 2]",
        "[1:2]",
        "[\"\",]",
        "[\"\"],",
        "[\"x\"",
        "[1,\n1\n,1",
        "[x",
        "[3[4]]",
        "[*]",
        "[-]",
        "[a\xC3\xA5]",
        "[   , \"\"]",
        "[\"a\",\n4\n,1,",
        "[{}",
        "[1,{",
        "[<null>]",
        "[{]",
        "[\f]",
        "[\v]",
        "[\xC2\xA0]",
        "[\xE2\x80\x8B]",
        "['a']",
        "[undefined]",
        "[NaN]",
        "[Infinity]",
        "[-Infinity]",
        "[+Inf]",
        "[nul]",
        "[tru]",
        "[fals]",
        "[True]",
        "[nulll]",
        "[TRUE]",
        "[trueX]",
        "nul",
        "n",
        "[\"a\\",
        /* objects */
        "{",
        "}",
        "{\"a\"",
        "{\"a\":",
        "{\"a\" 1}",
        "{\"a\":1,}",
        "{\"a\":1,,\"b\":2}",
        "{,\"a\":1}",
        "{:\"b\"}",
        "{\"a\",1}",
        "{a:1}",
        "{1:1}",
        "{'a':0}",
        "{null:null}",
        "{\"x\"::\"b\"}",
        "{\"x\", null}",
        "{\"a\":\"a\" 123}",
        "{\"a\": true} x",
        "{[: \"x\"}\n",
        "{\"id\":0,}",
        "{\"a\":/*c*/1}",
        "{\"a\":\"b\",\"c\"}",
        "{\xF0\x9F\x87\xA8}",
        "{9999E9999:1}",
        "{\"a\":1}}",
        "{\"a\" \"b\"}",
        /* numbers */
        "[01]",
        "[-01]",
        "[00]",
        "[+1]",
        "[1.]",
        "[.5]",
        "[-.5]",
        "[1.e1]",
        "[2.e3]",
        "[0.e1]",
        "[1e]",
        "[1E]",
        "[1e+]",
        "[1E-]",
        "[0e]",
        "[0E+]",
        "[0.3e]",
        "[0.3e+]",
        "[1.0e-]",
        "[1eE2]",
        "[--1]",
        "[-]",
        "[- 1]",
        "[1 000]",
        "[0x1]",
        "[0x]",
        "[1a]",
        "[-1x]",
        "[1.2a]",
        "[1.2.3]",
        "[-2.]",
        "[.-1]",
        "[9.e+]",
        "[++1]",
        "[012]",
        "[-012]",
        "[1e1.5]",
        "[\xEF\xBC\x91]",
        "[1ea]",
        "[1+2]",
        "[0.1.2]",
        /* strings */
        "[\"]",
        "\"",
        "[\"a]",
        "[\"\n\"]",
        "[\"\t\"]",
        "[\"\x1F\"]",
        "[\"a\x01\"]",
        "[\"\\x00\"]",
        "[\"\\u00A\"]",
        "[\"\\u\"]",
        "[\"\\uD834\\uDd\"]",
        "[\"\\u00G0\"]",
        "[\"\\a\"]",
        "[\"\\'\"]",
        "[\"\\\"]",
        "[\"\\\\\\\"]",
        "[\"\\\t\"]",
        "[\"\\\xF0\x9F\x8C\x80\"]",
        "[\\u0020\"a\"]",
        "[\\n]",
        "[\"\\uqqqq\"]",
        "[\"\\U0041\"]",
        "[\"\\u 041\"]",
        "[\"\\u-041\"]",
        "[\"\\u{41}\"]",
        "[\"\\\n\"]",
        "['single']",
        "[\xE2\x80\x9Cx\xE2\x80\x9D]",
        /* no UTF-8 */
        "[\"\xFF\"]",
        "[\"\xC0\xAF\"]",
        "[\"\xE0\x80\xAF\"]",
        "[\"\xED\xA0\x80\"]",
        "[\"\xF4\x90\x80\x80\"]",
        "[\"\xF8\x88\x80\x80\x80\"]",
        "[\"\xE9\"]",
        "[\"\xE2\x82\"]",
        "[\x80]",
        "\xFF",
        "{\"\xE9\":1}",
        "[1\xE5]",
        "[1e1\xE5]",
        "[0\xE5]",
        "[\"\\u\xE5\"]",
        "[\"\\\xE5\"]",
        /* half surrogate pairs (the RFC leaves them to us) */
        "[\"\\uD800\"]",
        "[\"\\uDC00\"]",
        "[\"\\uD800\\n\"]",
        "[\"\\uD800\\uD800\\uDC00\"]",
        "[\"\\uDd1e\\uD834\"]",
        "[\"\\uD800abc\"]",
        /* and numbers beyond their type, NUL, a byte-order mark, keys that are there twice */
        "[9223372036854775808]",
        "[-9223372036854775809]",
        "[123123123123123123123123123123]",
        "[1e400]",
        "[-1e9999]",
        "[0.4e006699999]",
        "[\"\\u0000\"]",
        "{\"a\\u0000b\":1}",
        "\xEF\xBB\xBF{}",
        "{\"a\":1,\"a\":1}",
        "{\"a\":1,\"\\u0061\":2}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        refuse(texts[i], strlen(texts[i]), STATUS_INVALID_INPUT);
}

static void a_nul_byte_is_refused_wherever_it_stands(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t size;
    } texts[] = {{"\0", 1},         {"123\0", 4}, {"[1\0]", 4},       {"[1,\0 2]", 7},
                 {"[\"a\0b\"]", 7}, {"[]\0", 3},  {"{\"a\0\":1}", 8}, {"[1.5\0,2]", 8}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        refuse(texts[i].text, texts[i].size, STATUS_INVALID_INPUT);
}

static char *repeated(const char *before, const char *part, size_t count, const char *after, size_t *size)
{
    Text text = {0};
    text_append_string(&text, before);
    for (size_t i = 0; i < count; i++)
        text_append_string(&text, part);
    text_append_string(&text, after);
    *size = text.size;
    return text_take(&text);
}

static void bombs_are_refused_before_memory_is_taken(void **state)
{
    (void)state;
    static const struct {
        const char *before, *part;
        size_t count;
        const char *after;
        Status wanted;
    } bombs[] = {
        {"", "[", 100000, "", STATUS_INVALID_INPUT},
        {"", "[{\"\":", 50000, "\n", STATUS_INVALID_INPUT},
        {"", "{\"a\":", JSON_DEPTH_LIMIT + 1, "1", STATUS_INVALID_INPUT},
        {"[", "[],", JSON_CONTAINER_LIMIT + 1, "1]", STATUS_LIMIT},
        {"[\"[[\\\"[\",", "{},", JSON_CONTAINER_LIMIT + 1, "1]", STATUS_LIMIT},
        {"[", "1,", JSON_VALUE_LIMIT + 1, "1]", STATUS_LIMIT},
    };
    for (size_t i = 0; i < sizeof bombs / sizeof *bombs; i++) {
        size_t size;
        char *text = repeated(bombs[i].before, bombs[i].part, bombs[i].count, bombs[i].after, &size);
        refuse(text, size, bombs[i].wanted);
        free(text);
    }
}

static void what_stands_within_the_bounds_is_read(void **state)
{
    (void)state;
    static const struct {
        const char *before, *part;
        size_t count;
        const char *after;
    } texts[] = {
        {"[", "1,", 2000000, "1]"},
        {"[\"", "[{,:\\\"", 1000000, "\"]"}, /* brackets in a string are none */
        {"[\"\\\\\",\"", "[", 3000000, "\"]"},
        {"[\"", "x", 20000000, "\"]"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        size_t size;
        Diagnostic diagnostic = {0};
        char *text = repeated(texts[i].before, texts[i].part, texts[i].count, texts[i].after, &size);
        if (parse(text, size, &diagnostic) != STATUS_OK)
            fail_msg("case %zu: %s", i, diagnostic.message);
        free(text);
    }
    Text deep = {0};
    for (int i = 0; i < JSON_DEPTH_LIMIT; i++)
        text_append_string(&deep, "[");
    for (int i = 0; i < JSON_DEPTH_LIMIT; i++)
        text_append_string(&deep, "]");
    Diagnostic diagnostic = {0};
    assert_int_equal(parse(deep.bytes, deep.size, &diagnostic), STATUS_OK);
    text_free(&deep);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_json_is_read),
        cmocka_unit_test(what_is_no_json_is_refused_with_its_place),
        cmocka_unit_test(a_nul_byte_is_refused_wherever_it_stands),
        cmocka_unit_test(bombs_are_refused_before_memory_is_taken),
        cmocka_unit_test(what_stands_within_the_bounds_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
