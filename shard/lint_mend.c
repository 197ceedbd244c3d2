#include "shard/lint_mend.h"

#include <stdlib.h>
#include <string.h>

#include "core/io/hash.h"
#include "shard/lint_internal.h"

enum { MENDED_NAMES_KEPT = 4096, MENDED_TIMES = 20 };

void lint_mender_free(Mender *mender)
{
    label_set_destroy(&mender->types);
    label_set_destroy(&mender->names);
    label_spans_free(&mender->spans);
    hash_set_free(&mender->seen);
    hash_set_free(&mender->counted);
    array_free(&mender->counts);
    array_free(&mender->meant);
    array_free(&mender->ids);
    array_free(&mender->parts);
    array_free(&mender->tokens);
    array_free(&mender->mended);
}

bool lint_labels_are_fine(const CorpusSentence *sentence)
{
    LabelParts parts;
    for (int32_t i = 0; i < sentence->token_count; i++)
        if (!label_split(sentence->tokens[i].label, &parts))
            return false;
    return true;
}

static bool is_wanted(const Mender *mender, LintRule rule)
{
    return !mender->options->lint->disabled[rule];
}

/* False when the set has it, or has no room for it and cannot know. */
static bool sentence_is_new(HashSet *set, uint64_t hash)
{
    return set->count >= LINT_SENTENCE_LIMIT ? !hash_set_has(set, hash) : hash_set_add(set, hash);
}

static bool drops_duplicates(const Mender *mender)
{
    return mender->options->duplicates && is_wanted(mender, LINT_DUPLICATE_SENTENCE);
}

void lint_mender_survey(Mender *mender, const CorpusSentence *sentence)
{
    uint64_t hash = 0;
    if (!mender->types)
        mender->types = label_set_create();
    if (label_spans_extract(&mender->spans, sentence, mender->path, NULL) != STATUS_OK)
        return;
    for (int32_t i = 0; i < sentence->token_count; i++) {
        hash = lint_hash_join(hash, checksum64(sentence->tokens[i].text, sentence->tokens[i].text_size));
        hash = lint_hash_join(hash, checksum64(sentence->tokens[i].label, strlen(sentence->tokens[i].label)));
    }
    if (drops_duplicates(mender) && sentence->token_count >= LINT_DUPLICATE_TOKENS && !sentence_is_new(&mender->counted, hash))
        return; /* what goes is no witness of how types are spelt */
    for (size_t i = 0; i < mender->spans.spans.count; i++) {
        const char *name = mender->spans.table->type_names[mender->spans.spans.items[i].type];
        if (label_set_count(mender->types) >= LINT_TYPE_LIMIT && label_set_find(mender->types, name) < 0)
            continue;
        size_t type = (size_t)label_set_add(mender->types, name);
        while (mender->counts.count <= type)
            array_push(&mender->counts, 0);
        mender->counts.items[type]++;
    }
}

/* A type that is renamed counts for the other from then on, so that a second run finds nothing more. */
void lint_mender_plan(Mender *mender)
{
    int32_t count = mender->types ? label_set_count(mender->types) : 0;
    for (int32_t type = 0; type < count; type++)
        array_push(&mender->meant, type);
    bool more = mender->options->types && is_wanted(mender, LINT_MISSPELT_TYPE);
    for (int32_t round = 0; more && round < count; round++) {
        more = false;
        for (int32_t type = 0; type < count; type++) {
            int distance = 2;
            int64_t *counts = mender->counts.items;
            int32_t meant = counts[type] > 0 ? lint_type_meant(mender->types, counts, type, &distance) : -1;
            if (meant < 0 || distance > 1 || counts[meant] < MENDED_TIMES * counts[type])
                continue;
            for (int32_t i = 0; i < count; i++)
                if (mender->meant.items[i] == type)
                    mender->meant.items[i] = meant;
            counts[meant] += counts[type];
            counts[type] = 0;
            more = true;
        }
    }
}

static void tell(Mender *mender, long line, LintRule rule, const char *before, const char *after)
{
    LintChange change = {.file = mender->path, .line = line, .rule = rule, .before = before, .after = after, .lines = 1};
    mender->changed(mender->context, &change);
}

static const char *name_of(Mender *mender, const char *name)
{
    return label_set_name(mender->names, label_set_add(mender->names, name));
}

static void types_mend(Mender *mender)
{
    for (size_t i = 0; i < mender->tokens.count; i++) {
        CorpusToken *token = &mender->tokens.items[i];
        LabelParts parts;
        if (!label_split(token->label, &parts) || parts.prefix == PREFIX_O)
            continue;
        int32_t type = label_set_find(mender->types, parts.type);
        if (type < 0 || mender->meant.items[type] == type)
            continue;
        char *label = memory_format("%.*s%s", (int)(parts.type - token->label), token->label,
                                    label_set_name(mender->types, mender->meant.items[type]));
        tell(mender, token->line, LINT_MISSPELT_TYPE, token->label, label);
        token->label = name_of(mender, label);
        free(label);
    }
}

/* The sentence as the tables of spans see it. */
static CorpusSentence current(const Mender *mender)
{
    return (CorpusSentence){.tokens = mender->tokens.items, .token_count = (int32_t)mender->tokens.count};
}

static bool sentence_is_allowed(const Mender *mender)
{
    ARRAY(const char *) labels = {0};
    for (size_t i = 0; i < mender->tokens.count; i++)
        array_push(&labels, mender->tokens.items[i].label);
    bool allowed = scheme_first_violation(mender->scheme, labels.items, (int32_t)labels.count) < 0;
    array_free(&labels);
    return allowed;
}

static LintRule repair_rule(const char *before, const char *after)
{
    bool goes_on = before[0] == 'I' || before[0] == 'E' || before[0] == 'L';
    bool begins = after[0] == 'B' || after[0] == 'S' || after[0] == 'U';
    return goes_on && begins ? LINT_INSIDE_WITHOUT_BEGIN : LINT_SCHEME_TRANSITION;
}

/* Labels that the scheme does not allow become those of the spans that the default mode reads, as convert --repair does. */
static Status labels_mend(Mender *mender, Diagnostic *diagnostic)
{
    int32_t count = (int32_t)mender->tokens.count;
    CorpusSentence sentence = current(mender);
    if ((!is_wanted(mender, LINT_INSIDE_WITHOUT_BEGIN) && !is_wanted(mender, LINT_SCHEME_TRANSITION)) ||
        sentence_is_allowed(mender))
        return STATUS_OK;
    Status status = label_spans_extract(&mender->spans, &sentence, mender->path, diagnostic);
    array_reserve(&mender->ids, (size_t)count);
    if (status == STATUS_OK)
        status = spans_to_labels(mender->scheme, mender->spans.spans.items, mender->spans.spans.count,
                                 (const char *const *)mender->spans.table->type_names, count, true, mender->names,
                                 mender->ids.items, diagnostic);
    for (int32_t i = 0; i < count && status == STATUS_OK; i++) {
        CorpusToken *token = &mender->tokens.items[i];
        const char *label = label_set_name(mender->names, mender->ids.items[i]);
        if (strcmp(label, token->label) != 0)
            tell(mender, token->line, repair_rule(token->label, label), token->label, label);
        token->label = label;
    }
    return status;
}

/* The words of a token with white space in it; as it is when it has nothing else. */
static void token_split(Mender *mender, int32_t index)
{
    const CorpusToken *token = &mender->tokens.items[index];
    bool whole = lint_is_blank(token->text, token->text_size) || !is_wanted(mender, LINT_INNER_SPACE);
    size_t at = 0, first = mender->mended.count;
    while (at < token->text_size || (whole && mender->mended.count == first)) {
        size_t space = 0, rest = token->text_size - at;
        ptrdiff_t end = whole ? -1 : lint_white_space(token->text + at, rest, &space);
        size_t size = end < 0 ? rest : (size_t)end;
        if (size > 0 || whole)
            array_push(&mender->mended, ((MendedToken){token->text + at, size, token->label, index}));
        at += size + space;
    }
    if (mender->mended.count == first) /* an empty token */
        array_push(&mender->mended, ((MendedToken){token->text, 0, token->label, index}));
}

static void split_tell(Mender *mender, int32_t index, size_t first)
{
    const CorpusToken *token = &mender->tokens.items[index];
    Text after = {0};
    if (mender->mended.count == first + 1 && mender->mended.items[first].text_size == token->text_size)
        return;
    for (size_t i = first; i < mender->mended.count; i++) {
        text_append(&after, "\n", i > first);
        text_append(&after, mender->mended.items[i].text, mender->mended.items[i].text_size);
    }
    tell(mender, token->line, LINT_INNER_SPACE, token->text, after.bytes);
    text_free(&after);
}

/* Spans go over the parts of their tokens. */
static Status parts_relabel(Mender *mender, Diagnostic *diagnostic)
{
    CorpusSentence sentence = current(mender);
    Status status = label_spans_extract(&mender->spans, &sentence, mender->path, diagnostic);
    int32_t count = (int32_t)mender->mended.count, part = 0;
    mender->parts.count = 0;
    for (size_t i = 0; i < mender->spans.spans.count && status == STATUS_OK; i++) {
        Span span = mender->spans.spans.items[i], parts = {.type = span.type};
        while (mender->mended.items[part].source < span.start)
            part++;
        parts.start = part;
        while (part < count && mender->mended.items[part].source < span.end)
            part++;
        parts.end = part;
        array_push(&mender->parts, parts);
    }
    array_reserve(&mender->ids, (size_t)count);
    if (status == STATUS_OK)
        status = spans_to_labels(mender->scheme, mender->parts.items, mender->parts.count,
                                 (const char *const *)mender->spans.table->type_names, count, true, mender->names,
                                 mender->ids.items, diagnostic);
    for (int32_t i = 0; i < count && status == STATUS_OK; i++)
        mender->mended.items[i].label = label_set_name(mender->names, mender->ids.items[i]);
    return status;
}

static Status tokens_mend(Mender *mender, Diagnostic *diagnostic)
{
    for (size_t i = 0; i < mender->tokens.count; i++) {
        size_t first = mender->mended.count;
        token_split(mender, (int32_t)i);
        split_tell(mender, (int32_t)i, first);
    }
    return mender->mended.count > mender->tokens.count ? parts_relabel(mender, diagnostic) : STATUS_OK;
}

/* Only sentences of which every line was read: what stands between their lines would be left behind. */
static bool is_duplicate(Mender *mender)
{
    uint64_t hash = 0;
    const CorpusToken *tokens = mender->tokens.items;
    bool lines =
        mender->tokens.count > 0 && tokens[mender->tokens.count - 1].line - tokens[0].line + 1 == (long)mender->tokens.count;
    bool record = mender->tokens.count > 0 && tokens[mender->tokens.count - 1].line == tokens[0].line;
    for (size_t i = 0; i < mender->mended.count; i++) {
        const MendedToken *token = &mender->mended.items[i];
        hash = lint_hash_join(hash, checksum64(token->text, token->text_size));
        hash = lint_hash_join(hash, checksum64(token->label, strlen(token->label)));
    }
    return drops_duplicates(mender) && (lines || record) && mender->mended.count >= LINT_DUPLICATE_TOKENS &&
           !sentence_is_new(&mender->seen, hash);
}

static void drop_tell(Mender *mender)
{
    Text before = {0};
    for (size_t i = 0; i < mender->tokens.count; i++) {
        text_append(&before, " ", i > 0);
        text_append(&before, mender->tokens.items[i].text, mender->tokens.items[i].text_size);
    }
    tell(mender, mender->tokens.items[0].line, LINT_DUPLICATE_SENTENCE, before.bytes, NULL);
    text_free(&before);
}

Status lint_mender_apply(Mender *mender, const CorpusSentence *sentence, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    mender->tokens.count = mender->mended.count = 0;
    mender->dropped = false;
    if (!mender->names || label_set_count(mender->names) > MENDED_NAMES_KEPT) {
        label_set_destroy(&mender->names);
        mender->names = label_set_create();
    }
    for (int32_t i = 0; i < sentence->token_count; i++)
        array_push(&mender->tokens, sentence->tokens[i]);
    if (!lint_labels_are_fine(sentence)) { /* nobody knows its spans: it stays as it is */
        for (int32_t i = 0; i < sentence->token_count; i++) {
            const CorpusToken *token = &sentence->tokens[i];
            array_push(&mender->mended, ((MendedToken){token->text, token->text_size, token->label, i}));
        }
        return STATUS_OK;
    }
    types_mend(mender);
    TRY(labels_mend(mender, diagnostic));
    TRY(tokens_mend(mender, diagnostic));
    mender->dropped = is_duplicate(mender);
    if (mender->dropped)
        drop_tell(mender);
out:
    return status;
}
