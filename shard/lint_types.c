/* Types of spans: unknown, misspelt, and those that some files have and others lack. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "shard/lint_internal.h"

enum { FREQUENT_TIMES = 20, NEAR_LENGTH = 3, FAR_LENGTH = 6 };

void lint_types_add(Linter *linter)
{
    const LintView *view = &linter->view;
    LintFile *file = &linter->files.items[linter->files.items[view->file].input];
    for (size_t i = 0; view->labels_fine && i < view->spans.spans.count; i++) {
        const Span *span = &view->spans.spans.items[i];
        const char *name = view->spans.table->type_names[span->type];
        if (label_set_count(linter->type_names) >= LINT_TYPE_LIMIT && label_set_find(linter->type_names, name) < 0) {
            if (!linter->types_full)
                linter->type_left_out = lint_label_place(view->file, &view->sentence->tokens[span->start]);
            linter->types_full = true;
            continue;
        }
        int32_t type = label_set_add(linter->type_names, name);
        while (file->types.count <= (size_t)type)
            array_push(&file->types, (LintTypeCount){0});
        LintTypeCount *count = &file->types.items[type];
        if (count->spans++ == 0)
            count->first = lint_label_place(view->file, &view->sentence->tokens[span->start]);
    }
}

/* Is b what a was meant to be, going by its spelling? One mistake, two in long names; none where they differ in case alone. */
static bool spelt_nearly(const char *a, const char *b, int *distance)
{
    size_t size = strlen(a) < strlen(b) ? strlen(a) : strlen(b);
    if (strcasecmp(a, b) == 0) {
        *distance = 0;
        return true;
    }
    if (size < NEAR_LENGTH)
        return false;
    *distance = lint_edit_distance(a, b, 2);
    return *distance <= (size >= FAR_LENGTH ? 2 : 1);
}

int32_t lint_type_meant(const LabelSet *names, const int64_t *counts, int32_t type, int *distance)
{
    int32_t best = -1;
    for (int32_t i = 0; i < label_set_count(names); i++) {
        int apart;
        bool more = counts[i] > counts[type] || (counts[i] == counts[type] && i < type);
        if (i == type || !more || !spelt_nearly(label_set_name(names, type), label_set_name(names, i), &apart))
            continue;
        if (apart > 0 && counts[i] < FREQUENT_TIMES * counts[type])
            continue;
        if (best >= 0 && counts[i] <= counts[best])
            continue;
        best = i;
        if (distance)
            *distance = apart;
    }
    return best;
}

static bool type_is_known(const LintOptions *options, const char *name)
{
    for (size_t i = 0; i < options->types.count; i++)
        if (strcmp(options->types.items[i], name) == 0)
            return true;
    return options->types.count == 0;
}

static void misspelling_report(Linter *linter, const LintTypeCount *count, const char *name, int64_t meant_spans, const char *meant,
                               int distance)
{
    lint_report(linter, count->first, LINT_MISSPELT_TYPE, "type %.64s occurs %lld time%s, %.64s %lld times: %s", name,
                (long long)count->spans, count->spans == 1 ? "" : "s", meant, (long long)meant_spans,
                distance == 0 ? "are they one type?" : "misspelt?");
}

/* Of one input. */
static void types_check(Linter *linter, const LintFile *file)
{
    int32_t types = label_set_count(linter->type_names);
    int64_t *counts = memory_allocate((size_t)types + 1, sizeof *counts);
    for (size_t type = 0; type < file->types.count; type++)
        counts[type] = file->types.items[type].spans;
    for (size_t type = 0; type < file->types.count; type++) {
        const LintTypeCount *count = &file->types.items[type];
        const char *name = label_set_name(linter->type_names, (int32_t)type);
        if (count->spans == 0)
            continue;
        if (!type_is_known(linter->options, name))
            lint_report(linter, count->first, LINT_UNKNOWN_TYPE, "type %.64s (%lld time%s) is none of those given by --types", name,
                        (long long)count->spans, count->spans == 1 ? "" : "s");
        int distance = 0;
        int32_t meant = lint_type_meant(linter->type_names, counts, (int32_t)type, &distance);
        if (meant >= 0)
            misspelling_report(linter, count, name, counts[meant], label_set_name(linter->type_names, meant), distance);
    }
    free(counts);
}

/* The files of one set: what they have of each type. */
typedef struct TypeSet {
    const LintFile *file; /* the first of them */
    bool counts;          /* all could be read, and there are spans: what is not there is lacking */
    LintTypeCount *types; /* [of linter->type_names] */
} TypeSet;
typedef ARRAY(TypeSet) TypeSetArray;

static TypeSet *set_of(TypeSetArray *sets, const LintFile *file, int32_t type_count)
{
    for (size_t i = 0; i < sets->count; i++)
        if (sets->items[i].file->set == file->set)
            return &sets->items[i];
    TypeSet set = {.file = file, .counts = true, .types = memory_allocate((size_t)type_count + 1, sizeof *set.types)};
    array_push(sets, set);
    return &sets->items[sets->count - 1];
}

/* Files of one input have their counts at its first, and stand one after the other. */
static void sets_gather(const Linter *linter, TypeSetArray *sets, int32_t type_count)
{
    TypeSet *set = NULL;
    for (size_t i = 0; i < linter->files.count; i++) {
        const LintFile *file = &linter->files.items[i];
        if (!set || set->file->set != file->set)
            set = set_of(sets, file, type_count);
        set->counts &= file->whole;
        for (size_t type = 0; type < file->types.count; type++) {
            if (set->types[type].spans == 0)
                set->types[type].first = file->types.items[type].first;
            set->types[type].spans += file->types.items[type].spans;
        }
    }
    for (size_t i = 0; i < sets->count; i++) {
        bool any = false;
        for (int32_t type = 0; type < type_count; type++)
            any |= sets->items[i].types[type].spans > 0;
        sets->items[i].counts &= any;
    }
}

static const char *set_name(const TypeSet *set)
{
    static const char *const names[] = {[LINT_ROLE_TRAIN] = "train", [LINT_ROLE_DEV] = "dev", [LINT_ROLE_TEST] = "test"};
    return set->file->role == LINT_ROLE_NONE ? set->file->path : names[set->file->role];
}

static void lacking_report(Linter *linter, int32_t type, const TypeSet *having, const TypeSet *lacking, const char *consequence)
{
    const LintTypeCount *count = &having->types[type];
    lint_report(linter, count->first, LINT_LABEL_SET_DIFFERS, "type %.64s occurs here %lld time%s and never in %.300s%s",
                label_set_name(linter->type_names, type), (long long)count->spans, count->spans == 1 ? "" : "s", set_name(lacking),
                consequence);
}

/* With a training set only what it lacks or the others do not measure is of interest. */
static void type_compare_with_train(Linter *linter, const TypeSetArray *sets, int32_t type, const TypeSet *train)
{
    for (size_t i = 0; i < sets->count; i++) {
        const TypeSet *set = &sets->items[i];
        if (set == train || !set->counts)
            continue;
        if (set->types[type].spans > 0 && train->types[type].spans == 0)
            lacking_report(linter, type, set, train, ": it cannot be learnt");
        else if (set->types[type].spans == 0 && train->types[type].spans > 0 && set->file->role != LINT_ROLE_NONE)
            lacking_report(linter, type, train, set, ": nothing will measure it there");
    }
}

/* Otherwise each type is told once, however many sets lack it. */
static void type_compare(Linter *linter, const TypeSetArray *sets, int32_t type)
{
    const TypeSet *having = NULL, *lacking = NULL;
    int64_t others = -1;
    char more[64] = "";
    for (size_t i = 0; i < sets->count; i++) {
        const TypeSet *set = &sets->items[i];
        if (set->counts && set->types[type].spans > 0 && !having)
            having = set;
        if (!set->counts || set->types[type].spans > 0)
            continue;
        lacking = lacking ? lacking : set;
        others++;
    }
    if (others > 0)
        snprintf(more, sizeof more, " and %lld other%s", (long long)others, others == 1 ? "" : "s");
    if (having && lacking)
        lacking_report(linter, type, having, lacking, more);
}

void lint_types_compare(Linter *linter)
{
    TypeSetArray sets = {0};
    int32_t type_count = label_set_count(linter->type_names);
    const TypeSet *train = NULL;
    if (linter->types_full)
        lint_report(
            linter, linter->type_left_out, LINT_MISSPELT_TYPE,
            "from here on types that are new are not looked at: %d are the most that are counted, is the label column right?",
            LINT_TYPE_LIMIT);
    for (size_t i = 0; i < linter->files.count; i++)
        if (linter->files.items[i].whole)
            types_check(linter, &linter->files.items[i]);
    sets_gather(linter, &sets, type_count);
    for (size_t i = 0; i < sets.count; i++)
        if (sets.items[i].file->role == LINT_ROLE_TRAIN)
            train = &sets.items[i];
    for (int32_t type = 0; type < type_count; type++) {
        if (!train)
            type_compare(linter, &sets, type);
        else if (train->counts)
            type_compare_with_train(linter, &sets, type, train);
    }
    for (size_t i = 0; i < sets.count; i++)
        free(sets.items[i].types);
    array_free(&sets);
}
