/* Inside coordinator/ only: what the files that read a sweep file share. */
#ifndef NERSWEEP_COORDINATOR_SWEEP_INTERNAL_H
#define NERSWEEP_COORDINATOR_SWEEP_INTERNAL_H

#include "coordinator/sweep.h"
#include "core/io/yaml.h"

enum { SWEEP_PROBLEM_LIMIT = 100, SWEEP_CONFIGURATION_LIMIT = 1000000 };

typedef struct SweepReader {
    Sweep *sweep;
    SweepProblemArray *problems;
    const char *const *overrides;
    bool knows_method; /* it was given, and is one that there is */
} SweepReader;

/* Notes a problem at a place of the tree (negative lines are overrides). */
void sweep_problem(SweepReader *reader, long line, long column, const char *format, ...) PRINTF_LIKE(4, 5);

/* A mapping's keys and where their values go. object NULL: the keys are known, and read elsewhere. */
typedef struct SweepSection {
    const OptionTable *table;
    void *object;
} SweepSection;
/* Sets the scalars of a mapping and notes unknown keys (with the nearest known one), wrong types and values that are refused. */
void sweep_read_section(SweepReader *reader, const YamlNode *mapping, const char *name, const SweepSection *sections,
                        size_t section_count);
/* An integer of a node within a range; false (and a problem) otherwise. */
bool sweep_read_integer(SweepReader *reader, const YamlNode *node, const char *name, int64_t minimum, int64_t maximum,
                        int64_t *value);

/* Whether a node is of this kind and no null; false (and a problem, with what was expected) otherwise. */
bool sweep_require_kind(SweepReader *reader, const YamlNode *node, YamlKind kind, const char *name, const char *expected);
/* Index of the node's text in names (ended by NULL), or -1 and a problem. */
int sweep_read_choice(SweepReader *reader, const YamlNode *node, const char *name, const char *const *names, const char *expected);

/* sweep_json.c: a value for people: numbers in the fewest digits that read back alike. NULL: "(nothing)". The caller frees it. */
char *sweep_value_text(const Json *value);

/* sweep_parameters.c */
void sweep_read_parameters(SweepReader *reader, const YamlNode *node);

/* sweep_search.c: method, order, search, early_terminate, budget, warm_start. */
void sweep_read_search(SweepReader *reader, const YamlNode *root);
/* What only the whole can say: how many configurations there are, and whether each can be trained. Only of a sweep without other problems. */
void sweep_check_search(SweepReader *reader, const YamlNode *root);
/* The completed configurations of the sweeps that warm_start names. */
void sweep_read_warm_history(SweepReader *reader, const YamlNode *root);
const char *sweep_distribution_name(DistributionKind kind);

#endif
