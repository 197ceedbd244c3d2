/* Lint: every problem of corpus files with its place. */
#ifndef NERSWEEP_SHARD_LINT_H
#define NERSWEEP_SHARD_LINT_H

#include "core/spans/labels.h"
#include "shard/corpus.h"
#include "shard/lint_rules.h"
#include "shard/wordpiece.h"

typedef struct LintProblem {
    const char *file; /* pointers live during the call */
    long line, column;
    ProblemSeverity severity;
    const char *rule;
    const char *message;
} LintProblem;
typedef void (*LintReport)(void *context, const LintProblem *problem);

/* Files of one role are one set. Those without a role are a set each, and all are compared with one another. */
typedef enum LintRole { LINT_ROLE_NONE, LINT_ROLE_TRAIN, LINT_ROLE_DEV, LINT_ROLE_TEST } LintRole;

typedef struct LintOptions {
    CorpusOptions corpus;
    bool scheme_given;
    LabelScheme scheme; /* when given; guessed from each file otherwise */
    bool strict;        /* warnings are reported as errors */
    bool disabled[LINT_RULE_COUNT];
    StringArray types;          /* the types that there may be; none: any. Not owned */
    const Wordpiece *wordpiece; /* for sentences longer than the window, or NULL */
    int64_t max_seq_length;     /* of the window, special pieces included */
    int64_t limit;              /* problems of one rule that are reported of each file; 0: all. All are counted */
} LintOptions;

typedef struct LintCounts {
    int64_t errors, warnings;
    int64_t found[LINT_RULE_COUNT], reported[LINT_RULE_COUNT];
} LintCounts;

/* A run over some files: add each of them, check each of them, then compare them with one another. Each file is read twice, in streams.
 * What is kept for the comparison is bounded: 4 million sentences (about 40 bytes each, and 4 for each of 32 million pairs of words),
 * one million annotated strings; what is beyond takes no part in it, and is said so. */
typedef struct Linter Linter;
/* options and what they point to must live as long as the linter. report may be NULL. */
Linter *linter_create(const LintOptions *options, LintReport report, void *context);
void linter_destroy(Linter **linter);
/* Reads a file, or each document of a brat folder, for what the checks of all files need to know. Fails when it cannot be read, or not to
 * its end; what can be read is checked even so. */
NODISCARD Status linter_add(Linter *linter, const char *path, LintRole role, Diagnostic *diagnostic);
int32_t linter_file_count(const Linter *linter);
/* Reports the problems of one file, by its number. After the last linter_add. */
NODISCARD Status linter_check(Linter *linter, int32_t file, Diagnostic *diagnostic);
/* Reports the problems that only several sentences or files have together. After the last linter_check. */
void linter_compare(Linter *linter);
const LintCounts *linter_counts(const Linter *linter);

/* All of it for one file. Fails only when the file cannot be read at all; problems go to report. */
NODISCARD Status lint_file(const char *path, const LintOptions *options, LintReport report, void *context, int64_t *errors,
                           int64_t *warnings, Diagnostic *diagnostic);

#endif
