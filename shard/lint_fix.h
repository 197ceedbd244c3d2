/* What lint finds and a machine can mend: a new file, and a list of the changes. */
#ifndef NERSWEEP_SHARD_LINT_FIX_H
#define NERSWEEP_SHARD_LINT_FIX_H

#include "core/io/json.h"
#include "shard/lint.h"

typedef struct LintChange {
    const char *file; /* pointers live during the call */
    long line;        /* of the input */
    LintRule rule;
    const char *before, *after; /* a token, a label, a line's end; of a sentence that is left out its tokens, and NULL */
    int64_t lines;              /* that are changed alike, this being the first; 1 usually */
} LintChange;
typedef void (*LintChanged)(void *context, const LintChange *change);
/* {file, line, rule, before, after, lines}; a new root. */
Json *lint_change_json(const LintChange *change);

typedef struct LintFixOptions {
    const LintOptions *lint; /* the reader's options, the scheme, and the rules that are mended: those not disabled */
    bool types; /* rename types that are misspelt by one character, or by their case, where the other is 20 times as frequent */
    bool duplicates;       /* leave out sentences that came before with the same labels */
    bool write_changes;    /* to OUTPUT.changes.jsonl */
    LintChanged on_change; /* or NULL */
    void *context;
} LintFixOptions;

typedef struct LintFixSummary {
    int64_t changes[LINT_RULE_COUNT], total;
    bool rewritten; /* the output holds tokens and labels alone */
} LintFixSummary;

/* Lines of CoNLL files stay as they are but for the changes; the byte-order mark, CR LF and white space at line ends go in any case.
 * CSV and JSON Lines are written anew. STATUS_UNSUPPORTED for formats of raw text, whose files hold more than is read. Output and list are
 * there when they are whole, or not at all; the input is never written to (STATUS_USAGE). What has no mechanical remedy stays. */
NODISCARD Status lint_fix(const char *input, const char *output, const LintFixOptions *options, LintFixSummary *summary,
                          Diagnostic *diagnostic);

#endif
