/* Types of spans: unknown, misspelt, and those that some files have and others lack. */
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
        if (label_set_count(linter->type_names) >= LINT_TYPE_LIMIT && label_set_find(linter->type_names, name) < 0)
            continue;
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

/* Spans of one type in all files of a set; first: one of them. */
static int64_t set_spans(const Linter *linter, int32_t set, size_t type, LintPlace *first)
{
    int64_t spans = 0;
    for (size_t i = 0; i < linter->files.count; i++) {
        const LintFile *file = &linter->files.items[i];
        if (file->set != set || type >= file->types.count || file->types.items[type].spans == 0)
            continue;
        if (spans == 0)
            *first = file->types.items[type].first;
        spans += file->types.items[type].spans;
    }
    return spans;
}

/* A set whose labels say something: read to the end, and with spans. */
static bool set_counts(const Linter *linter, int32_t set)
{
    bool spans = false;
    for (size_t i = 0; i < linter->files.count; i++) {
        const LintFile *file = &linter->files.items[i];
        if (file->set == set && !file->whole)
            return false;
        spans |= file->set == set && file->types.count > 0;
    }
    return spans;
}

static const char *set_name(const LintFile *file)
{
    static const char *const names[] = {[LINT_ROLE_TRAIN] = "train", [LINT_ROLE_DEV] = "dev", [LINT_ROLE_TEST] = "test"};
    return file->role == LINT_ROLE_NONE ? file->path : names[file->role];
}

/* Types that one set has and another lacks, said at a place where they are. With roles only what concerns train. */
static void sets_compare(Linter *linter, const LintFile *having, const LintFile *lacking)
{
    bool train_lacks = lacking->role == LINT_ROLE_TRAIN, roles = having->role != LINT_ROLE_NONE && lacking->role != LINT_ROLE_NONE;
    if (roles && !train_lacks && having->role != LINT_ROLE_TRAIN)
        return;
    for (size_t type = 0; type < (size_t)label_set_count(linter->type_names); type++) {
        LintPlace first = {0}, none;
        int64_t spans = set_spans(linter, having->set, type, &first);
        if (spans == 0 || set_spans(linter, lacking->set, type, &none) > 0)
            continue;
        lint_report(linter, first, LINT_LABEL_SET_DIFFERS, "type %.64s occurs here %lld time%s and never in %.300s%s",
                    label_set_name(linter->type_names, (int32_t)type), (long long)spans, spans == 1 ? "" : "s", set_name(lacking),
                    train_lacks                       ? ": it cannot be learnt"
                    : having->role == LINT_ROLE_TRAIN ? ": nothing will measure it there"
                                                      : "");
    }
}

/* Is this file the first of its set? */
static bool set_begins(const Linter *linter, size_t file)
{
    for (size_t i = 0; i < file; i++)
        if (linter->files.items[i].set == linter->files.items[file].set)
            return false;
    return true;
}

void lint_types_compare(Linter *linter)
{
    for (size_t i = 0; i < linter->files.count; i++)
        if (linter->files.items[i].whole)
            types_check(linter, &linter->files.items[i]);
    for (size_t i = 0; i < linter->files.count; i++) {
        const LintFile *one = &linter->files.items[i];
        if (!set_begins(linter, i) || !set_counts(linter, one->set))
            continue;
        for (size_t j = 0; j < linter->files.count; j++) {
            const LintFile *other = &linter->files.items[j];
            if (one->set != other->set && set_begins(linter, j) && set_counts(linter, other->set))
                sets_compare(linter, one, other);
        }
    }
}
