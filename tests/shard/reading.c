#include "reading.h"

#include <stdlib.h>

static void sentence_write(Text *text, const CorpusSentence *sentence, bool documents)
{
    text_format(text, "%sline %ld weight %g\n", documents && sentence->document_start ? "document\n" : "", sentence->line,
                (double)sentence->weight);
    for (int32_t i = 0; i < sentence->token_count; i++) {
        const CorpusToken *token = &sentence->tokens[i];
        text_format(text, "%ld:%ld:%ld %zu \"%s\" %s\n", token->line, token->token_column, token->label_column, token->text_size,
                    token->text, token->label);
    }
}

/* Up to the end of what the reader has, or so many sentences. *more: there may be others. */
static Status sentences_write(Text *text, CorpusReader *reader, bool documents, size_t limit, CorpusWarning *warning, bool *more)
{
    Diagnostic diagnostic = {0};
    Status status = STATUS_OK;
    *more = true;
    for (size_t i = 0; i < limit && status == STATUS_OK && *more; i++) {
        const CorpusSentence *sentence;
        status = corpus_reader_next(reader, &sentence, &diagnostic);
        *more = status == STATUS_OK && sentence;
        if (*more)
            sentence_write(text, sentence, documents);
    }
    CorpusWarning kept = corpus_reader_kept_warning(reader);
    if (warning->line == 0)
        *warning = kept;
    if (status != STATUS_OK)
        text_format(text, "%s %s:%ld:%ld: %s\n", status_name(status), diagnostic.input_file, diagnostic.input_line,
                    diagnostic.input_column, diagnostic.message);
    return status;
}

char *reading_of_whole(const char *path, CorpusOptions options, bool documents)
{
    CorpusReader *reader = NULL;
    CorpusWarning warning = {0};
    Text text = {0};
    bool more;
    if (corpus_reader_open(&reader, path, options, NULL, NULL, NULL) == STATUS_OK) {
        corpus_reader_keep_warnings(reader);
        Status status = sentences_write(&text, reader, documents, SIZE_MAX, &warning, &more);
        text_format(&text, "%s, warning %ld:%ld\n", status_name(status), warning.line, warning.column);
    }
    corpus_reader_close(&reader);
    return text_take(&text);
}

/* reader: cuts. */
static Status ranges_write(Text *text, CorpusReader *reader, const RangeSizes *sizes, CorpusWarning *warning, ReadingCounts *counts)
{
    CorpusReader *parts[2];
    CorpusRange range;
    CorpusCut cut;
    Status status = STATUS_OK;
    uint64_t reached = 0, total;
    bool more = true;
    for (int i = 0; i < 2; i++)
        corpus_reader_open_part(&parts[i], reader);
    while (status == STATUS_OK && more &&
           (cut = corpus_reader_cut(reader, sizes->size_bytes, sizes->limit_bytes, sizes->documents, &range)) != CORPUS_CUT_END) {
        ASSERT(range.begin == reached && range.end > range.begin && range.line_count >= 0);
        if (cut == CORPUS_CUT_RANGE) {
            CorpusReader *part = parts[counts->ranges++ % 2];
            corpus_reader_start(part, &range);
            status = sentences_write(text, part, sizes->documents, SIZE_MAX, warning, &more);
            corpus_reader_progress(part, &reached, &total);
            ASSERT(status != STATUS_OK || reached == range.end);
            more = true;
        } else {
            counts->by_itself++;
            status = sentences_write(text, reader, sizes->documents, sizes->documents ? SIZE_MAX : 1, warning, &more);
            corpus_reader_progress(reader, &reached, &total);
        }
    }
    for (int i = 0; i < 2; i++)
        corpus_reader_close(&parts[i]);
    return status;
}

char *reading_of_ranges(const char *path, CorpusOptions options, const RangeSizes *sizes, ReadingCounts *counts)
{
    CorpusReader *reader = NULL;
    CorpusWarning warning = {0};
    Text text = {0};
    *counts = (ReadingCounts){0};
    Status status = corpus_reader_open(&reader, path, options, NULL, NULL, NULL);
    if (status == STATUS_OK && corpus_reader_cuts(reader)) {
        corpus_reader_keep_warnings(reader);
        status = ranges_write(&text, reader, sizes, &warning, counts);
        text_format(&text, "%s, warning %ld:%ld\n", status_name(status), warning.line, warning.column);
    }
    corpus_reader_close(&reader);
    return text_take(&text);
}

static void sequences_write(Text *text, const SequenceBatch *batch, PartCounts *counts)
{
    counts->sentences += (int64_t)batch->sentence_starts.count;
    counts->tokens += (int64_t)batch->labels.count;
    for (size_t s = 0; s < batch->sequences.count; s++) {
        const Sequence *sequence = &batch->sequences.items[s];
        text_format(text, "line %lld, %d sentences, weight %g:", (long long)sequence->line, sequence->sentence_count,
                    (double)sequence->weight);
        for (int32_t i = sequence->first_token; i < sequence->first_token + sequence->token_count; i++)
            text_format(text, " %s %u/%s/%s:%lld:%d", batch->bytes.bytes + batch->text_offsets.items[i], batch->text_sizes.items[i],
                        label_set_name(batch->names, batch->labels.items[i]),
                        label_set_name(batch->names, batch->labels_written.items[i]), (long long)batch->places.items[i].line,
                        batch->places.items[i].label_column);
        text_append(text, "\n", 1);
    }
}

char *reading_of_sequences(const char *path, CorpusOptions options, bool documents, size_t size_bytes, bool by_lines,
                           PartCounts *counts)
{
    SequenceReader *reader = NULL;
    SequencePart part = {.by_lines = by_lines};
    CorpusWarning warning = {0};
    Diagnostic diagnostic = {0};
    Text text = {0};
    bool more = true;
    SequenceFiles files = {.paths = &path, .path_count = 1, .weight = 0.5f, .weight_columns = true};
    Status status = sequence_reader_open(&reader, &files, options, documents, &diagnostic);
    *counts = (PartCounts){0};
    for (; status == STATUS_OK; counts->parts++) {
        status = sequence_reader_take(reader, size_bytes, &part, &more, &diagnostic);
        if (!more)
            break;
        if (status == STATUS_OK)
            status = sequence_part_read(&part, &diagnostic);
        counts->scanned += part.scanned;
        warning = warning.line ? warning : part.warning;
        sequences_write(&text, &part.batch, counts);
    }
    text_format(&text, "%s %s:%ld:%ld: %s, warning %ld:%ld, %lld sentences, %lld tokens\n", status_name(status),
                diagnostic.input_file, diagnostic.input_line, diagnostic.input_column, diagnostic.message, warning.line,
                warning.column, (long long)counts->sentences, (long long)counts->tokens);
    sequence_part_free(&part);
    sequence_reader_close(&reader);
    return text_take(&text);
}
