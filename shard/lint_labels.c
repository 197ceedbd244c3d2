/* Rules of one token or label in its sentence. */
#include <string.h>

#include "shard/lint_internal.h"

ptrdiff_t lint_white_space(const char *text, size_t size, size_t *space_size)
{
    const unsigned char *bytes = (const unsigned char *)text;
    for (size_t i = 0; i < size; i++) {
        unsigned char a = bytes[i], b = i + 1 < size ? bytes[i + 1] : 0, c = i + 2 < size ? bytes[i + 2] : 0;
        bool ascii = a == ' ' || (a >= 0x09 && a <= 0x0D), latin = a == 0xC2 && (b == 0x85 || b == 0xA0);
        bool general = a == 0xE2 && ((b == 0x80 && (c <= 0x8A || c == 0xA8 || c == 0xA9 || c == 0xAF)) || (b == 0x81 && c == 0x9F));
        bool other = (a == 0xE1 && b == 0x9A && c == 0x80) || (a == 0xE3 && b == 0x80 && c == 0x80);
        if (!ascii && !latin && !general && !other)
            continue;
        *space_size = ascii ? 1 : latin ? 2 : 3;
        return (ptrdiff_t)i;
    }
    return -1;
}

bool lint_is_blank(const char *text, size_t size)
{
    for (size_t at = 0, space; at < size; at += space)
        if (lint_white_space(text + at, size - at, &space) != 0)
            return false;
    return size > 0;
}

/* Does the scheme know the prefix at all, wherever it stands? L and U are BILOU's, E and S those of the others that end spans. */
static bool scheme_has_prefix(LabelScheme scheme, const char *label, LabelPrefix prefix)
{
    bool mapped = label[0] == 'L' || label[0] == 'U';
    switch (prefix) {
    case PREFIX_B:
        return scheme != SCHEME_IO && scheme != SCHEME_IOE1 && scheme != SCHEME_IOE2;
    case PREFIX_E:
        return mapped ? scheme == SCHEME_BILOU : scheme == SCHEME_IOBES || scheme == SCHEME_IOE1 || scheme == SCHEME_IOE2;
    case PREFIX_S:
        return mapped ? scheme == SCHEME_BILOU : scheme == SCHEME_IOBES;
    default:
        return true;
    }
}

static bool continues(const LabelParts *before, const LabelParts *now)
{
    return (before->prefix == PREFIX_B || before->prefix == PREFIX_I) && strcmp(before->type, now->type) == 0;
}

static void violation_report(Linter *linter, int32_t index)
{
    const CorpusSentence *sentence = linter->view.sentence;
    const CorpusToken *token = &sentence->tokens[index];
    LabelScheme scheme = linter->files.items[linter->view.file].scheme;
    const char *name = label_scheme_name(scheme);
    LintPlace place = lint_label_place(linter->view.file, token);
    LabelParts now, before = {.prefix = PREFIX_O, .type = ""};
    if (!label_split(token->label, &now)) {
        lint_report(linter, place, LINT_UNKNOWN_PREFIX, "\"%.64s\" is no label: expected O, or B-, I-, E-, S-, L- or U- and a type",
                    token->label);
        return;
    }
    if (!scheme_has_prefix(scheme, token->label, now.prefix)) {
        lint_report(linter, place, linter->options->scheme_given ? LINT_UNKNOWN_PREFIX : LINT_SCHEME_TRANSITION,
                    "\"%.64s\": the scheme %s has no prefix %c-", token->label, name, token->label[0]);
        return;
    }
    if (index > 0 && !label_split(sentence->tokens[index - 1].label, &before))
        before = (LabelParts){.prefix = PREFIX_O, .type = ""};
    bool ends_later = scheme == SCHEME_IOE1 || scheme == SCHEME_IOE2;
    if ((now.prefix == PREFIX_I || now.prefix == PREFIX_E) && !ends_later && !continues(&before, &now)) {
        lint_report(linter, place, LINT_INSIDE_WITHOUT_BEGIN, "\"%.64s\" without B-%.64s before it (scheme %s)", token->label,
                    now.type, name);
        return;
    }
    bool last = index + 1 == sentence->token_count;
    lint_report(linter, place, LINT_SCHEME_TRANSITION, "\"%.64s\" between \"%.64s\" and \"%.64s\" is not allowed by the scheme %s",
                token->label, index > 0 ? sentence->tokens[index - 1].label : "the sentence's start",
                last ? "the sentence's end" : sentence->tokens[index + 1].label, name);
}

static void token_check(Linter *linter, const CorpusToken *token)
{
    size_t size;
    ptrdiff_t space = lint_white_space(token->text, token->text_size, &size);
    LintPlace place = lint_token_place(linter->view.file, token);
    if (space < 0)
        return;
    if (lint_is_blank(token->text, token->text_size)) {
        lint_report(linter, place, LINT_BLANK_TOKEN,
                    "the token is nothing but white space: its label is kept, and the model sees an unknown piece");
        return;
    }
    place.column += (int32_t)space;
    lint_report(linter, place, LINT_INNER_SPACE,
                "the token has white space in it: other tools will take it for several tokens or columns");
}

void lint_tokens_check(Linter *linter)
{
    const LintView *view = &linter->view;
    const CorpusSentence *sentence = view->sentence;
    LabelScheme scheme = linter->files.items[view->file].scheme;
    int32_t violation = scheme_next_violation(scheme, view->labels.items, sentence->token_count, 0);
    for (int32_t i = 0; i < sentence->token_count; i++) {
        token_check(linter, &sentence->tokens[i]);
        if (i != violation)
            continue;
        violation_report(linter, i);
        violation = scheme_next_violation(scheme, view->labels.items, sentence->token_count, i + 1);
    }
}
