#include "shard/sequence_reader.h"

#include <stdlib.h>
#include <string.h>

#include "core/spans/labels.h"

struct SequenceReader {
    CorpusReader *corpus;
    char *path;
    bool documents;
    const CorpusSentence *ahead; /* read, not yet used */
    bool ahead_read;
    Arena *arena; /* texts of a document */
    size_t bytes;
    ARRAY(const char *) texts;
    ARRAY(size_t) sizes;
    ARRAY(const char *) labels;
    ARRAY(const char *) labels_written;
    ARRAY(CorpusToken) tokens;
    Int32Array sentence_starts;
    Sequence sequence;
};

Status sequence_reader_open(SequenceReader **reader, const char *path, CorpusOptions options, bool documents,
                            Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    *reader = memory_allocate(1, sizeof **reader);
    (*reader)->path = memory_copy_string(path);
    (*reader)->documents = documents;
    (*reader)->arena = arena_create(1 << 16);
    TRY(corpus_reader_open(&(*reader)->corpus, path, options, NULL, NULL, diagnostic));
out:
    if (status != STATUS_OK)
        sequence_reader_close(reader);
    return status;
}

void sequence_reader_close(SequenceReader **reader)
{
    if (!*reader)
        return;
    corpus_reader_close(&(*reader)->corpus);
    arena_destroy(&(*reader)->arena);
    array_free(&(*reader)->texts);
    array_free(&(*reader)->sizes);
    array_free(&(*reader)->labels);
    array_free(&(*reader)->labels_written);
    array_free(&(*reader)->tokens);
    array_free(&(*reader)->sentence_starts);
    free((*reader)->path);
    free(*reader);
    *reader = NULL;
}

uint64_t sequence_reader_bytes_done(const SequenceReader *reader)
{
    uint64_t done, total;
    corpus_reader_progress(reader->corpus, &done, &total);
    return done;
}

/* IOB1 begins a span with I- where no span of the type ends right before. The end of a sentence ends a span, and the joined document does not
 * show it: B- says so instead. */
static const char *label_after_break(SequenceReader *reader, const char *label)
{
    LabelParts before, now;
    if (reader->labels.count == 0 || !label_split(reader->labels.items[reader->labels.count - 1], &before) ||
        !label_split(label, &now))
        return label;
    if (now.prefix != PREFIX_I || (before.prefix != PREFIX_B && before.prefix != PREFIX_I) || strcmp(before.type, now.type) != 0)
        return label;
    char *begins = arena_copy_bytes(reader->arena, label, strlen(label));
    begins[0] = 'B';
    return begins;
}

static Status sentence_append(SequenceReader *reader, const CorpusSentence *sentence, Diagnostic *diagnostic)
{
    if (reader->tokens.count + (size_t)sentence->token_count > CORPUS_SENTENCE_LIMIT || reader->bytes > CORPUS_SENTENCE_BYTES)
        return FAIL_AT(
            diagnostic, STATUS_LIMIT, reader->path, sentence->line, 1,
            "the document that begins in line %ld has over %d tokens or %d bytes: separate documents by -DOCSTART- lines, or use "
            "unit sentence",
            reader->sequence.line, CORPUS_SENTENCE_LIMIT, CORPUS_SENTENCE_BYTES);
    if (reader->tokens.count == 0)
        reader->sequence.line = sentence->line;
    array_push(&reader->sentence_starts, (int32_t)reader->tokens.count);
    for (int32_t i = 0; i < sentence->token_count; i++) {
        CorpusToken token = sentence->tokens[i];
        if (reader->documents) {
            size_t label_size = strlen(token.label);
            reader->bytes += token.text_size + label_size;
            token.text = arena_copy_bytes(reader->arena, token.text, token.text_size);
            token.label = arena_copy_bytes(reader->arena, token.label, label_size);
        }
        const char *label = i == 0 ? label_after_break(reader, token.label) : token.label;
        array_push(&reader->texts, token.text);
        array_push(&reader->sizes, token.text_size);
        array_push(&reader->labels, label);
        array_push(&reader->labels_written, token.label);
        array_push(&reader->tokens, token);
    }
    return STATUS_OK;
}

Status sequence_reader_next(SequenceReader *reader, const Sequence **sequence, Diagnostic *diagnostic)
{
    *sequence = NULL;
    arena_reset(reader->arena);
    reader->bytes = 0;
    reader->texts.count = reader->sizes.count = reader->labels.count = reader->labels_written.count = reader->tokens.count =
        reader->sentence_starts.count = 0;
    if (!reader->ahead_read) {
        reader->ahead_read = true;
        Status status = corpus_reader_next(reader->corpus, &reader->ahead, diagnostic);
        if (status != STATUS_OK)
            return status;
    }
    if (!reader->ahead)
        return STATUS_OK;
    int32_t sentences = 0;
    do {
        Status status = sentence_append(reader, reader->ahead, diagnostic);
        if (status != STATUS_OK)
            return status;
        sentences++;
        if (!reader->documents) {
            reader->ahead_read = false; /* the next is read when it is asked for: this one's texts are still in use */
            break;
        }
        status = corpus_reader_next(reader->corpus, &reader->ahead, diagnostic);
        if (status != STATUS_OK)
            return status;
    } while (reader->ahead && !reader->ahead->document_start);
    array_push(&reader->sentence_starts, (int32_t)reader->tokens.count);
    reader->sequence = (Sequence){.texts = reader->texts.items,
                                  .sizes = reader->sizes.items,
                                  .labels = reader->labels.items,
                                  .labels_written = reader->labels_written.items,
                                  .tokens = reader->tokens.items,
                                  .token_count = (int32_t)reader->tokens.count,
                                  .sentence_starts = reader->sentence_starts.items,
                                  .sentence_count = sentences,
                                  .line = reader->sequence.line};
    *sequence = &reader->sequence;
    return STATUS_OK;
}
