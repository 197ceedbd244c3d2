#include "shard/weak_labels.h"

#include <stdlib.h>
#include <string.h>

#include "shard/label_spans.h"

typedef struct WeakSource {
    char *path;
    CorpusReader *corpus;
    const CorpusSentence *sentence;
    LabelSpans spans;
} WeakSource;

struct WeakReader {
    WeakSource *sources;
    size_t source_count;
    size_t enough;      /* sources that must agree */
    Int32Array outside; /* [tokens] sources that have the token in no span */
    ARRAY(CorpusToken) tokens;
    CorpusSentence sentence;
};

Status weak_reader_open(WeakReader **reader, const char *const *paths, size_t path_count, CorpusOptions options, WeakVote vote,
                        Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    *reader = memory_allocate(1, sizeof **reader);
    (*reader)->sources = memory_allocate(path_count, sizeof *(*reader)->sources);
    (*reader)->source_count = path_count;
    (*reader)->enough = vote == WEAK_VOTE_MAJORITY ? path_count / 2 + 1 : path_count;
    for (size_t i = 0; i < path_count; i++) {
        WeakSource *source = &(*reader)->sources[i];
        source->path = memory_copy_string(paths[i]);
        TRY(corpus_reader_open(&source->corpus, paths[i], options, NULL, NULL, diagnostic));
    }
out:
    if (status != STATUS_OK)
        weak_reader_close(reader);
    return status;
}

void weak_reader_close(WeakReader **reader)
{
    if (!*reader)
        return;
    for (size_t i = 0; i < (*reader)->source_count; i++) {
        corpus_reader_close(&(*reader)->sources[i].corpus);
        label_spans_free(&(*reader)->sources[i].spans);
        free((*reader)->sources[i].path);
    }
    free((*reader)->sources);
    array_free(&(*reader)->outside);
    array_free(&(*reader)->tokens);
    free(*reader);
    *reader = NULL;
}

uint64_t weak_reader_bytes_done(const WeakReader *reader)
{
    uint64_t sum = 0, done, total;
    for (size_t i = 0; i < reader->source_count; i++) {
        corpus_reader_progress(reader->sources[i].corpus, &done, &total);
        sum += done;
    }
    return sum;
}

/* A sentence's end in one file only is a token that the other lacks. */
static Status tokens_compare(const WeakSource *first, const WeakSource *other, Diagnostic *diagnostic)
{
    const CorpusSentence *a = first->sentence, *b = other->sentence;
    if (!a || !b) {
        const WeakSource *longer = a ? first : other, *shorter = a ? other : first;
        return FAIL_AT(diagnostic, STATUS_INVALID_INPUT, longer->path, longer->sentence->line, 0,
                       "%s ends before this sentence: files of weak labels must have the same tokens", shorter->path);
    }
    int32_t same = 0, shorter = a->token_count < b->token_count ? a->token_count : b->token_count;
    while (same < shorter && a->tokens[same].text_size == b->tokens[same].text_size &&
           memcmp(a->tokens[same].text, b->tokens[same].text, a->tokens[same].text_size) == 0)
        same++;
    if (same == a->token_count && same == b->token_count)
        return STATUS_OK;
    if (same == b->token_count)
        return FAIL_AT(
            diagnostic, STATUS_INVALID_INPUT, other->path, b->tokens[same - 1].line, 0,
            "the sentence ends after \"%.64s\", and goes on with \"%.64s\" in %s:%ld: files of weak labels must have the same "
            "tokens",
            b->tokens[same - 1].text, a->tokens[same].text, first->path, a->tokens[same].line);
    bool ended = same == a->token_count;
    return FAIL_AT(diagnostic, STATUS_INVALID_INPUT, other->path, b->tokens[same].line, b->tokens[same].token_column,
                   "\"%.64s\" stands where %s:%ld has %s%.64s%s: files of weak labels must have the same tokens",
                   b->tokens[same].text, first->path, a->tokens[ended ? same - 1 : same].line,
                   ended ? "the end of the sentence" : "\"", ended ? "" : a->tokens[same].text, ended ? "" : "\"");
}

static bool source_has(const WeakSource *source, const Span *span, const char *type)
{
    for (size_t i = 0; i < source->spans.spans.count; i++) {
        const Span *own = &source->spans.spans.items[i];
        if (own->start == span->start)
            return own->end == span->end && strcmp(source->spans.table->type_names[own->type], type) == 0;
    }
    return false;
}

/* Labels the tokens of the spans that enough sources have. Two of these never overlap with majority: some source would have both. */
static void spans_vote(WeakReader *reader)
{
    for (size_t s = 0; s < reader->source_count; s++) {
        const WeakSource *source = &reader->sources[s];
        for (size_t i = 0; i < source->spans.spans.count; i++) {
            const Span *span = &source->spans.spans.items[i];
            const char *type = source->spans.table->type_names[span->type];
            size_t votes = 0;
            for (size_t other = 0; other < reader->source_count; other++)
                votes += source_has(&reader->sources[other], span, type);
            if (votes < reader->enough || reader->tokens.items[span->start].label)
                continue; /* too few, or an earlier source had it as well */
            memcpy(reader->tokens.items + span->start, source->sentence->tokens + span->start,
                   (size_t)(span->end - span->start) * sizeof *reader->tokens.items);
        }
    }
}

static void outside_count(WeakReader *reader, int32_t token_count)
{
    reader->outside.count = 0;
    for (int32_t i = 0; i < token_count; i++)
        array_push(&reader->outside, (int32_t)reader->source_count);
    for (size_t s = 0; s < reader->source_count; s++) {
        const SpanArray *spans = &reader->sources[s].spans.spans;
        for (size_t i = 0; i < spans->count; i++)
            for (int32_t token = spans->items[i].start; token < spans->items[i].end; token++)
                reader->outside.items[token]--;
    }
}

Status weak_reader_next(WeakReader *reader, const CorpusSentence **sentence, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    WeakSource *first = &reader->sources[0];
    *sentence = NULL;
    for (size_t i = 0; i < reader->source_count; i++)
        TRY(corpus_reader_next(reader->sources[i].corpus, &reader->sources[i].sentence, diagnostic));
    for (size_t i = 1; i < reader->source_count; i++)
        if (first->sentence || reader->sources[i].sentence)
            TRY(tokens_compare(first, &reader->sources[i], diagnostic));
    if (!first->sentence)
        goto out;
    for (size_t i = 0; i < reader->source_count; i++)
        TRY(label_spans_extract(&reader->sources[i].spans, reader->sources[i].sentence, reader->sources[i].path, diagnostic));
    outside_count(reader, first->sentence->token_count);
    reader->tokens.count = 0;
    for (int32_t i = 0; i < first->sentence->token_count; i++) {
        CorpusToken token = first->sentence->tokens[i];
        token.label = (size_t)reader->outside.items[i] >= reader->enough ? "O" : NULL;
        array_push(&reader->tokens, token);
    }
    spans_vote(reader);
    reader->sentence = *first->sentence;
    reader->sentence.tokens = reader->tokens.items;
    *sentence = &reader->sentence;
out:
    return status;
}
