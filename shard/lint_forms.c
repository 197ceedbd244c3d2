/* The same string labelled differently: what is annotated nearly always one way is likely a mistake where it is not. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/lint_internal.h"

enum {
    FIRST_BITS = 18,     /* of the filter for first words */
    MAJORITY_LEAST = 5,  /* spans, or places without one, before anything is concluded */
    MAJORITY_TIMES = 5,  /* as often as the other way */
    OUTSIDE = INT32_MAX, /* stands in for a type */
};

/* One way in which a string is labelled. */
typedef struct Variant {
    int32_t type;  /* or OUTSIDE */
    uint32_t next; /* number + 1 of the string's next variant; 0: the last */
    int64_t count;
    LintPlace first;
} Variant;

typedef struct Form {
    uint64_t hash;
    const char *text;
    uint32_t variants; /* as next */
} Form;

struct LintForms {
    Arena *arena;
    ARRAY(Form) items;
    ARRAY(Variant) variants;
    uint32_t *slots;                  /* number + 1 of a form; 0: free */
    size_t capacity;                  /* a power of two */
    uint8_t lengths[1 << FIRST_BITS]; /* by the hash of a first word: the most tokens that follow in a form, itself included */
    Text joined;
    bool full;
    LintPlace left_out; /* the first string that is not compared */
};

LintForms *lint_forms_create(void)
{
    LintForms *forms = memory_allocate(1, sizeof *forms);
    forms->arena = arena_create(1 << 16);
    forms->capacity = 1024;
    forms->slots = memory_allocate(forms->capacity, sizeof *forms->slots);
    return forms;
}

void lint_forms_destroy(LintForms **forms)
{
    LintForms *ended = *forms;
    *forms = NULL;
    if (!ended)
        return;
    arena_destroy(&ended->arena);
    array_free(&ended->items);
    array_free(&ended->variants);
    text_free(&ended->joined);
    free(ended->slots);
    free(ended);
}

static size_t slot_find(const LintForms *forms, uint64_t hash)
{
    size_t slot = (size_t)(hash >> 16) & (forms->capacity - 1);
    while (forms->slots[slot] != 0 && forms->items.items[forms->slots[slot] - 1].hash != hash)
        slot = (slot + 1) & (forms->capacity - 1);
    return slot;
}

static void slots_grow(LintForms *forms)
{
    free(forms->slots);
    forms->capacity *= 2;
    forms->slots = memory_allocate(forms->capacity, sizeof *forms->slots);
    for (size_t i = 0; i < forms->items.count; i++)
        forms->slots[slot_find(forms, forms->items.items[i].hash)] = (uint32_t)i + 1;
}

static void variant_count(LintForms *forms, Form *form, int32_t type, LintPlace place)
{
    for (uint32_t i = form->variants; i != 0; i = forms->variants.items[i - 1].next) {
        if (forms->variants.items[i - 1].type != type)
            continue;
        forms->variants.items[i - 1].count++;
        return;
    }
    Variant variant = {.type = type, .next = form->variants, .count = 1, .first = place};
    array_push(&forms->variants, variant);
    form->variants = (uint32_t)forms->variants.count;
}

/* NULL when there is no room for another, or it is too long. */
static Form *form_find(LintForms *forms, const LintView *view, const Span *span)
{
    uint64_t hash = 0;
    if (span->end - span->start > LINT_FORM_TOKENS)
        return NULL;
    for (int32_t i = span->start; i < span->end; i++)
        hash = lint_hash_join(hash, view->hashes.items[i]);
    size_t slot = slot_find(forms, hash);
    if (forms->slots[slot] != 0)
        return &forms->items.items[forms->slots[slot] - 1];
    if (forms->items.count >= LINT_FORM_LIMIT) {
        if (!forms->full)
            forms->left_out = lint_label_place(view->file, &view->sentence->tokens[span->start]);
        forms->full = true;
        return NULL;
    }
    text_clear(&forms->joined);
    for (int32_t i = span->start; i < span->end; i++) {
        text_append(&forms->joined, " ", i > span->start);
        text_append(&forms->joined, view->sentence->tokens[i].text, view->sentence->tokens[i].text_size);
    }
    Form form = {.hash = hash, .text = arena_copy_bytes(forms->arena, forms->joined.bytes, forms->joined.size)};
    array_push(&forms->items, form);
    forms->slots[slot] = (uint32_t)forms->items.count;
    if (forms->items.count * 4 > forms->capacity * 3)
        slots_grow(forms);
    uint8_t *length = &forms->lengths[view->hashes.items[span->start] & ((1u << FIRST_BITS) - 1)];
    if (*length < span->end - span->start)
        *length = (uint8_t)(span->end - span->start);
    return &forms->items.items[forms->items.count - 1];
}

void lint_forms_add(Linter *linter)
{
    const LintView *view = &linter->view;
    if (linter->options->disabled[LINT_CONFLICTING_ANNOTATION])
        return;
    for (size_t i = 0; view->labels_fine && i < view->spans.spans.count; i++) {
        const Span *span = &view->spans.spans.items[i];
        int32_t type = label_set_find(linter->type_names, view->spans.table->type_names[span->type]);
        Form *form = type >= 0 ? form_find(linter->forms, view, span) : NULL;
        if (form)
            variant_count(linter->forms, form, type, lint_label_place(view->file, &view->sentence->tokens[span->start]));
    }
}

/* Strings of tokens without a span that are annotated elsewhere. */
void lint_forms_count_outside(Linter *linter)
{
    LintForms *forms = linter->forms;
    const LintView *view = &linter->view;
    int32_t count = view->sentence->token_count;
    for (int32_t start = 0; start < count && view->labels_fine; start++) {
        int32_t longest = forms->lengths[view->hashes.items[start] & ((1u << FIRST_BITS) - 1)];
        uint64_t hash = 0;
        for (int32_t end = start; end < count && end - start < longest && strcmp(view->labels.items[end], "O") == 0; end++) {
            hash = lint_hash_join(hash, view->hashes.items[end]);
            size_t slot = slot_find(forms, hash);
            if (forms->slots[slot] != 0)
                variant_count(forms, &forms->items.items[forms->slots[slot] - 1], OUTSIDE,
                              lint_label_place(view->file, &view->sentence->tokens[start]));
        }
    }
}

/* A string and the rarer of two ways in which it is labelled. */
typedef struct Conflict {
    uint32_t form, major, minor; /* the latter two as next */
    int64_t major_count, minor_count;
} Conflict;
typedef ARRAY(Conflict) ConflictArray;

/* The more lopsided first, then the more frequent, then the earlier. */
static int compare_conflicts(const void *a, const void *b)
{
    const Conflict *left = a, *right = b;
    int64_t one = left->major_count * right->minor_count, other = right->major_count * left->minor_count;
    if (one != other)
        return one > other ? -1 : 1;
    if (left->major_count != right->major_count)
        return left->major_count > right->major_count ? -1 : 1;
    if (left->form != right->form)
        return left->form < right->form ? -1 : 1;
    return left->minor < right->minor ? -1 : left->minor > right->minor;
}

static void conflicts_find(const LintForms *forms, uint32_t number, ConflictArray *conflicts)
{
    const Variant *variants = forms->variants.items;
    uint32_t first = forms->items.items[number].variants, major = first;
    for (uint32_t i = first; i != 0; i = variants[i - 1].next)
        if (variants[i - 1].count > variants[major - 1].count)
            major = i;
    int64_t most = variants[major - 1].count;
    for (uint32_t i = first; i != 0 && most >= MAJORITY_LEAST; i = variants[i - 1].next)
        if (i != major && variants[i - 1].count * MAJORITY_TIMES <= most)
            array_push(conflicts,
                       ((Conflict){
                           .form = number, .major = major, .minor = i, .major_count = most, .minor_count = variants[i - 1].count}));
}

static const char *variant_name(const Linter *linter, const Variant *variant)
{
    return variant->type == OUTSIDE ? "O" : label_set_name(linter->type_names, variant->type);
}

/* Bytes of a text for a message, whole characters. */
static int shown(const char *text)
{
    size_t limit = 100, size = strnlen(text, limit + 1);
    if (size <= limit)
        return (int)size;
    while (limit > 0 && ((unsigned char)text[limit] & 0xC0) == 0x80)
        limit--;
    return (int)limit;
}

static void conflict_report(Linter *linter, const Conflict *conflict)
{
    const LintForms *forms = linter->forms;
    const Variant *major = &forms->variants.items[conflict->major - 1], *minor = &forms->variants.items[conflict->minor - 1];
    const char *text = forms->items.items[conflict->form].text;
    char more[48] = "";
    if (minor->count > 1)
        snprintf(more, sizeof more, " (the first of %lld places)", (long long)minor->count);
    lint_report(linter, minor->first, LINT_CONFLICTING_ANNOTATION, "\"%.*s\" is %.64s here%s and %.64s %lld times: a mistake?",
                shown(text), text, variant_name(linter, minor), more, variant_name(linter, major), (long long)major->count);
}

void lint_forms_compare(Linter *linter)
{
    const LintForms *forms = linter->forms;
    ConflictArray conflicts = {0};
    if (linter->options->disabled[LINT_CONFLICTING_ANNOTATION])
        return;
    if (forms->full)
        lint_report(linter, forms->left_out, LINT_CONFLICTING_ANNOTATION,
                    "from here on annotated strings that are new are not compared: %d are the most that are kept", LINT_FORM_LIMIT);
    for (size_t i = 0; i < forms->items.count; i++)
        conflicts_find(forms, (uint32_t)i, &conflicts);
    if (conflicts.count > 0)
        qsort(conflicts.items, conflicts.count, sizeof *conflicts.items, compare_conflicts);
    size_t shown = (size_t)linter->options->limit;
    if (shown == 0 || shown > conflicts.count)
        shown = conflicts.count;
    for (size_t i = 0; i < shown; i++)
        conflict_report(linter, &conflicts.items[i]);
    lint_count(linter, LINT_CONFLICTING_ANNOTATION, (int64_t)(conflicts.count - shown));
    array_free(&conflicts);
}
