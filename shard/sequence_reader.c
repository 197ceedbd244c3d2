#include "shard/sequence_reader.h"

#include <stdlib.h>
#include <string.h>

#include "shard/weak_labels.h"

struct SequenceReader {
    CorpusReader *corpus; /* or NULL */
    WeakReader *weak;
    char *path;
    float weight;
    bool documents;
    const CorpusSentence *ahead; /* read, not yet used; documents only */
    bool ahead_read;
    int64_t dropped;
    uint64_t uncut_until; /* byte of the file that no border of ranges comes before */
};

/* ---- batches ---- */

static void batch_clear(SequenceBatch *batch)
{
    text_clear(&batch->bytes);
    batch->text_offsets.count = batch->text_sizes.count = batch->labels.count = batch->labels_written.count = 0;
    batch->places.count = batch->sentence_starts.count = batch->sequences.count = 0;
    label_set_destroy(&batch->names);
    batch->names = label_set_create();
}

static void batch_free(SequenceBatch *batch)
{
    text_free(&batch->bytes);
    array_free(&batch->text_offsets);
    array_free(&batch->text_sizes);
    array_free(&batch->labels);
    array_free(&batch->labels_written);
    array_free(&batch->places);
    array_free(&batch->sentence_starts);
    array_free(&batch->sequences);
    label_set_destroy(&batch->names);
    *batch = (SequenceBatch){0};
}

int32_t sequence_batch_sentence(const SequenceBatch *batch, int32_t index, int32_t *first)
{
    bool last = (size_t)index + 1 == batch->sentence_starts.count;
    *first = batch->sentence_starts.items[index];
    return (last ? (int32_t)batch->labels.count : batch->sentence_starts.items[index + 1]) - *first;
}

/* id: of the label before, which most labels are. */
static int32_t label_id(SequenceBatch *batch, const char *label, int32_t id)
{
    if (!label)
        return SEQUENCE_UNLABELLED;
    return id >= 0 && strcmp(label_set_name(batch->names, id), label) == 0 ? id : label_set_add(batch->names, label);
}

/* IOB1 begins a span with I- where no span of the type ends right before. The end of a sentence ends a span, and the joined document does not
 * show it: B- says so instead. */
static int32_t label_after_break(SequenceBatch *batch, int32_t last, int32_t label)
{
    LabelParts before, now;
    if (last < 0 || label < 0 || !label_split(label_set_name(batch->names, last), &before) ||
        !label_split(label_set_name(batch->names, label), &now))
        return label;
    if (now.prefix != PREFIX_I || (before.prefix != PREFIX_B && before.prefix != PREFIX_I) || strcmp(before.type, now.type) != 0)
        return label;
    char *begins = memory_format("B-%s", now.type);
    int32_t id = label_set_add(batch->names, begins);
    free(begins);
    return id;
}

static void batch_reserve(SequenceBatch *batch, const CorpusSentence *sentence)
{
    size_t bytes = 0, count = batch->labels.count + (size_t)sentence->token_count;
    for (int32_t i = 0; i < sentence->token_count; i++)
        bytes += sentence->tokens[i].text_size + 1;
    text_reserve(&batch->bytes, bytes + SEQUENCE_TEXT_SLACK);
    array_reserve(&batch->text_offsets, count);
    array_reserve(&batch->text_sizes, count);
    array_reserve(&batch->labels, count);
    array_reserve(&batch->labels_written, count);
    array_reserve(&batch->places, count);
}

static void sentence_append(SequenceBatch *batch, const CorpusSentence *sentence, bool goes_on)
{
    const char *label_before = NULL;
    int32_t written = SEQUENCE_UNLABELLED;
    size_t at = batch->labels.count;
    if (at > 0)
        written = batch->labels_written.items[at - 1];
    array_push(&batch->sentence_starts, (int32_t)at);
    batch_reserve(batch, sentence);
    for (int32_t i = 0; i < sentence->token_count; i++, at++) {
        const CorpusToken *token = &sentence->tokens[i];
        if (i == 0 || token->label != label_before) /* the same text is the same label; others may be, too */
            written = label_id(batch, token->label, written);
        label_before = token->label;
        batch->text_offsets.items[at] = (uint32_t)batch->bytes.size;
        batch->text_sizes.items[at] = (uint32_t)token->text_size;
        memcpy(batch->bytes.bytes + batch->bytes.size, token->text, token->text_size + 1);
        batch->bytes.size += token->text_size + 1;
        batch->labels.items[at] = batch->labels_written.items[at] = written;
        batch->places.items[at] = (TokenPlace){token->line, (int32_t)token->label_column};
    }
    if (goes_on && sentence->token_count > 0) {
        size_t first = at - (size_t)sentence->token_count;
        batch->labels.items[first] = label_after_break(batch, batch->labels.items[first - 1], batch->labels.items[first]);
    }
    batch->text_offsets.count = batch->text_sizes.count = batch->labels.count = batch->labels_written.count = at;
    batch->places.count = at;
}

/* ---- reading ---- */

Status sequence_reader_open(SequenceReader **reader, const SequenceFiles *files, CorpusOptions options, bool documents,
                            Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    ASSERT(files->path_count > 0 && (files->weak || files->path_count == 1));
    *reader = memory_allocate(1, sizeof **reader);
    (*reader)->path = memory_copy_string(files->paths[0]);
    (*reader)->weight = files->weight;
    (*reader)->documents = documents;
    options.weight_column = files->weight_columns;
    if (files->weak)
        TRY(weak_reader_open(&(*reader)->weak, files->paths, files->path_count, options, files->vote, diagnostic));
    else
        TRY(corpus_reader_open(&(*reader)->corpus, files->paths[0], options, NULL, NULL, diagnostic));
    if ((*reader)->corpus && corpus_reader_cuts((*reader)->corpus))
        corpus_reader_keep_warnings((*reader)->corpus);
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
    weak_reader_close(&(*reader)->weak);
    free((*reader)->path);
    free(*reader);
    *reader = NULL;
}

uint64_t sequence_reader_bytes_done(const SequenceReader *reader)
{
    uint64_t done, total;
    if (reader->weak)
        return weak_reader_bytes_done(reader->weak);
    corpus_reader_progress(reader->corpus, &done, &total);
    return done;
}

int64_t sequence_reader_dropped(const SequenceReader *reader)
{
    return reader->dropped;
}

static Status sentence_next(SequenceReader *reader, const CorpusSentence **sentence, Diagnostic *diagnostic)
{
    return reader->weak ? weak_reader_next(reader->weak, sentence, diagnostic)
                        : corpus_reader_next(reader->corpus, sentence, diagnostic);
}

static Status document_check(const SequenceReader *reader, const SequenceBatch *batch, const Sequence *sequence,
                             const CorpusSentence *sentence, Diagnostic *diagnostic)
{
    size_t tokens = batch->labels.count - (size_t)sequence->first_token;
    size_t bytes = tokens > 0 ? batch->bytes.size - batch->text_offsets.items[sequence->first_token] : 0;
    if (tokens + (size_t)sentence->token_count <= CORPUS_SENTENCE_LIMIT && bytes <= CORPUS_SENTENCE_BYTES)
        return STATUS_OK;
    return FAIL_AT(
        diagnostic, STATUS_LIMIT, reader->path, sentence->line, 1,
        "the document that begins in line %lld has over %d tokens or %d bytes: separate documents by -DOCSTART- lines, or "
        "use unit sentence",
        (long long)sequence->line, CORPUS_SENTENCE_LIMIT, CORPUS_SENTENCE_BYTES);
}

/* Takes the sequence out of the batch again when none of its tokens has a label. */
static void sequence_finish(SequenceReader *reader, SequenceBatch *batch, Sequence *sequence, double weight_sum)
{
    sequence->token_count = (int32_t)batch->labels.count - sequence->first_token;
    sequence->sentence_count = (int32_t)batch->sentence_starts.count - sequence->first_sentence;
    sequence->weight = reader->weight * (float)(weight_sum / sequence->token_count);
    size_t first = (size_t)sequence->first_token, labelled = first;
    while (labelled < batch->labels.count && batch->labels.items[labelled] == SEQUENCE_UNLABELLED)
        labelled++;
    if (labelled < batch->labels.count) {
        array_push(&batch->sequences, *sequence);
        return;
    }
    reader->dropped++;
    batch->bytes.size = batch->text_offsets.items[first];
    batch->text_offsets.count = batch->text_sizes.count = batch->labels.count = batch->labels_written.count = first;
    batch->places.count = first;
    batch->sentence_starts.count = (size_t)sequence->first_sentence;
}

/* Appends one sequence. *more = false at the end. */
static Status sequence_next(SequenceReader *reader, SequenceBatch *batch, bool *more, Diagnostic *diagnostic)
{
    const CorpusSentence *sentence = reader->ahead;
    Status status = reader->ahead_read ? STATUS_OK : sentence_next(reader, &sentence, diagnostic);
    *more = sentence != NULL;
    reader->ahead = sentence;
    reader->ahead_read = status == STATUS_OK && reader->documents;
    if (status != STATUS_OK || !sentence)
        return status;
    Sequence sequence = {.line = sentence->line,
                         .first_token = (int32_t)batch->labels.count,
                         .first_sentence = (int32_t)batch->sentence_starts.count};
    double weight_sum = 0;
    do {
        status = document_check(reader, batch, &sequence, reader->ahead, diagnostic);
        if (status != STATUS_OK)
            return status;
        sentence_append(batch, reader->ahead, batch->labels.count > (size_t)sequence.first_token);
        weight_sum += (double)reader->ahead->weight * reader->ahead->token_count;
        if (!reader->documents)
            break;
        status = sentence_next(reader, &reader->ahead, diagnostic);
        if (status != STATUS_OK)
            return status;
    } while (reader->ahead && !reader->ahead->document_start);
    sequence_finish(reader, batch, &sequence, weight_sum);
    return STATUS_OK;
}

/* Fills the batch with the next sequences, until it has so many tokens; without any it is the end. */
static Status batch_fill(SequenceReader *reader, SequenceBatch *batch, size_t token_limit, Diagnostic *diagnostic)
{
    bool more = true;
    Status status = STATUS_OK;
    while (status == STATUS_OK && more && batch->labels.count < token_limit)
        status = sequence_next(reader, batch, &more, diagnostic);
    return status;
}

/* ---- parts ---- */

static void reader_of_ranges(SequenceReader **part, const SequenceReader *reader)
{
    *part = memory_allocate(1, sizeof **part);
    (*part)->path = memory_copy_string(reader->path);
    (*part)->weight = reader->weight;
    (*part)->documents = reader->documents;
    corpus_reader_open_part(&(*part)->corpus, reader->corpus);
}

/* Cuts the next range off, unless there is none of reasonable size, or something is read ahead already. */
static CorpusCut range_cut(SequenceReader *reader, size_t size_bytes, SequencePart *part)
{
    if (reader->weak || !corpus_reader_cuts(reader->corpus) || reader->ahead_read ||
        sequence_reader_bytes_done(reader) < reader->uncut_until)
        return CORPUS_CUT_NONE;
    CorpusCut cut = corpus_reader_cut(reader->corpus, size_bytes, SEQUENCE_PART_LIMIT, reader->documents, &part->range);
    if (cut == CORPUS_CUT_NONE)
        reader->uncut_until = part->range.end;
    return cut;
}

Status sequence_reader_take(SequenceReader *reader, size_t size_bytes, SequencePart *part, bool *more, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    sequence_part_clear(part);
    CorpusCut cut = range_cut(reader, size_bytes, part);
    part->is_cut = *more = cut == CORPUS_CUT_RANGE;
    if (part->is_cut && !part->reader)
        reader_of_ranges(&part->reader, reader);
    if (cut == CORPUS_CUT_NONE) {
        status = batch_fill(reader, &part->batch, SEQUENCE_BATCH_TOKENS, diagnostic);
        *more = part->batch.sequences.count > 0;
        if (reader->corpus)
            part->warning = corpus_reader_kept_warning(reader->corpus);
    }
    return status;
}

/* The sentences that a scan has found, as sequences. */
static void sequences_take(const SequenceReader *reader, const ConllScan *scan, SequenceBatch *batch)
{
    Sequence *sequence = NULL;
    for (size_t s = 0; s < batch->sentence_starts.count; s++) {
        int32_t first, count = sequence_batch_sentence(batch, (int32_t)s, &first);
        if (!sequence || !reader->documents || scan->documents.items[s]) {
            Sequence begun = {.line = batch->places.items[first].line,
                              .weight = reader->weight,
                              .first_token = first,
                              .first_sentence = (int32_t)s};
            array_push(&batch->sequences, begun);
            sequence = &batch->sequences.items[batch->sequences.count - 1];
        } else {
            batch->labels.items[first] = label_after_break(batch, batch->labels.items[first - 1], batch->labels.items[first]);
        }
        sequence->token_count += count;
        sequence->sentence_count++;
    }
}

/* False: the range is to be read line by line. */
static bool part_scan(SequencePart *part)
{
    const CorpusRange *range = &part->range;
    if (part->by_lines || range->end - range->begin > CONLL_SCAN_LIMIT)
        return false;
    const CorpusLayout *layout = corpus_reader_read(part->reader->corpus, range, CONLL_SCAN_SLACK, &part->batch.bytes);
    part->scanned = layout && conll_scan(&part->scan, layout, range, &part->batch);
    if (part->scanned)
        sequences_take(part->reader, &part->scan, &part->batch);
    else
        batch_clear(&part->batch);
    return part->scanned;
}

Status sequence_part_read(SequencePart *part, Diagnostic *diagnostic)
{
    if (!part->is_cut || part_scan(part))
        return STATUS_OK;
    part->reader->ahead = NULL;
    part->reader->ahead_read = false;
    corpus_reader_start(part->reader->corpus, &part->range);
    Status status = batch_fill(part->reader, &part->batch, SIZE_MAX, diagnostic);
    part->warning = corpus_reader_kept_warning(part->reader->corpus);
    return status;
}

void sequence_part_tell(SequenceReader *reader, const SequencePart *part)
{
    if (reader->corpus)
        corpus_reader_warn(reader->corpus, part->warning);
}

size_t sequence_part_cost(const SequencePart *part)
{
    enum { TOKEN_COST = 128 }; /* places and offsets here, pieces and windows later */
    size_t bytes = part->is_cut ? (size_t)(part->range.end - part->range.begin) : part->batch.bytes.size;
    size_t tokens = part->is_cut ? (size_t)part->range.line_count : part->batch.labels.count;
    return bytes * 4 + tokens * TOKEN_COST;
}

size_t sequence_part_bytes(const SequencePart *part)
{
    size_t ends = part->scan.ends.capacity * sizeof *part->scan.ends.items;
    return part->batch.bytes.capacity + ends + (part->reader ? corpus_reader_bytes(part->reader->corpus) : 0);
}

void sequence_part_clear(SequencePart *part)
{
    part->is_cut = part->scanned = false;
    part->warning = (CorpusWarning){0};
    batch_clear(&part->batch);
}

void sequence_part_close(SequencePart *part)
{
    sequence_reader_close(&part->reader);
}

void sequence_part_free(SequencePart *part)
{
    sequence_part_close(part);
    conll_scan_free(&part->scan);
    batch_free(&part->batch);
    *part = (SequencePart){0};
}
