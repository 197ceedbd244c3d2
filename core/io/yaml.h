/* YAML 1.2 by libfyaml, read into a tree of nodes that know their line and column. Aliases, anchors, tags and multiple documents are
 * refused; depth (32), nodes (100,000), text size (1 MiB) and runs of apostrophes (3) are bounded. */
#ifndef NERSWEEP_CORE_IO_YAML_H
#define NERSWEEP_CORE_IO_YAML_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/status.h"

typedef enum YamlKind { YAML_SCALAR, YAML_SEQUENCE, YAML_MAPPING } YamlKind;

/* Owned by the document; lives until yaml_destroy. */
typedef struct YamlNode YamlNode;
struct YamlNode {
    YamlKind kind;
    long line, column; /* from 1 */
    char *text;        /* scalar: its text without quotes; otherwise NULL */
    bool quoted;       /* scalar written in quotes or as a block: a string whatever it looks like */
    char **keys;       /* mapping: [count]; duplicates are refused while reading */
    long *key_lines;   /* mapping: [count] */
    long *key_columns; /* mapping: [count] */
    YamlNode **items;  /* sequence and mapping: [count] */
    size_t count;
};

typedef struct Yaml Yaml;
NODISCARD Status yaml_parse(Yaml **yaml, const char *text, size_t size, const char *name, Diagnostic *diagnostic);
NODISCARD Status yaml_read_file(Yaml **yaml, const char *path, Diagnostic *diagnostic);
void yaml_destroy(Yaml **yaml);
const YamlNode *yaml_root(const Yaml *yaml);
const char *yaml_name(const Yaml *yaml);
/* The item under key, or NULL. */
const YamlNode *yaml_get(const YamlNode *mapping, const char *key);
bool yaml_is_null(const YamlNode *node); /* plain null, ~ or empty */

#endif
