/* Lint: every problem of a corpus file with its place. */
#ifndef NERSWEEP_SHARD_LINT_H
#define NERSWEEP_SHARD_LINT_H

#include "core/spans/labels.h"
#include "shard/corpus.h"

typedef struct LintProblem {
    const char *file; /* pointers live during the call */
    long line, column;
    ProblemSeverity severity;
    const char *rule;
    const char *message;
} LintProblem;
typedef void (*LintReport)(void *context, const LintProblem *problem);

typedef struct LintOptions {
    CorpusOptions corpus;
    bool scheme_given;
    LabelScheme scheme; /* when given; guessed otherwise */
    bool strict;        /* warnings are reported as errors */
} LintOptions;

/* Rules: encoding, column-count, empty-label, unknown-prefix, inside-without-begin (warning), scheme-transition, long-line, empty-token,
 * inner-space. Fails only when the file cannot be read at all; problems go to report. */
NODISCARD Status lint_file(const char *path, const LintOptions *options, LintReport report, void *context, int64_t *errors, int64_t *warnings,
                           Diagnostic *diagnostic);

#endif
