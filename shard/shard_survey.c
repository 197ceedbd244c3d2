#include "shard/shard_survey.h"

#include <stdlib.h>

enum { SAMPLED_AT_FIRST = 32768, SAMPLED_ONE_OF = 64, SURVEY_LABEL_LIMIT = 100000 };
_Static_assert(PREFIX_S < 8, "prefixes have a count each");

bool survey_samples(int64_t index)
{
    return index < SAMPLED_AT_FIRST || index % SAMPLED_ONE_OF == 0;
}

void input_survey_free(InputSurvey *survey)
{
    label_set_destroy(&survey->labels);
    *survey = (InputSurvey){0};
}

/* The first token whose label is none. */
static Status label_fail(const SequenceBatch *batch, int32_t label, const char *path, Diagnostic *diagnostic)
{
    size_t token = 0;
    while (batch->labels_written.items[token] != label && batch->labels.items[token] != label)
        token++;
    const TokenPlace *place = &batch->places.items[token];
    return FAIL_AT(diagnostic, STATUS_INVALID_INPUT, path, (long)place->line, place->label_column,
                   "\"%.64s\" is no label: expected O, or B-, I-, E-, S-, L- or U- and a type [unknown-prefix]",
                   label_set_name(batch->names, label));
}

/* Labels that the joined document no longer has are left out. */
static Status labels_add(LabelSet *labels, const SequenceBatch *batch, const char *path, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    int32_t count = label_set_count(batch->names);
    bool *used = memory_allocate((size_t)count + 1, sizeof *used), unlabelled = false;
    for (size_t token = 0; token < batch->labels.count; token++) {
        if (batch->labels.items[token] >= 0)
            used[batch->labels.items[token]] = true;
        else
            unlabelled = true;
    }
    for (int32_t label = 0; label < count; label++) {
        LabelParts parts;
        if (!label_split(label_set_name(batch->names, label), &parts))
            TRY(label_fail(batch, label, path, diagnostic));
        if (used[label])
            label_set_add(labels, label_set_name(batch->names, label));
    }
    if (unlabelled)
        label_set_add(labels, "O"); /* what the store has for them as gold label */
out:
    free(used);
    return status;
}

typedef ARRAY(const char *) Strings;

/* The label texts of a batch, taken apart once. The caller frees them. */
static SchemeLabel *names_split(const SequenceBatch *batch)
{
    int32_t count = label_set_count(batch->names);
    SchemeLabel *names = memory_allocate((size_t)count + 1, sizeof *names);
    for (int32_t id = 0; id < count; id++)
        names[id] = scheme_label(label_set_name(batch->names, id));
    return names;
}

int32_t survey_first_violation(LabelScheme scheme, const SequenceBatch *batch)
{
    SchemeLabel *names = names_split(batch);
    int32_t violation = -1;
    for (size_t s = 0; s < batch->sentence_starts.count && violation < 0; s++) {
        int32_t first, count = sequence_batch_sentence(batch, (int32_t)s, &first);
        int32_t found = scheme_first_violation_of_ids(scheme, names, batch->labels_written.items + first, count);
        violation = found < 0 ? -1 : first + found;
    }
    free(names);
    return violation;
}

Status input_survey_add(InputSurvey *survey, const SequenceBatch *batch, bool labels_only, int64_t first_sentence, const char *path,
                        Diagnostic *diagnostic)
{
    Strings texts = {0};
    if (!survey->labels)
        survey->labels = label_set_create();
    Status status = labels_add(survey->labels, batch, path, diagnostic);
    if (status != STATUS_OK || labels_only)
        return status;
    SchemeLabel *names = names_split(batch);
    for (size_t s = 0; s < batch->sentence_starts.count; s++) {
        int32_t first, count = sequence_batch_sentence(batch, (int32_t)s, &first);
        scheme_guess_add_ids(&survey->guess, names, batch->labels_written.items + first, count);
        if (!survey_samples(first_sentence + (int64_t)s))
            continue;
        texts.count = 0;
        for (int32_t i = first; i < first + count; i++)
            array_push(&texts, batch->bytes.bytes + batch->text_offsets.items[i]);
        words_agreement_add(&survey->agreement, texts.items, count);
    }
    free(names);
    array_free(&texts);
    return STATUS_OK;
}

void survey_casing_add(CasingCounts *counts, const SequenceBatch *batch, int64_t first_sentence)
{
    for (size_t s = 0; s < batch->sentence_starts.count; s++) {
        int32_t first, count = sequence_batch_sentence(batch, (int32_t)s, &first);
        if (!survey_samples(first_sentence + (int64_t)s))
            continue;
        for (int32_t i = first; i < first + count; i++)
            casing_counts_add(counts, batch->bytes.bytes + batch->text_offsets.items[i], batch->text_sizes.items[i]);
    }
}

void input_survey_join(InputSurvey *survey, const InputSurvey *other)
{
    if (!survey->labels)
        survey->labels = label_set_create();
    for (int32_t id = 0; other->labels && id < label_set_count(other->labels); id++)
        label_set_add(survey->labels, label_set_name(other->labels, id));
    survey->guess.sentences += other->guess.sentences;
    survey->guess.seen_l_or_u |= other->guess.seen_l_or_u;
    for (int i = 0; i < SCHEME_COUNT; i++)
        survey->guess.invalid[i] += other->guess.invalid[i];
    for (int i = 0; i <= PREFIX_S; i++)
        survey->guess.prefix_seen[i] += other->guess.prefix_seen[i];
    survey->agreement.tokens += other->agreement.tokens;
    for (int i = 0; i < WORDS_COUNT; i++)
        survey->agreement.agreed[i] += other->agreement.agreed[i];
    survey->casing.found += other->casing.found;
    survey->casing.capitalised += other->casing.capitalised;
    survey->casing.only_small += other->casing.only_small;
}

/* ---- as JSON: the labels, and all counts in one list ---- */

enum { SURVEY_NUMBERS = 2 + SCHEME_COUNT + PREFIX_S + 1 + 1 + WORDS_COUNT + 3 };

/* Where the counts stand, in the order of the list; the flag apart. */
static void survey_numbers(const InputSurvey *survey, int64_t numbers[SURVEY_NUMBERS])
{
    int n = 0;
    numbers[n++] = (int64_t)survey->guess.sentences;
    numbers[n++] = survey->guess.seen_l_or_u;
    for (int i = 0; i < SCHEME_COUNT; i++)
        numbers[n++] = (int64_t)survey->guess.invalid[i];
    for (int i = 0; i <= PREFIX_S; i++)
        numbers[n++] = (int64_t)survey->guess.prefix_seen[i];
    numbers[n++] = survey->agreement.tokens;
    for (int i = 0; i < WORDS_COUNT; i++)
        numbers[n++] = survey->agreement.agreed[i];
    numbers[n++] = survey->casing.found;
    numbers[n++] = survey->casing.capitalised;
    numbers[n++] = survey->casing.only_small;
    ASSERT(n == SURVEY_NUMBERS);
}

static void survey_take(InputSurvey *survey, const int64_t numbers[SURVEY_NUMBERS])
{
    int n = 0;
    survey->guess.sentences = (uint64_t)numbers[n++];
    survey->guess.seen_l_or_u = numbers[n++] != 0;
    for (int i = 0; i < SCHEME_COUNT; i++)
        survey->guess.invalid[i] = (uint64_t)numbers[n++];
    for (int i = 0; i <= PREFIX_S; i++)
        survey->guess.prefix_seen[i] = (uint64_t)numbers[n++];
    survey->agreement.tokens = numbers[n++];
    for (int i = 0; i < WORDS_COUNT; i++)
        survey->agreement.agreed[i] = numbers[n++];
    survey->casing.found = numbers[n++];
    survey->casing.capitalised = numbers[n++];
    survey->casing.only_small = numbers[n++];
    ASSERT(n == SURVEY_NUMBERS);
}

Json *input_survey_json(const InputSurvey *survey)
{
    Json *json = json_object(), *labels = json_array(), *counts = json_array();
    LabelSet *sorted = survey->labels ? label_set_copy(survey->labels) : label_set_create();
    label_set_sort(sorted, NULL); /* whichever thread was first */
    for (int32_t id = 0; id < label_set_count(sorted); id++)
        json_append(labels, json_string(label_set_name(sorted, id)));
    label_set_destroy(&sorted);
    int64_t numbers[SURVEY_NUMBERS];
    survey_numbers(survey, numbers);
    for (int i = 0; i < SURVEY_NUMBERS; i++)
        json_append(counts, json_integer(numbers[i]));
    json_set(json, "labels", labels);
    json_set(json, "counts", counts);
    return json;
}

Status input_survey_parse(InputSurvey *survey, const Json *json, const char *path, Diagnostic *diagnostic)
{
    const Json *labels = json_get(json, "labels"), *counts = json_get(json, "counts");
    int64_t numbers[SURVEY_NUMBERS];
    bool whole = json_is_array(labels) && json_count(labels) <= SURVEY_LABEL_LIMIT && json_is_array(counts) &&
                 json_count(counts) == SURVEY_NUMBERS;
    *survey = (InputSurvey){.labels = label_set_create()};
    for (int i = 0; whole && i < SURVEY_NUMBERS; i++) {
        numbers[i] = json_integer_value(json_at(counts, (size_t)i), -1);
        whole = numbers[i] >= 0 && numbers[i] <= INT64_MAX / 4096;
    }
    for (size_t i = 0; whole && i < json_count(labels); i++) {
        const char *name = json_string_value(json_at(labels, i));
        LabelParts parts;
        whole = name && label_split(name, &parts);
        if (whole)
            label_set_add(survey->labels, name);
    }
    if (!whole)
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: \"survey\" does not hold labels and %d counts", path, SURVEY_NUMBERS);
    survey_take(survey, numbers);
    return STATUS_OK;
}
