#include "shard/oversample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/io/file.h"

/* A list of names, and whether each was met in the data. */
typedef struct Names {
    StringArray names;
    bool *met; /* [names.count] */
} Names;

typedef struct Oversampler {
    const ShardStore *store;
    int32_t split;
    const TrainingOptions *options;
    LabelTable *table;
    SpanArray spans; /* of the sequence at hand */
    Names types, forms;
    int64_t *type_windows; /* [types] windows that have the type */
    int64_t *type_seen;    /* [types] 1 + the last window that was counted for the type */
    double *type_factors;  /* [types] */
    double *factors;       /* [windows] */
    bool counting;         /* the first pass of repeat factors: windows of each type are counted */
} Oversampler;

static bool is_given(const char *list)
{
    return strcmp(list, "none") != 0;
}

static void names_split(Names *names, const char *text, char separator)
{
    if (!is_given(text))
        text = "";
    while (*text) {
        const char *end = strchr(text, separator);
        size_t size = end ? (size_t)(end - text) : strlen(text), rest = size;
        const char *name = text;
        for (; rest && *name == ' '; name++)
            rest--;
        while (rest && name[rest - 1] == ' ')
            rest--;
        if (rest)
            array_push(&names->names, memory_copy_bytes(name, rest));
        text += size + (end != NULL);
    }
    names->met = memory_allocate(names->names.count + 1, sizeof *names->met);
}

static void names_free(Names *names)
{
    string_array_free(&names->names);
    free(names->met);
}

static bool names_hold(Names *names, const char *name, size_t size)
{
    bool found = false;
    for (size_t i = 0; i < names->names.count; i++)
        if (strlen(names->names.items[i]) == size && memcmp(names->names.items[i], name, size) == 0)
            found = names->met[i] = true;
    return found;
}

static Status names_check(const Names *names, const char *option, const char *what, Diagnostic *diagnostic)
{
    for (size_t i = 0; i < names->names.count; i++)
        if (!names->met[i])
            return FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: no span of the training data %s \"%s\"", option, what,
                        names->names.items[i]);
    return STATUS_OK;
}

/* Tokens [start, end), with one space between two of them. */
static void join_tokens(Text *form, const ShardSequence *sequence, int32_t start, int32_t end)
{
    text_clear(form);
    for (int32_t token = start; token < end; token++) {
        uint32_t first = sequence->text_offsets[token];
        if (token > start)
            text_append(form, " ", 1);
        text_append(form, sequence->text + first, sequence->text_offsets[token + 1] - first);
    }
}

/* Keeps the spans that are of a chosen type or form, in place. */
static void choose_spans(Oversampler *sampler, const ShardSequence *sequence)
{
    Text form = {0};
    size_t kept = 0;
    if (sampler->types.names.count == 0 && sampler->forms.names.count == 0)
        return;
    for (size_t i = 0; i < sampler->spans.count; i++) {
        Span span = sampler->spans.items[i];
        const char *type = sampler->table->type_names[span.type];
        join_tokens(&form, sequence, span.start, span.end);
        bool by_type = names_hold(&sampler->types, type, strlen(type));
        bool by_form = names_hold(&sampler->forms, form.bytes, form.size);
        if (by_type || by_form)
            sampler->spans.items[kept++] = span;
    }
    sampler->spans.count = kept;
    text_free(&form);
}

static bool window_has(const ShardWindow *window, const Span *span)
{
    for (int32_t i = 0; i < window->length; i++)
        if (window->labels[i] != TOKEN_LABEL_IGNORED && window->token_index[i] >= span->start && window->token_index[i] < span->end)
            return true;
    return false;
}

static void weigh_window(Oversampler *sampler, int64_t index, int32_t type)
{
    if (sampler->counting && sampler->type_seen[type] != index + 1) {
        sampler->type_seen[type] = index + 1;
        sampler->type_windows[type]++;
    } else if (!sampler->counting && sampler->type_factors[type] > sampler->factors[index]) {
        sampler->factors[index] = sampler->type_factors[type];
    }
}

static Status scan(Oversampler *sampler, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Arena *arena = arena_create(1 << 14);
    for (int64_t s = 0; s < shard_sequence_count(sampler->store, sampler->split); s++) {
        ShardSequence sequence;
        arena_reset(arena);
        TRY(shard_sequence_read(sampler->store, sampler->split, s, arena, &sequence, diagnostic));
        sampler->spans.count = 0;
        spans_extract_default(sampler->table, sequence.gold, sequence.token_count, &sampler->spans);
        choose_spans(sampler, &sequence);
        for (int32_t w = 0; w < sequence.window_count && sampler->spans.count > 0; w++) {
            ShardWindow window;
            TRY(shard_window_read(sampler->store, sampler->split, sequence.first_window + w, arena, &window, diagnostic));
            for (size_t i = 0; i < sampler->spans.count; i++)
                if (window_has(&window, &sampler->spans.items[i]))
                    weigh_window(sampler, sequence.first_window + w, sampler->spans.items[i].type);
        }
    }
out:
    arena_destroy(&arena);
    return status;
}

static Status weigh(Oversampler *sampler, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const TrainingOptions *options = sampler->options;
    int64_t count = shard_window_count(sampler->store, sampler->split);
    TRY(label_table_create(&sampler->table, shard_store_all_labels(sampler->store), diagnostic));
    size_t types = (size_t)sampler->table->type_count + 1;
    sampler->type_windows = memory_allocate(types, sizeof *sampler->type_windows);
    sampler->type_seen = memory_allocate(types, sizeof *sampler->type_seen);
    sampler->type_factors = memory_allocate(types, sizeof *sampler->type_factors);
    if (options->oversample == OVERSAMPLE_REPEAT_FACTOR) {
        sampler->counting = true;
        TRY(scan(sampler, diagnostic));
        sampler->counting = false;
    } else {
        names_split(&sampler->types, options->oversample_types, ',');
        names_split(&sampler->forms, options->oversample_forms, ';');
    }
    for (int32_t t = 0; t < sampler->table->type_count; t++) {
        double frequency = (double)sampler->type_windows[t] / (double)(count ? count : 1);
        sampler->type_factors[t] = options->oversample == OVERSAMPLE_SPANS ? options->oversample_factor
                                   : frequency > 0                         ? fmax(1, sqrt(options->repeat_threshold / frequency))
                                                                           : 1;
    }
    TRY(scan(sampler, diagnostic));
    TRY(names_check(&sampler->types, "oversample_types", "is of type", diagnostic));
    TRY(names_check(&sampler->forms, "oversample_forms", "reads", diagnostic));
out:
    return status;
}

Status oversample_factors(double **factors, const ShardStore *store, int32_t split, const TrainingOptions *options,
                          Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const ShardWindowInfo *infos = shard_window_infos(store, split);
    int64_t count = shard_window_count(store, split);
    Oversampler sampler = {.store = store, .split = split, .options = options};
    bool every_span =
        options->oversample == OVERSAMPLE_SPANS && !is_given(options->oversample_types) && !is_given(options->oversample_forms);
    sampler.factors = memory_allocate((size_t)count + 1, sizeof *sampler.factors);
    for (int64_t i = 0; i < count; i++)
        sampler.factors[i] = every_span && infos[i].has_span && options->oversample_factor > 1 ? options->oversample_factor : 1;
    if (!every_span)
        status = weigh(&sampler, diagnostic);
    label_table_destroy(&sampler.table);
    array_free(&sampler.spans);
    names_free(&sampler.types);
    names_free(&sampler.forms);
    free(sampler.type_windows);
    free(sampler.type_seen);
    free(sampler.type_factors);
    if (status != STATUS_OK) {
        free(sampler.factors);
        sampler.factors = NULL;
    }
    *factors = sampler.factors;
    return status;
}
