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

/* sweep_json.c: a value for people: numbers in the fewest digits that read back alike. NULL: "(nothing)". The caller frees it. */
char *sweep_value_text(const Json *value);

/* sweep_parameters.c */
void sweep_read_parameters(SweepReader *reader, const YamlNode *node);
const char *sweep_distribution_name(DistributionKind kind);

#endif
