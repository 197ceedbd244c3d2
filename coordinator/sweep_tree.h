/* Inside coordinator/ only: the sweep file as a tree with the command line's overrides put in. */
#ifndef NERSWEEP_COORDINATOR_SWEEP_TREE_H
#define NERSWEEP_COORDINATOR_SWEEP_TREE_H

#include "core/base/memory.h"
#include "core/io/yaml.h"

/* A copy of root with "PATH.TO.KEY=VALUE" put in, in arena. A node that override i set has line -(i + 1) and column 0. VALUE is a plain text,
 * or YAML when it begins with [, { or a quotation mark. STATUS_USAGE names the override that is none, or that leads through a value. */
NODISCARD Status sweep_tree_build(YamlNode **tree, Arena *arena, const YamlNode *root, const char *const *overrides,
                                  size_t override_count, Diagnostic *diagnostic);

#endif
