#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/io/yaml.h"
#include "tests/core/base/support.h"

static Diagnostic diagnostic;

static Yaml *parse(const char *text)
{
    Yaml *yaml;
    assert_ok(yaml_parse(&yaml, text, strlen(text), "a.yaml", &diagnostic), &diagnostic);
    return yaml;
}

static void assert_refused(const char *text, size_t size, Status wanted, long line, long column, const char *part)
{
    Yaml *yaml = (Yaml *)1;
    char *exact = malloc(size ? size : 1); /* so that a sanitizer sees what is read behind its end */
    memcpy(exact, text, size);
    assert_status(yaml_parse(&yaml, exact, size, "a.yaml", &diagnostic), wanted, &diagnostic);
    free(exact);
    assert_null(yaml);
    assert_string_equal(diagnostic.input_file, "a.yaml");
    if (diagnostic.input_line != line || diagnostic.input_column != column || !strstr(diagnostic.message, part))
        fail_msg("%ld:%ld: %s (of %.40s)", diagnostic.input_line, diagnostic.input_column, diagnostic.message, text);
}

static void assert_scalar(const YamlNode *node, const char *text, bool quoted, long line, long column)
{
    assert_non_null(node);
    assert_int_equal(node->kind, YAML_SCALAR);
    assert_string_equal(node->text, text);
    assert_int_equal(node->quoted, quoted);
    assert_int_equal(node->line, line);
    assert_int_equal(node->column, column);
}

static void a_sweep_file_becomes_a_tree_with_places(void **state)
{
    (void)state;
    Yaml *yaml = parse("name: wnut17   # a comment\n"
                       "data: {train: a.conll, dev: {main: \"b c.conll\"}}\n"
                       "seeds: [1, '2']\n"
                       "parameters:\n"
                       "  learning_rate:\n"
                       "    min: 1.0e-5\n"
                       "  f\xC3\xA4: \xC3\xA4 # two bytes\n"
                       "list:\n"
                       "- one\n"
                       "- two: 2\n");
    const YamlNode *root = yaml_root(yaml);
    assert_int_equal(root->kind, YAML_MAPPING);
    assert_int_equal(root->count, 5);
    assert_string_equal(yaml_name(yaml), "a.yaml");
    assert_scalar(yaml_get(root, "name"), "wnut17", false, 1, 7);
    const YamlNode *data = yaml_get(root, "data");
    assert_scalar(yaml_get(yaml_get(data, "dev"), "main"), "b c.conll", true, 2, 36);
    assert_string_equal(data->keys[1], "dev");
    assert_int_equal(data->key_lines[1], 2);
    assert_int_equal(data->key_columns[1], 24);
    assert_scalar(yaml_get(root, "seeds")->items[1], "2", true, 3, 12);
    const YamlNode *parameters = yaml_get(root, "parameters");
    assert_scalar(yaml_get(yaml_get(parameters, "learning_rate"), "min"), "1.0e-5", false, 6, 10);
    assert_scalar(yaml_get(parameters, "f\xC3\xA4"), "\xC3\xA4", false, 7, 8);
    const YamlNode *list = yaml_get(root, "list");
    assert_int_equal(list->kind, YAML_SEQUENCE);
    assert_scalar(list->items[0], "one", false, 9, 3);
    assert_scalar(yaml_get(list->items[1], "two"), "2", false, 10, 8);
    assert_null(yaml_get(root, "none"));
    assert_null(yaml_get(list, "none"));
    assert_null(yaml_get(NULL, "none"));
    yaml_destroy(&yaml);
    assert_null(yaml);
    yaml_destroy(&yaml);
}

static void plain_nulls_are_null_and_quoted_ones_are_text(void **state)
{
    (void)state;
    Yaml *yaml = parse("- null\n- ~\n-\n- 'null'\n- \"\"\n- nul\n- []\n- |\n  ~\n");
    const YamlNode *root = yaml_root(yaml);
    assert_int_equal(root->count, 8);
    const bool null[] = {true, true, true, false, false, false, false, false};
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(yaml_is_null(root->items[i]), null[i]);
    assert_string_equal(root->items[7]->text, "~\n");
    assert_false(yaml_is_null(NULL));
    yaml_destroy(&yaml);
}

static void an_empty_file_is_a_null(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "\n\n", "# only a comment\n", "---\n", "\xEF\xBB\xBF"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        Yaml *yaml = parse(texts[i]);
        assert_true(yaml_is_null(yaml_root(yaml)));
        yaml_destroy(&yaml);
    }
}

static void windows_lines_and_a_byte_order_mark_are_fine(void **state)
{
    (void)state;
    Yaml *yaml = parse("\xEF\xBB\xBF"
                       "a: 1\r\nb:\r\n  - 2\r\n");
    assert_scalar(yaml_get(yaml_root(yaml), "a"), "1", false, 1, 4);
    assert_scalar(yaml_get(yaml_root(yaml), "b")->items[0], "2", false, 3, 5);
    yaml_destroy(&yaml);
}

static void what_is_not_supported_is_refused_at_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        Status status;
        long line, column;
        const char *part;
    } cases[] = {
        {"a: 1\nb: &x 2\n", STATUS_UNSUPPORTED, 2, 4, "anchors"},
        {"a: &x {b: 1}\n", STATUS_UNSUPPORTED, 1, 4, "anchors"},
        {"a: *x\n", STATUS_UNSUPPORTED, 1, 4, "aliases"},
        {"a: !!int 3\n", STATUS_UNSUPPORTED, 1, 4, "tags"},
        {"a: !x [3]\n", STATUS_UNSUPPORTED, 1, 4, "tags"},
        {"a: 1\n---\nb: 2\n", STATUS_UNSUPPORTED, 2, 1, "second document"},
        {"a: 1\nb: 2\na: 3\nb: 4\n", STATUS_INVALID_INPUT, 3, 1, "\"a\" is there twice, first in line 1"},
        {"x: {k: 1, j: 2, \"k\": 3}\n", STATUS_INVALID_INPUT, 1, 17, "\"k\" is there twice"},
        {"? [a]\n: b\n", STATUS_INVALID_INPUT, 1, 3, "key"},
        {"? {a: 1}\n: b\n", STATUS_INVALID_INPUT, 1, 3, "key"},
        {"a: \"x\\0y\"\n", STATUS_INVALID_INPUT, 1, 4, "NUL"},
        {"a: [1, 2\nb: 3\n", STATUS_INVALID_INPUT, 3, 1, "closing bracket"},
        {"a: 'x\n", STATUS_INVALID_INPUT, 1, 5, "closing quote"},
        {"\xC3\xA4: [\xC3\xB6, }\n", STATUS_INVALID_INPUT, 1, 10, "not valid YAML"},
        {"a: 1\n\tb: 2\n", STATUS_INVALID_INPUT, 1, 4, "not valid YAML"},
        {"a: \xFF\n", STATUS_INVALID_INPUT, 1, 4, "UTF-8"},
        {"a: \xED\xA0\x80\n", STATUS_INVALID_INPUT, 1, 4, "UTF-8"},
        {"a: 1\nb: \x01\n", STATUS_INVALID_INPUT, 2, 4, "control character"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_refused(cases[i].text, strlen(cases[i].text), cases[i].status, cases[i].line, cases[i].column, cases[i].part);
    assert_refused("a: 1\0b", 6, STATUS_INVALID_INPUT, 1, 5, "control character");
    assert_refused("a: \xE2\x82", 5, STATUS_INVALID_INPUT, 1, 4, "UTF-8");
}

static void depth_nodes_and_size_are_bounded(void **state)
{
    (void)state;
    Text text = {0};
    for (int i = 0; i < 32; i++)
        text_append_string(&text, "[");
    for (int i = 0; i < 32; i++)
        text_append_string(&text, "]");
    Yaml *yaml = parse(text.bytes);
    yaml_destroy(&yaml);
    text_clear(&text);
    for (int i = 0; i < 33; i++)
        text_append_string(&text, "[");
    assert_refused(text.bytes, text.size, STATUS_LIMIT, 1, 33, "32 levels");
    for (int i = 0; i < 100000; i++)
        text_append_string(&text, "[");
    assert_refused(text.bytes, text.size, STATUS_LIMIT, 1, 33, "32 levels");
    text_clear(&text);
    for (int i = 0; i < 33; i++)
        text_append_string(&text, "- ");
    assert_refused(text.bytes, text.size, STATUS_LIMIT, 1, 65, "32 levels");

    text_clear(&text);
    text_append_string(&text, "[");
    for (int i = 1; i < 100000; i++)
        text_append_string(&text, "1,");
    text_append_string(&text, "]");
    yaml = parse(text.bytes);
    assert_int_equal(yaml_root(yaml)->count, 99999);
    yaml_destroy(&yaml);
    text.bytes[text.size - 1] = '1';
    text_append_string(&text, "]");
    assert_refused(text.bytes, text.size, STATUS_LIMIT, 1, 200000, "100000 values");

    text_clear(&text);
    text_append_string(&text, "# ");
    while (text.size < 1024 * 1024)
        text_append_string(&text, "x");
    yaml = parse(text.bytes);
    yaml_destroy(&yaml);
    text_append_string(&text, "x");
    assert_status(yaml_parse(&yaml, text.bytes, text.size, "a.yaml", &diagnostic), STATUS_LIMIT, &diagnostic);
    text_free(&text);
}

/* What the library would misread. */
static void apostrophes_in_a_row_are_refused(void **state)
{
    (void)state;
    Yaml *yaml = parse("a: 'it''s'\nb: '''s'\nc: \"'''\"\nd: ''\n");
    assert_string_equal(yaml_get(yaml_root(yaml), "a")->text, "it's");
    assert_string_equal(yaml_get(yaml_root(yaml), "b")->text, "'s");
    assert_string_equal(yaml_get(yaml_root(yaml), "c")->text, "'''");
    assert_string_equal(yaml_get(yaml_root(yaml), "d")->text, "");
    yaml_destroy(&yaml);
    assert_refused("a: 1\nb: 'x''''y'\n", 17, STATUS_LIMIT, 2, 6, "4 apostrophes");
}

static void many_keys_are_compared_in_reasonable_time(void **state)
{
    (void)state;
    Text text = {0};
    for (int i = 0; i < 40000; i++)
        text_format(&text, "key%d: %d\n", i, i);
    Yaml *yaml = parse(text.bytes);
    assert_int_equal(yaml_root(yaml)->count, 40000);
    assert_string_equal(yaml_get(yaml_root(yaml), "key39999")->text, "39999");
    yaml_destroy(&yaml);
    text_append_string(&text, "key7: again\n");
    assert_refused(text.bytes, text.size, STATUS_INVALID_INPUT, 40001, 1, "\"key7\" is there twice, first in line 8");
    text_free(&text);
}

static void a_text_cut_anywhere_gives_a_tree_or_a_place(void **state)
{
    (void)state;
    const char *text =
        "name: \"w\\u00e9\\x41\" # c\ndata: {a: [1, 'b', {c: ~}], ? d : e}\nblock: |+\n  x\n\nfolded: >-\n  y\n  z\n- z\n";
    for (size_t size = 0; size <= strlen(text); size++) {
        Yaml *yaml;
        char *exact = malloc(size ? size : 1);
        memcpy(exact, text, size);
        Status status = yaml_parse(&yaml, exact, size, "cut", &diagnostic);
        if (status == STATUS_OK) {
            yaml_destroy(&yaml);
        } else {
            assert_status(status, STATUS_INVALID_INPUT, &diagnostic);
            assert_true(diagnostic.input_line >= 1 && diagnostic.input_column >= 1);
        }
        free(exact);
    }
}

static void damaged_texts_never_do_more_than_fail(void **state)
{
    (void)state;
    const char *text = "name: x\ndata: {a: [1, 'b'], c: \"d\"}\nlist:\n- |\n  e\n- f: g\n  h: >\n    i\n";
    static const char bytes[] = "\n\t :-?,[]{}#&*!|>'\"%@`a\\\xC3";
    size_t size = strlen(text);
    uint32_t seed = 1;
    for (int round = 0; round < 20000; round++) {
        char damaged[128];
        memcpy(damaged, text, size);
        for (int i = 0; i < 3; i++) {
            seed = seed * 1664525u + 1013904223u;
            damaged[(seed >> 8) % size] = bytes[(seed >> 24) % (sizeof bytes - 1)];
        }
        Yaml *yaml;
        Status status = yaml_parse(&yaml, damaged, size, "damaged", &diagnostic);
        assert_true(status == STATUS_OK || status == STATUS_INVALID_INPUT || status == STATUS_UNSUPPORTED);
        yaml_destroy(&yaml);
    }
}

static void files_are_read_by_name(void **state)
{
    (void)state;
    char *folder = scratch_make();
    const char *path = scratch_path(folder, "a.yaml");
    Yaml *yaml;
    scratch_write(path, "a: 1\n", 5);
    assert_ok(yaml_read_file(&yaml, path, &diagnostic), &diagnostic);
    assert_string_equal(yaml_name(yaml), path);
    yaml_destroy(&yaml);
    scratch_write(path, "a: [\n", 5);
    assert_status(yaml_read_file(&yaml, path, &diagnostic), STATUS_INVALID_INPUT, &diagnostic);
    assert_string_equal(diagnostic.input_file, path);
    assert_status(yaml_read_file(&yaml, scratch_path(folder, "none"), &diagnostic), STATUS_NOT_FOUND, &diagnostic);
    scratch_remove(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sweep_file_becomes_a_tree_with_places),
        cmocka_unit_test(plain_nulls_are_null_and_quoted_ones_are_text),
        cmocka_unit_test(an_empty_file_is_a_null),
        cmocka_unit_test(windows_lines_and_a_byte_order_mark_are_fine),
        cmocka_unit_test(what_is_not_supported_is_refused_at_its_place),
        cmocka_unit_test(depth_nodes_and_size_are_bounded),
        cmocka_unit_test(apostrophes_in_a_row_are_refused),
        cmocka_unit_test(many_keys_are_compared_in_reasonable_time),
        cmocka_unit_test(a_text_cut_anywhere_gives_a_tree_or_a_place),
        cmocka_unit_test(damaged_texts_never_do_more_than_fail),
        cmocka_unit_test(files_are_read_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
