#include "shard/shard_records.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/token_block.h"

enum { RECORD_ALIGNMENT = 8, CHECKSUM_SIZE = 8 };

void shard_records_clear(ShardRecords *records)
{
    records->bytes.count = records->places.count = 0;
}

void shard_records_free(ShardRecords *records)
{
    array_free(&records->bytes);
    array_free(&records->places);
}

/* A new record of so many bytes of content; where they go. What is not written is zero. */
static unsigned char *record_new(ShardRecords *records, size_t content_size, bool is_window)
{
    size_t size = (CHECKSUM_SIZE + content_size + RECORD_ALIGNMENT - 1) / RECORD_ALIGNMENT * RECORD_ALIGNMENT;
    RecordPlace place = {.offset = records->bytes.count, .size = size, .is_window = is_window};
    array_push(&records->places, place);
    array_reserve(&records->bytes, records->bytes.count + size);
    unsigned char *record = records->bytes.items + records->bytes.count;
    records->bytes.count += size;
    memset(record, 0, CHECKSUM_SIZE);
    memset(record + size - RECORD_ALIGNMENT, 0, RECORD_ALIGNMENT);
    return record + CHECKSUM_SIZE;
}

static void sequence_record(ShardRecords *records, uint32_t source, const SequenceBatch *batch, const Sequence *sequence,
                            const int32_t *gold, size_t window_count)
{
    size_t first = (size_t)sequence->first_token, count = (size_t)sequence->token_count;
    uint32_t text_size = 0; /* at most CORPUS_SENTENCE_BYTES and one sentence more */
    for (size_t i = first; i < first + count; i++)
        text_size += batch->text_sizes.items[i];
    ShardSequenceHeader header = {.line = sequence->line,
                                  .token_count = sequence->token_count,
                                  .window_count = (int32_t)window_count,
                                  .text_size = text_size,
                                  .source = source};
    unsigned char *at = record_new(records, sizeof header + (2 * count + 1) * sizeof(int32_t) + text_size, false);
    memcpy(at, &header, sizeof header);
    at += sizeof header;
    memcpy(at, gold, count * sizeof *gold);
    uint32_t *offsets = (uint32_t *)(void *)(at + count * sizeof *gold), offset = 0;
    char *text = (char *)(offsets + count + 1);
    for (size_t i = 0; i < count; i++) {
        uint32_t size = batch->text_sizes.items[first + i];
        offsets[i] = offset;
        memcpy(text + offset, batch->bytes.bytes + batch->text_offsets.items[first + i], size);
        offset += size;
    }
    offsets[count] = offset;
}

static void window_record(ShardRecords *records, float weight, const AlignedPieces *pieces, const Window *window,
                          const WordpieceSpecials *specials)
{
    size_t first = (size_t)window->first, count = (size_t)window->count, length = count + 2;
    ShardWindowHeader header = {.length = window->count + 2,
                                .owned_first = window->owned_first - window->first + 1,
                                .owned_end = window->owned_end - window->first + 1,
                                .weight = weight};
    unsigned char *at = record_new(records, sizeof header + 3 * length * sizeof(int32_t), true);
    memcpy(at, &header, sizeof header);
    int32_t *ids = (int32_t *)(void *)(at + sizeof header), *labels = ids + length, *tokens = labels + length;
    ids[0] = specials->cls;
    memcpy(ids + 1, pieces->ids.items + first, count * sizeof *ids);
    ids[length - 1] = specials->sep;
    for (size_t i = 0; i < length; i++)
        labels[i] = TOKEN_LABEL_IGNORED;
    size_t owned = (size_t)(window->owned_first - window->first), owned_count = (size_t)(window->owned_end - window->owned_first);
    memcpy(labels + 1 + owned, pieces->labels.items + first + owned, owned_count * sizeof *labels);
    tokens[0] = tokens[length - 1] = -1;
    memcpy(tokens + 1, pieces->token_index.items + first, count * sizeof *tokens);
}

void shard_records_add(ShardRecords *records, uint32_t source, const SequenceBatch *batch, const Sequence *sequence,
                       const int32_t *gold, const AlignedPieces *pieces, const WindowArray *windows,
                       const WordpieceSpecials *specials)
{
    sequence_record(records, source, batch, sequence, gold, windows->count);
    for (size_t i = 0; i < windows->count; i++)
        window_record(records, sequence->weight, pieces, &windows->items[i], specials);
}
