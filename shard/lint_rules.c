#include "shard/lint_rules.h"

#include <stdlib.h>
#include <string.h>

enum { DISTANCE_LENGTH_LIMIT = 128 };

const LintRuleEntry lint_rules[LINT_RULE_COUNT] = {
#define LINT_RULE_ENTRY(name, id, severity, fixable, summary) [LINT_##name] = {id, PROBLEM_##severity, fixable, summary},
    LINT_RULE_LIST(LINT_RULE_ENTRY)
#undef LINT_RULE_ENTRY
};

bool lint_rule_find(const char *id, LintRule *rule)
{
    for (int i = 0; i < LINT_RULE_COUNT; i++) {
        *rule = (LintRule)i;
        if (strcmp(lint_rules[i].id, id) == 0)
            return true;
    }
    return false;
}

const char *lint_rule_nearest(const char *id)
{
    int fewest = DISTANCE_LENGTH_LIMIT;
    const char *nearest = lint_rules[0].id;
    for (int i = 0; i < LINT_RULE_COUNT; i++) {
        int distance = lint_edit_distance(id, lint_rules[i].id, fewest - 1);
        if (distance < fewest) {
            fewest = distance;
            nearest = lint_rules[i].id;
        }
    }
    return nearest;
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

int lint_edit_distance(const char *a, const char *b, int limit)
{
    int a_size = (int)strnlen(a, DISTANCE_LENGTH_LIMIT + 1), b_size = (int)strnlen(b, DISTANCE_LENGTH_LIMIT + 1);
    if (a_size > DISTANCE_LENGTH_LIMIT || b_size > DISTANCE_LENGTH_LIMIT || abs(a_size - b_size) > limit)
        return limit + 1;
    int rows[3][DISTANCE_LENGTH_LIMIT + 1]; /* of the prefixes of a: this one, and the two before it */
    for (int j = 0; j <= b_size; j++)
        rows[0][j] = j;
    for (int i = 1; i <= a_size; i++) {
        int *row = rows[i % 3];
        const int *before = rows[(i + 2) % 3], *earlier = rows[(i + 1) % 3];
        row[0] = i;
        for (int j = 1; j <= b_size; j++) {
            row[j] = least(least(before[j], row[j - 1]) + 1, before[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], earlier[j - 2] + 1);
        }
    }
    return least(rows[a_size % 3][b_size], limit + 1);
}
