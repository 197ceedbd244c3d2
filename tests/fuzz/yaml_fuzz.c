/* YAML: a tree within its bounds, each node with a place in the text. */
#include <string.h>

#include "core/io/yaml.h"
#include "tests/fuzz/harness.h"

enum { DEPTH_LIMIT = 32 };

static void check_node(const YamlNode *node, long lines, int depth)
{
    ASSERT(depth <= DEPTH_LIMIT && node->line >= 1 && node->line <= lines && node->column >= 1);
    ASSERT((node->kind == YAML_SCALAR) == (node->text != NULL) && (node->kind != YAML_SCALAR || node->count == 0));
    if (node->text)
        ASSERT(fuzz_is_utf8((const uint8_t *)node->text, strlen(node->text)));
    for (size_t i = 0; i < node->count; i++) {
        check_node(node->items[i], lines, depth + 1);
        if (node->kind == YAML_MAPPING)
            ASSERT(yaml_get(node, node->keys[i]) == node->items[i] && node->key_lines[i] >= 1 && node->key_lines[i] <= lines);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    Yaml *yaml = NULL;
    Diagnostic diagnostic = {0};
    long lines = 1;
    for (size_t i = 0; i < size; i++)
        lines += bytes[i] == '\n';
    Status status = yaml_parse(&yaml, (const char *)bytes, size, "a.yaml", &diagnostic);
    if (status == STATUS_OK)
        check_node(yaml_root(yaml), lines, 0);
    else
        fuzz_check_refused_line(status, &diagnostic, "a.yaml");
    yaml_destroy(&yaml);
    return 0;
}
