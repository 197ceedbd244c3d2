#include "shard/unicode.h"

#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "shard/unicode_tables.h"

enum {
    PRIVATE_FIRST = 0xE000, /* private use of the basic plane */
    PRIVATE_LAST = 0xF8FF,
    PRIVATE_PLANES = 0xF0000, /* and two planes of it */
};

size_t utf8_valid_prefix(const char *bytes, size_t size)
{
    size_t at = 0;
    while (at < size) {
        int32_t length;
        if (utf8_decode((const uint8_t *)bytes + at, size - at, &length) == UNICODE_INVALID)
            return at;
        at += (size_t)length;
    }
    return size;
}

static bool in_ranges(const UnicodeRange *ranges, size_t count, int32_t code_point)
{
    uint32_t wanted = (uint32_t)code_point;
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ranges[middle].last < wanted)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && ranges[low].first <= wanted;
}

bool unicode_is_removed(int32_t code_point)
{
    return in_ranges(unicode_removed, unicode_removed_count, code_point);
}

bool unicode_is_white_space(int32_t code_point)
{
    return in_ranges(unicode_white_space, unicode_white_space_count, code_point);
}

bool unicode_is_ideograph(int32_t code_point)
{
    return in_ranges(unicode_ideographs, unicode_ideographs_count, code_point);
}

bool unicode_is_mark(int32_t code_point)
{
    return in_ranges(unicode_marks, unicode_marks_count, code_point);
}

bool unicode_is_punctuation(int32_t code_point)
{
    return in_ranges(unicode_punctuation, unicode_punctuation_count, code_point);
}

bool unicode_is_private(int32_t code_point)
{
    return (code_point >= PRIVATE_FIRST && code_point <= PRIVATE_LAST) || code_point >= PRIVATE_PLANES;
}

int32_t unicode_decompose(int32_t code_point, int32_t decomposed[UNICODE_DECOMPOSED_LIMIT])
{
    if (in_ranges(unicode_decomposed, unicode_decomposed_count, code_point)) {
        int last_boundary = 0;
        utf8proc_ssize_t count = utf8proc_decompose_char(code_point, decomposed, UNICODE_DECOMPOSED_LIMIT,
                                                         UTF8PROC_DECOMPOSE | UTF8PROC_STABLE, &last_boundary);
        ASSERT(count >= 1 && count <= UNICODE_DECOMPOSED_LIMIT);
        return (int32_t)count;
    }
    decomposed[0] = code_point;
    return 1;
}

uint8_t unicode_combining_class(int32_t code_point)
{
    if (!in_ranges(unicode_combining, unicode_combining_count, code_point))
        return 0;
    return (uint8_t)utf8proc_get_property(code_point)->combining_class;
}

int32_t unicode_lower(int32_t code_point, int32_t lowered[UNICODE_LOWERED_LIMIT])
{
    for (size_t i = 0; i < unicode_lower_case_sequences_count; i++) {
        const UnicodeCaseSequence *sequence = &unicode_lower_case_sequences[i];
        if (sequence->code_point != (uint32_t)code_point)
            continue;
        for (int32_t j = 0; j < sequence->count; j++)
            lowered[j] = (int32_t)sequence->lower[j];
        return sequence->count;
    }
    uint32_t wanted = (uint32_t)code_point;
    size_t low = 0, high = unicode_lower_case_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (unicode_lower_case[middle].last < wanted)
            low = middle + 1;
        else
            high = middle;
    }
    lowered[0] = code_point;
    if (low < unicode_lower_case_count) {
        const UnicodeCaseRun *run = &unicode_lower_case[low];
        if (run->first <= wanted && (wanted - run->first) % run->stride == 0)
            lowered[0] += run->distance;
    }
    return 1;
}

static UnicodeEntry entry_make(UnicodeClass class, int32_t value)
{
    return (UnicodeEntry)value << 8 | (UnicodeEntry) class;
}

static void table_fill(UnicodeEntry *table, const UnicodeRange *ranges, size_t count, UnicodeClass class)
{
    for (size_t i = 0; i < count; i++)
        for (uint32_t c = ranges[i].first; c <= ranges[i].last; c++)
            table[c] = entry_make(class, 0);
}

/* A code point that came out of normalisation: the pre-tokenizer looks at it, clean_text does no longer. */
static UnicodeEntry outcome_entry(int32_t outcome, int32_t code_point)
{
    UnicodeClass class = UNICODE_LETTER;
    if (unicode_is_punctuation(outcome) || unicode_is_ideograph(code_point))
        class = UNICODE_PUNCTUATION;
    else if (unicode_is_white_space(outcome))
        class = UNICODE_SPACE;
    return entry_make(class, outcome == code_point ? 0 : outcome);
}

/* NFD, without marks, lower-cased, of one code point that clean_text keeps. */
static UnicodeEntry uncased_entry(UnicodeMap *map, int32_t code_point)
{
    int32_t decomposed[UNICODE_DECOMPOSED_LIMIT];
    UnicodeEntry parts[UNICODE_DECOMPOSED_LIMIT * UNICODE_LOWERED_LIMIT];
    int32_t count = 0, decomposed_count = unicode_decompose(code_point, decomposed);
    for (int32_t i = 0; i < decomposed_count; i++) {
        if (unicode_is_mark(decomposed[i]))
            continue;
        if (unicode_combining_class(decomposed[i]) != 0)
            return entry_make(UNICODE_REORDERED, 0);
        int32_t lowered[UNICODE_LOWERED_LIMIT];
        int32_t lowered_count = unicode_lower(decomposed[i], lowered);
        for (int32_t j = 0; j < lowered_count; j++)
            parts[count++] = outcome_entry(lowered[j], code_point);
    }
    if (count == 0)
        return entry_make(UNICODE_REMOVED, 0);
    if (count == 1)
        return parts[0];
    size_t place = map->several.count;
    array_push(&map->several, (UnicodeEntry)count);
    for (int32_t i = 0; i < count; i++)
        array_push(&map->several, parts[i]);
    return entry_make(UNICODE_SEVERAL, (int32_t)place);
}

/* `seen` keeps a code point that stands in two tables from being done twice. */
static void table_uncase(UnicodeMap *map, UnicodeEntry *table, uint8_t *seen, uint32_t first, uint32_t last, uint32_t stride)
{
    for (uint32_t c = first; c <= last; c += stride) {
        UnicodeClass class = unicode_entry_class(table[c]);
        if (seen[c] || class == UNICODE_REMOVED || class == UNICODE_SPACE)
            continue;
        seen[c] = 1;
        table[c] = uncased_entry(map, (int32_t)c);
    }
}

/* Looks only at code points that a step changes: the tables name them all. */
static void table_uncase_all(UnicodeMap *map, UnicodeEntry *table)
{
    uint8_t *seen = memory_allocate(UNICODE_END, sizeof *seen);
    for (size_t i = 0; i < unicode_decomposed_count; i++)
        table_uncase(map, table, seen, unicode_decomposed[i].first, unicode_decomposed[i].last, 1);
    for (size_t i = 0; i < unicode_marks_count; i++)
        table_uncase(map, table, seen, unicode_marks[i].first, unicode_marks[i].last, 1);
    for (size_t i = 0; i < unicode_combining_count; i++)
        table_uncase(map, table, seen, unicode_combining[i].first, unicode_combining[i].last, 1);
    for (size_t i = 0; i < unicode_lower_case_count; i++)
        table_uncase(map, table, seen, unicode_lower_case[i].first, unicode_lower_case[i].last, unicode_lower_case[i].stride);
    for (size_t i = 0; i < unicode_lower_case_sequences_count; i++) {
        uint32_t code_point = unicode_lower_case_sequences[i].code_point;
        table_uncase(map, table, seen, code_point, code_point, 1);
    }
    free(seen);
}

/* Most blocks are plain letters throughout, or ideographs, or private use: equal ones are kept once. */
static void map_compress(UnicodeMap *map, const UnicodeEntry *table)
{
    for (size_t block = 0; block < UNICODE_BLOCK_COUNT; block++) {
        const UnicodeEntry *wanted = table + block * UNICODE_BLOCK_SIZE;
        size_t blocks = map->entries.count / UNICODE_BLOCK_SIZE, found = 0;
        while (found < blocks &&
               memcmp(map->entries.items + found * UNICODE_BLOCK_SIZE, wanted, UNICODE_BLOCK_SIZE * sizeof *wanted) != 0)
            found++;
        if (found == blocks) {
            array_reserve(&map->entries, map->entries.count + UNICODE_BLOCK_SIZE);
            memcpy(map->entries.items + map->entries.count, wanted, UNICODE_BLOCK_SIZE * sizeof *wanted);
            map->entries.count += UNICODE_BLOCK_SIZE;
        }
        map->block_of[block] = (uint16_t)found;
    }
}

UnicodeMap *unicode_map_create(bool uncased)
{
    UnicodeMap *map = memory_allocate(1, sizeof *map);
    UnicodeEntry *table = memory_allocate(UNICODE_END, sizeof *table);
    table_fill(table, unicode_punctuation, unicode_punctuation_count, UNICODE_PUNCTUATION);
    table_fill(table, unicode_ideographs, unicode_ideographs_count, UNICODE_PUNCTUATION);
    table_fill(table, unicode_white_space, unicode_white_space_count, UNICODE_SPACE);
    table_fill(table, unicode_removed, unicode_removed_count, UNICODE_REMOVED);
    if (uncased)
        table_uncase_all(map, table);
    map_compress(map, table);
    free(table);
    return map;
}

void unicode_map_destroy(UnicodeMap **map)
{
    if (*map == NULL)
        return;
    array_free(&(*map)->entries);
    array_free(&(*map)->several);
    free(*map);
    *map = NULL;
}
