#include "coordinator/sweep_tree.h"

#include <stdio.h>
#include <string.h>

enum { OVERRIDE_DEPTH_LIMIT = 16 };

static char *copy_text(Arena *arena, const char *text)
{
    return text ? arena_copy_bytes(arena, text, strlen(text)) : NULL;
}

/* line 0: as in the file. */
static YamlNode *copy_node(Arena *arena, const YamlNode *node, long line)
{
    YamlNode *copy = arena_allocate(arena, 1, sizeof *copy);
    *copy = *node;
    copy->text = copy_text(arena, node->text);
    if (line)
        copy->line = line, copy->column = 0;
    if (node->kind == YAML_SCALAR)
        return copy;
    copy->items = arena_allocate(arena, node->count + 1, sizeof *copy->items);
    for (size_t i = 0; i < node->count; i++)
        copy->items[i] = copy_node(arena, node->items[i], line);
    if (node->kind == YAML_SEQUENCE)
        return copy;
    copy->keys = arena_allocate(arena, node->count + 1, sizeof *copy->keys);
    copy->key_lines = arena_allocate(arena, node->count + 1, sizeof *copy->key_lines);
    copy->key_columns = arena_allocate(arena, node->count + 1, sizeof *copy->key_columns);
    for (size_t i = 0; i < node->count; i++) {
        copy->keys[i] = copy_text(arena, node->keys[i]);
        copy->key_lines[i] = line ? line : node->key_lines[i];
        copy->key_columns[i] = line ? 0 : node->key_columns[i];
    }
    return copy;
}

static YamlNode *new_mapping(Arena *arena, long line)
{
    YamlNode empty = {.kind = YAML_MAPPING, .line = line};
    return copy_node(arena, &empty, line);
}

/* Replaces the item under key, or adds it at the end. */
static void mapping_put(Arena *arena, YamlNode *mapping, const char *key, YamlNode *item, long line)
{
    for (size_t i = 0; i < mapping->count; i++)
        if (strcmp(mapping->keys[i], key) == 0) {
            mapping->items[i] = item;
            mapping->key_lines[i] = line;
            mapping->key_columns[i] = 0;
            return;
        }
    size_t count = mapping->count;
    YamlNode **items = arena_allocate(arena, count + 1, sizeof *items);
    char **keys = arena_allocate(arena, count + 1, sizeof *keys);
    long *lines = arena_allocate(arena, count + 1, sizeof *lines);
    long *columns = arena_allocate(arena, count + 1, sizeof *columns);
    for (size_t i = 0; i < count; i++) {
        items[i] = mapping->items[i];
        keys[i] = mapping->keys[i];
        lines[i] = mapping->key_lines[i];
        columns[i] = mapping->key_columns[i];
    }
    items[count] = item;
    keys[count] = copy_text(arena, key);
    lines[count] = line;
    mapping->items = items;
    mapping->keys = keys;
    mapping->key_lines = lines;
    mapping->key_columns = columns;
    mapping->count++;
}

static Status parse_value(YamlNode **node, Arena *arena, const char *text, long line, const char *override, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Yaml *yaml = NULL;
    if (text[0] && strchr("[{\"'", text[0])) {
        status = yaml_parse(&yaml, text, strlen(text), "--set", diagnostic);
        if (status != STATUS_OK) {
            diagnostic_prefix(diagnostic, "--set %s", override);
            goto out;
        }
        *node = copy_node(arena, yaml_root(yaml), line);
    } else {
        YamlNode scalar = {.kind = YAML_SCALAR, .text = (char *)text};
        *node = copy_node(arena, &scalar, line);
    }
out:
    yaml_destroy(&yaml);
    return status;
}

static Status apply_override(YamlNode *root, Arena *arena, const char *override, long line, Diagnostic *diagnostic)
{
    const char *equals = strchr(override, '=');
    if (!equals || equals == override)
        return FAIL(diagnostic, STATUS_USAGE, "--set %s: expected KEY=VALUE, e.g. --set data.train=train.conll", override);
    YamlNode *value = NULL, *place = root;
    Status status = parse_value(&value, arena, equals + 1, line, override, diagnostic);
    if (status != STATUS_OK)
        return status;
    const char *key = override;
    for (int depth = 0; depth < OVERRIDE_DEPTH_LIMIT; depth++) {
        size_t size = strcspn(key, ".=");
        if (size == 0)
            break;
        char *name = arena_copy_bytes(arena, key, size);
        key += size;
        if (key == equals) {
            mapping_put(arena, place, name, value, line);
            return STATUS_OK;
        }
        key++;
        YamlNode *next = (YamlNode *)yaml_get(place, name);
        if (!next || (next->kind == YAML_SCALAR && yaml_is_null(next))) {
            next = new_mapping(arena, line);
            mapping_put(arena, place, name, next, line);
        }
        if (next->kind != YAML_MAPPING)
            return FAIL(diagnostic, STATUS_USAGE, "--set %s: \"%s\" is a value in the sweep file, there is no key below it",
                        override, name);
        place = next;
    }
    return FAIL(diagnostic, STATUS_USAGE, "--set %s: an empty key, or more than %d of them", override, OVERRIDE_DEPTH_LIMIT);
}

Status sweep_tree_build(YamlNode **tree, Arena *arena, const YamlNode *root, const char *const *overrides, size_t override_count,
                        Diagnostic *diagnostic)
{
    *tree = copy_node(arena, root, 0);
    if ((*tree)->kind != YAML_MAPPING)
        return STATUS_OK; /* the reader says what a sweep file looks like */
    for (size_t i = 0; i < override_count; i++) {
        Status status = apply_override(*tree, arena, overrides[i], -(long)i - 1, diagnostic);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}
