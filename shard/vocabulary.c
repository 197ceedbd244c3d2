#include "shard/vocabulary.h"

#include <stdlib.h>
#include <string.h>

#include "core/io/file.h"
#include "shard/unicode.h"

enum {
    BLOCK = 256,      /* units; a node's children lie in one block */
    OPEN_BLOCKS = 16, /* only the newest blocks are searched for room: building stays linear */
    NO_UNIT = -1,
};

/* Bytes of a piece without the white space at its end. */
static size_t trimmed_size(const char *piece, size_t size)
{
    while (size > 0) {
        size_t start = size - 1;
        while (start > 0 && ((uint8_t)piece[start] & 0xC0) == 0x80)
            start--;
        int32_t length, code_point = utf8_decode((const uint8_t *)piece + start, size - start, &length);
        bool control_space = (code_point >= '\t' && code_point <= '\r') || code_point == 0x85;
        if (!control_space && !unicode_is_white_space(code_point))
            break;
        size = start;
    }
    return size;
}

static Status split_lines(Vocabulary *vocabulary, const char *path, Diagnostic *diagnostic)
{
    char *bytes = vocabulary->bytes, *end = bytes + vocabulary->size;
    for (char *line = bytes; line < end;) {
        long number = (long)vocabulary->pieces.count + 1;
        char *line_end = memchr(line, '\n', (size_t)(end - line));
        char *next = line_end ? line_end + 1 : end;
        size_t size = (size_t)((line_end ? line_end : end) - line), valid = utf8_valid_prefix(line, size);
        if (valid < size)
            return FAIL_AT(diagnostic, STATUS_INVALID_INPUT, path, number, (long)valid + 1,
                           "a vocabulary must be UTF-8 text, one piece a line");
        if (memchr(line, '\0', size))
            return FAIL_AT(diagnostic, STATUS_INVALID_INPUT, path, number, 1, "a NUL byte: this is no vocab.txt");
        if (number > VOCABULARY_PIECE_LIMIT)
            return FAIL_AT(diagnostic, STATUS_LIMIT, path, number, 1, "more than %d pieces: this is no vocab.txt",
                           VOCABULARY_PIECE_LIMIT);
        line[trimmed_size(line, size)] = '\0'; /* the file's bytes are terminated, so there is room after the last line too */
        array_push(&vocabulary->pieces, line);
        line = next;
    }
    return STATUS_OK;
}

static int compare_ids(const void *a, const void *b, void *context)
{
    const Vocabulary *vocabulary = context;
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    int order = strcmp(vocabulary->pieces.items[x], vocabulary->pieces.items[y]);
    return order != 0 ? order : (x > y) - (x < y);
}

static void sort_pieces(Vocabulary *vocabulary)
{
    array_reserve(&vocabulary->sorted, vocabulary->pieces.count);
    for (size_t id = 0; id < vocabulary->pieces.count; id++)
        array_push(&vocabulary->sorted, (int32_t)id);
    if (vocabulary->sorted.count > 0) /* an empty file has no array */
        qsort_r(vocabulary->sorted.items, vocabulary->sorted.count, sizeof(int32_t), compare_ids, vocabulary);
}

int32_t vocabulary_find(const Vocabulary *vocabulary, const char *piece)
{
    size_t low = 0, high = vocabulary->sorted.count; /* the first piece after all equal ones */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(vocabulary->pieces.items[vocabulary->sorted.items[middle]], piece) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return -1;
    int32_t id = vocabulary->sorted.items[low - 1];
    return strcmp(vocabulary->pieces.items[id], piece) == 0 ? id : -1;
}

/* The trie while it is built: free units of the open blocks in a ring, used bases. */
typedef struct TrieBuilder {
    Vocabulary *vocabulary;
    ARRAY(int32_t) next_free; /* by unit; NO_UNIT where it is not in the list */
    ARRAY(int32_t) previous_free;
    ARRAY(uint8_t) base_used; /* by base */
    int32_t first_free;       /* NO_UNIT: the list is empty */
} TrieBuilder;

/* A run of sorted pieces with a common prefix of `depth` bytes: one node of the trie. */
typedef struct TrieRun {
    int32_t unit, depth;
    size_t first, end;
} TrieRun;
typedef ARRAY(TrieRun) TrieRunArray;

typedef struct TrieChildren {
    int32_t count;
    uint8_t labels[BLOCK];
    size_t firsts[BLOCK + 1];
} TrieChildren;

static void unit_take(TrieBuilder *builder, int32_t unit)
{
    int32_t next = builder->next_free.items[unit], previous = builder->previous_free.items[unit];
    if (next == unit) {
        builder->first_free = NO_UNIT;
    } else {
        builder->next_free.items[previous] = next;
        builder->previous_free.items[next] = previous;
        if (builder->first_free == unit)
            builder->first_free = next;
    }
    builder->next_free.items[unit] = builder->previous_free.items[unit] = NO_UNIT;
}

static void unit_release(TrieBuilder *builder, int32_t unit)
{
    int32_t first = builder->first_free;
    if (first == NO_UNIT) {
        builder->first_free = builder->next_free.items[unit] = builder->previous_free.items[unit] = unit;
        return;
    }
    int32_t last = builder->previous_free.items[first];
    builder->next_free.items[unit] = first;
    builder->previous_free.items[unit] = last;
    builder->next_free.items[last] = unit;
    builder->previous_free.items[first] = unit;
}

/* Adds a block, and closes the one that is now too old to be searched. */
static void block_add(TrieBuilder *builder)
{
    size_t start = builder->vocabulary->units.count;
    if (start >= (size_t)OPEN_BLOCKS * BLOCK) {
        size_t old = start - (size_t)OPEN_BLOCKS * BLOCK;
        for (size_t unit = old; unit < old + BLOCK; unit++)
            if (builder->next_free.items[unit] != NO_UNIT)
                unit_take(builder, (int32_t)unit);
    }
    for (size_t unit = start; unit < start + BLOCK; unit++) {
        array_push(&builder->vocabulary->units, ((VocabularyUnit){0, 0}));
        array_push(&builder->next_free, NO_UNIT);
        array_push(&builder->previous_free, NO_UNIT);
        array_push(&builder->base_used, 0);
        unit_release(builder, (int32_t)unit);
    }
}

static bool base_fits(const TrieBuilder *builder, uint32_t base, const TrieChildren *children)
{
    if (builder->base_used.items[base])
        return false;
    for (int32_t i = 1; i < children->count; i++)
        if (builder->next_free.items[base ^ children->labels[i]] == NO_UNIT)
            return false;
    return true;
}

static uint32_t base_find(TrieBuilder *builder, const TrieChildren *children)
{
    int32_t unit = builder->first_free;
    if (unit != NO_UNIT) {
        do {
            uint32_t base = (uint32_t)unit ^ children->labels[0];
            if (base_fits(builder, base, children))
                return base;
            unit = builder->next_free.items[unit];
        } while (unit != builder->first_free);
    }
    uint32_t base = (uint32_t)builder->vocabulary->units.count; /* a new block fits everything */
    block_add(builder);
    return base;
}

/* Splits a run by the next byte; the piece that ends here, if any, is the run's first. */
static void run_children(TrieBuilder *builder, TrieRun run, TrieChildren *children)
{
    const Vocabulary *vocabulary = builder->vocabulary;
    children->count = 0;
    for (size_t i = run.first; i < run.end; i++) {
        int32_t id = vocabulary->sorted.items[i];
        const char *piece = vocabulary->pieces.items[id];
        uint8_t label = (uint8_t)piece[run.depth];
        if (label == 0) {
            VocabularyUnit *unit = &builder->vocabulary->units.items[run.unit];
            unit->tag = (unit->tag & 0xFF) | (uint32_t)(id + 1) << 8;
        } else if (children->count == 0 || children->labels[children->count - 1] != label) {
            children->labels[children->count] = label;
            children->firsts[children->count++] = i;
        }
    }
    children->firsts[children->count] = run.end;
}

static void build_trie(Vocabulary *vocabulary)
{
    TrieBuilder builder = {.vocabulary = vocabulary, .first_free = NO_UNIT};
    TrieRunArray runs = {0};
    TrieChildren children;
    block_add(&builder);
    unit_take(&builder, 0);
    builder.base_used.items[0] = 1;
    array_push(&runs, ((TrieRun){.unit = 0, .depth = 0, .first = 0, .end = vocabulary->sorted.count}));
    while (runs.count > 0) {
        TrieRun run = runs.items[--runs.count];
        run_children(&builder, run, &children);
        if (children.count == 0 || run.depth >= VOCABULARY_MATCH_LIMIT)
            continue;
        uint32_t base = base_find(&builder, &children);
        builder.base_used.items[base] = 1;
        vocabulary->units.items[run.unit].base = base;
        for (int32_t i = 0; i < children.count; i++) {
            int32_t unit = (int32_t)(base ^ children.labels[i]);
            unit_take(&builder, unit);
            vocabulary->units.items[unit].tag = children.labels[i];
            array_push(&runs, ((TrieRun){unit, run.depth + 1, children.firsts[i], children.firsts[i + 1]}));
        }
    }
    vocabulary->units.items[0].tag &= 0xFF; /* an empty line is no piece to be matched */
    array_free(&runs);
    array_free(&builder.next_free);
    array_free(&builder.previous_free);
    array_free(&builder.base_used);
}

static uint32_t continuation_base(const Vocabulary *vocabulary)
{
    uint32_t base = vocabulary->units.items[0].base;
    for (int32_t i = 0; i < 2 && base != 0; i++) {
        VocabularyUnit unit = vocabulary->units.items[base ^ '#'];
        base = (unit.tag & 0xFF) == '#' ? unit.base : 0;
    }
    return base;
}

Status vocabulary_load(Vocabulary *vocabulary, const char *path, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    memset(vocabulary, 0, sizeof *vocabulary);
    TRY(file_read(path, VOCABULARY_BYTES_LIMIT, &vocabulary->bytes, &vocabulary->size, diagnostic));
    sha256_hex(vocabulary->bytes, vocabulary->size, vocabulary->sha256);
    TRY(split_lines(vocabulary, path, diagnostic));
    sort_pieces(vocabulary);
    build_trie(vocabulary);
    vocabulary->word_base = vocabulary->units.items[0].base;
    vocabulary->continue_base = continuation_base(vocabulary);
out:
    if (status != STATUS_OK)
        vocabulary_free(vocabulary);
    return status;
}

void vocabulary_free(Vocabulary *vocabulary)
{
    free(vocabulary->bytes);
    array_free(&vocabulary->pieces);
    array_free(&vocabulary->sorted);
    array_free(&vocabulary->units);
    memset(vocabulary, 0, sizeof *vocabulary);
}
