#include "shard/shard_records.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/token_block.h"

enum { RECORD_ALIGNMENT = 8, COPIED_BYTES = SEQUENCE_TEXT_SLACK };

void shard_records_clear(ShardRecords *records)
{
    records->bytes.count = records->places.count = 0;
}

void shard_records_free(ShardRecords *records)
{
    array_free(&records->bytes);
    array_free(&records->places);
    array_free(&records->offsets);
}

/* A new record of so many bytes of content; where they go. They may be followed by COPIED_BYTES that come to nothing. */
static unsigned char *record_new(ShardRecords *records, size_t content_size, bool is_window)
{
    size_t size = (SHARD_HEAD_PLACED + content_size + RECORD_ALIGNMENT - 1) / RECORD_ALIGNMENT * RECORD_ALIGNMENT;
    RecordPlace place = {.offset = records->bytes.count, .size = size, .is_window = is_window};
    array_push(&records->places, place);
    array_reserve(&records->bytes, records->bytes.count + size + COPIED_BYTES);
    unsigned char *record = records->bytes.items + records->bytes.count;
    records->bytes.count += size;
    memset(record, 0, SHARD_HEAD_PLACED);
    return record + SHARD_HEAD_PLACED;
}

/* The record that was made last. */
static RecordPlace *record_finish(ShardRecords *records, size_t content_size)
{
    RecordPlace *place = &records->places.items[records->places.count - 1];
    unsigned char *record = records->bytes.items + place->offset;
    memset(record + SHARD_HEAD_PLACED + content_size, 0, place->size - SHARD_HEAD_PLACED - content_size);
    shard_record_seal(record, place->size, SHARD_HEAD_PLACED);
    return place;
}

static uint32_t largest(const int32_t *numbers, size_t count)
{
    int32_t found = 0;
    for (size_t i = 0; i < count; i++)
        found = numbers[i] > found ? numbers[i] : found;
    return (uint32_t)found;
}

/* The texts of tokens [first, first + count), which may lie apart. Most are short, and copied with what stands behind them. */
static void texts_write(const SequenceBatch *batch, size_t first, size_t count, unsigned char *text)
{
    const char *bytes = batch->bytes.bytes;
    const uint32_t *from = batch->text_offsets.items + first, *sizes = batch->text_sizes.items + first;
    for (size_t i = 0; i < count; i++) {
        if (sizes[i] <= COPIED_BYTES)
            memcpy(text, bytes + from[i], COPIED_BYTES);
        else
            memcpy(text, bytes + from[i], sizes[i]);
        text += sizes[i];
    }
}

static void sequence_record(ShardRecords *records, const RecordRules *rules, const SequenceBatch *batch, const Sequence *sequence,
                            const int32_t *gold, size_t window_count)
{
    size_t first = (size_t)sequence->first_token, count = (size_t)sequence->token_count;
    const uint32_t *sizes = batch->text_sizes.items + first;
    array_reserve(&records->offsets, count + 1);
    int32_t *offsets = records->offsets.items, text_size = 0; /* at most CORPUS_SENTENCE_BYTES and one sentence more */
    for (size_t i = 0; i < count; i++) {
        offsets[i] = text_size;
        text_size += (int32_t)sizes[i];
    }
    offsets[count] = text_size;
    ShardSequenceHeader header = {.line = sequence->line,
                                  .token_count = sequence->token_count,
                                  .window_count = (int32_t)window_count,
                                  .text_size = (uint32_t)text_size,
                                  .source = rules->source,
                                  .gold_width = shard_width(largest(gold, count)),
                                  .offset_width = shard_width((uint32_t)text_size)};
    size_t size = sizeof header + count * header.gold_width + (count + 1) * header.offset_width + (size_t)text_size;
    unsigned char *at = record_new(records, size, false);
    memcpy(at, &header, sizeof header);
    at += sizeof header;
    shard_narrow(gold, count, 0, header.gold_width, at);
    at += count * header.gold_width;
    shard_narrow(offsets, count + 1, 0, header.offset_width, at);
    texts_write(batch, first, count, at + (count + 1) * header.offset_width);
    record_finish(records, size);
}

static void window_record(ShardRecords *records, const RecordRules *rules, float weight, const AlignedPieces *pieces,
                          const Window *window)
{
    size_t first = (size_t)window->first, count = (size_t)window->count, length = count + 2;
    size_t owned = (size_t)window->owned_first, owned_count = (size_t)(window->owned_end - window->owned_first);
    const int32_t *ids = pieces->ids.items + first, *labels = pieces->labels.items + owned,
                  *tokens = pieces->token_index.items + first;
    const int32_t ends[] = {rules->specials->cls, rules->specials->sep};
    uint32_t largest_id = largest(ids, count), largest_end = largest(ends, 2);
    ShardWindowHeader header = {.length = window->count + 2,
                                .owned_first = window->owned_first - window->first + 1,
                                .owned_end = window->owned_end - window->first + 1,
                                .weight = weight,
                                .first_token = tokens[0],
                                .id_width = shard_width(largest_id > largest_end ? largest_id : largest_end),
                                .label_width = shard_width(largest(labels, owned_count) + 1),
                                .token_width = shard_width((uint32_t)(tokens[count - 1] - tokens[0]) + 1)};
    size_t size = sizeof header + ((size_t)header.id_width + header.label_width + header.token_width) * length;
    unsigned char *content = record_new(records, size, true), *at = content + sizeof header;
    memcpy(content, &header, sizeof header);
    shard_narrow(&ends[0], 1, 0, header.id_width, at);
    shard_narrow(ids, count, 0, header.id_width, at + header.id_width);
    shard_narrow(&ends[1], 1, 0, header.id_width, at + (length - 1) * header.id_width);
    at += length * header.id_width;
    memset(at, 0, length * (header.label_width + header.token_width)); /* specials, and labels that are not the window's own */
    shard_narrow(labels, owned_count, 1, header.label_width, at + (size_t)header.owned_first * header.label_width);
    at += length * header.label_width;
    shard_narrow(tokens, count, 1 - header.first_token, header.token_width, at + header.token_width);
    record_finish(records, size)->info = shard_window_info(content, rules->outside, rules->later_piece);
}

void shard_records_add(ShardRecords *records, const RecordRules *rules, const SequenceBatch *batch, const Sequence *sequence,
                       const int32_t *gold, const AlignedPieces *pieces, const WindowArray *windows)
{
    sequence_record(records, rules, batch, sequence, gold, windows->count);
    for (size_t i = 0; i < windows->count; i++)
        window_record(records, rules, sequence->weight, pieces, &windows->items[i]);
}
