/* Lint: every problem of a corpus file with its place; and statistics of corpora. */
#ifndef NERSWEEP_SHARD_LINT_H
#define NERSWEEP_SHARD_LINT_H

#include "core/io/json.h"
#include "core/spans/labels.h"
#include "shard/corpus.h"
#include "shard/wordpiece.h"

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

/* {file, sentences, tokens, spans, spans_by_type, labels, scheme, length: {mean, median, p95, max}, pieces (with wordpiece only):
 * {mean, median, p95, max, unk}, duplicate_sentences, span_diversity: {TYPE: distinct forms / spans}}. train (may be NULL): an earlier
 * file's stats object whose sentences overlap_with_train is counted against. A new root. */
typedef struct CorpusStats CorpusStats;
NODISCARD Status corpus_stats_create(CorpusStats **stats, const char *path, CorpusOptions options, const Wordpiece *wordpiece,
                                     Diagnostic *diagnostic);
void corpus_stats_destroy(CorpusStats **stats);
Json *corpus_stats_json(const CorpusStats *stats, const CorpusStats *train);

#endif
