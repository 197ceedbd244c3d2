#include "shard/shard_records.h"

#include <stdlib.h>

#include "core/base/token_block.h"

void shard_records_clear(ShardRecords *records)
{
    text_clear(&records->bytes);
    records->places.count = 0;
}

void shard_records_free(ShardRecords *records)
{
    text_free(&records->bytes);
    array_free(&records->places);
}

static void append(ShardRecords *records, const void *bytes, size_t size)
{
    text_append(&records->bytes, bytes, size);
}

static void append_int(ShardRecords *records, int32_t value)
{
    append(records, &value, sizeof value);
}

static size_t record_begin(ShardRecords *records)
{
    uint64_t checksum = 0;
    size_t offset = records->bytes.size;
    append(records, &checksum, sizeof checksum);
    return offset;
}

static void record_end(ShardRecords *records, size_t offset, bool is_window)
{
    static const char zeros[8];
    append(records, zeros, (8 - records->bytes.size % 8) % 8);
    RecordPlace place = {.offset = offset, .size = records->bytes.size - offset, .is_window = is_window};
    array_push(&records->places, place);
}

static void sequence_record(ShardRecords *records, uint32_t source, const SequenceBatch *batch, const Sequence *sequence,
                            const int32_t *gold, size_t window_count)
{
    size_t first = (size_t)sequence->first_token, end = first + (size_t)sequence->token_count;
    uint32_t text_size = 0; /* at most CORPUS_SENTENCE_BYTES and one sentence more */
    for (size_t i = first; i < end; i++)
        text_size += batch->text_sizes.items[i];
    ShardSequenceHeader header = {.line = sequence->line,
                                  .token_count = sequence->token_count,
                                  .window_count = (int32_t)window_count,
                                  .text_size = text_size,
                                  .source = source};
    size_t offset = record_begin(records);
    append(records, &header, sizeof header);
    append(records, gold, (size_t)sequence->token_count * sizeof *gold);
    uint32_t text_offset = 0;
    append(records, &text_offset, sizeof text_offset);
    for (size_t i = first; i < end; i++) {
        text_offset += batch->text_sizes.items[i];
        append(records, &text_offset, sizeof text_offset);
    }
    for (size_t i = first; i < end; i++)
        append(records, batch->bytes.bytes + batch->text_offsets.items[i], batch->text_sizes.items[i]);
    record_end(records, offset, false);
}

static void window_record(ShardRecords *records, float weight, const AlignedPieces *pieces, const Window *window,
                          const WordpieceSpecials *specials)
{
    size_t first = (size_t)window->first, count = (size_t)window->count;
    ShardWindowHeader header = {.length = window->count + 2,
                                .owned_first = window->owned_first - window->first + 1,
                                .owned_end = window->owned_end - window->first + 1,
                                .weight = weight};
    size_t offset = record_begin(records);
    append(records, &header, sizeof header);
    append_int(records, specials->cls);
    append(records, pieces->ids.items + first, count * sizeof *pieces->ids.items);
    append_int(records, specials->sep);
    append_int(records, TOKEN_LABEL_IGNORED);
    for (int32_t i = window->first; i < window->first + window->count; i++) {
        bool owned = i >= window->owned_first && i < window->owned_end;
        append_int(records, owned ? pieces->labels.items[i] : TOKEN_LABEL_IGNORED);
    }
    append_int(records, TOKEN_LABEL_IGNORED);
    append_int(records, -1);
    append(records, pieces->token_index.items + first, count * sizeof *pieces->token_index.items);
    append_int(records, -1);
    record_end(records, offset, true);
}

void shard_records_add(ShardRecords *records, uint32_t source, const SequenceBatch *batch, const Sequence *sequence,
                       const int32_t *gold, const AlignedPieces *pieces, const WindowArray *windows,
                       const WordpieceSpecials *specials)
{
    sequence_record(records, source, batch, sequence, gold, windows->count);
    for (size_t i = 0; i < windows->count; i++)
        window_record(records, sequence->weight, pieces, &windows->items[i], specials);
}
