#include "shard/wordpiece_scan.h"

#include <string.h>

#include "core/base/status.h"

#if defined(__x86_64__)
#include <immintrin.h>
#define SCAN_X86 1
#else
#define SCAN_X86 0
#endif

enum {
    SCANNER_LIMIT = 3,
    EDGES_AT_ONCE = 8, /* places that are written without asking whether there are so many */
};

/* Bit i: byte i of a block. Of none of the three classes: space. */
typedef struct BlockMasks {
    uint64_t letters, punctuation, others;
} BlockMasks;
/* Classifies a block and writes its normalised bytes. */
typedef BlockMasks (*BlockFunction)(const WordScanTables *tables, const uint8_t *block, uint8_t *normalised);

void word_scan_tables_finish(WordScanTables *tables)
{
    uint8_t *const rows[] = {tables->letter_rows, tables->space_rows, tables->punctuation_rows}; /* by ByteClass */
    memset(tables->letter_rows, 0, sizeof tables->letter_rows);
    memset(tables->punctuation_rows, 0, sizeof tables->punctuation_rows);
    memset(tables->space_rows, 0, sizeof tables->space_rows);
    for (int32_t byte = 0; byte < 128; byte++)
        if (tables->byte_class[byte] <= BYTE_PUNCTUATION)
            rows[tables->byte_class[byte]][byte & 0xF] |= (uint8_t)(1u << (byte >> 4));
}

/* Writes the places of the set bits; may write up to EDGES_AT_ONCE more entries than there are bits. */
static inline __attribute__((always_inline)) void write_edges(uint64_t bits, uint32_t base, uint16_t *places)
{
    for (int32_t i = 0; i < EDGES_AT_ONCE; i++) {
        places[i] = (uint16_t)(base + (uint32_t)__builtin_ctzll(bits | 1ull << 63));
        bits &= bits - 1;
    }
    if (bits == 0)
        return;
    for (int32_t i = EDGES_AT_ONCE; i < 2 * EDGES_AT_ONCE; i++) {
        places[i] = (uint16_t)(base + (uint32_t)__builtin_ctzll(bits | 1ull << 63));
        bits &= bits - 1;
    }
    for (int32_t i = 2 * EDGES_AT_ONCE; bits != 0; i++) {
        places[i] = (uint16_t)(base + (uint32_t)__builtin_ctzll(bits));
        bits &= bits - 1;
    }
}

/* A word that reaches up to where the scan ends is whole only if the text ends there too. */
static inline void finish(const WordScanTables *tables, bool whole, int32_t starts, int32_t ends, int32_t limit, WordScan *scan)
{
    scan->count = starts;
    scan->size = limit;
    if (starts == ends)
        return;
    int32_t last = scan->starts[starts - 1];
    if (whole || tables->byte_class[scan->bytes[last]] == BYTE_PUNCTUATION) {
        scan->ends[ends] = (uint16_t)limit;
    } else {
        scan->count--;
        scan->size = last;
    }
}

static inline __attribute__((always_inline)) void scan_blocks(BlockFunction classify, const WordScanTables *tables,
                                                              const uint8_t *text, size_t size, WordScan *scan)
{
    int32_t limit = size < SCAN_CHUNK ? (int32_t)size : SCAN_CHUNK;
    int32_t starts = 0, ends = 0;
    uint64_t letter_before = 0, punctuation_before = 0;
    scan->stopped = false;
    memset(scan->bytes + limit, 0, SCAN_SLACK);
    for (int32_t at = 0; at < limit; at += SCAN_BLOCK) {
        BlockMasks masks;
        int32_t missing = at + SCAN_BLOCK - limit; /* bytes of the block that are not there */
        if (missing <= 0) {
            masks = classify(tables, text + at, scan->bytes + at);
        } else if (at > 0) { /* the last bytes that are there, some of them again */
            masks = classify(tables, text + at - missing, scan->bytes + at - missing);
            masks = (BlockMasks){masks.letters >> missing, masks.punctuation >> missing, masks.others >> missing};
        } else {
            uint8_t block[SCAN_BLOCK];
            memset(block, ' ', sizeof block);
            memcpy(block, text, (size_t)limit);
            masks = classify(tables, block, scan->bytes);
        }
        uint64_t behind_letter = masks.letters << 1 | letter_before,
                 behind_punctuation = masks.punctuation << 1 | punctuation_before;
        uint64_t begin = (masks.letters & ~behind_letter) | masks.punctuation;
        uint64_t end = (~masks.letters & behind_letter) | behind_punctuation;
        letter_before = masks.letters >> 63;
        punctuation_before = masks.punctuation >> 63;
        if (masks.others != 0) {
            uint64_t below = (masks.others & -masks.others) - 1;
            begin &= below;
            end &= below;
            limit = at + __builtin_ctzll(masks.others);
            scan->stopped = true;
        }
        write_edges(begin, (uint32_t)at, scan->starts + starts);
        write_edges(end, (uint32_t)at, scan->ends + ends);
        starts += __builtin_popcountll(begin);
        ends += __builtin_popcountll(end);
    }
    finish(tables, !scan->stopped && (size_t)limit == size, starts, ends, limit, scan);
}

/* ---- portable ---- */

static inline BlockMasks classify_portable(const WordScanTables *tables, const uint8_t *block, uint8_t *normalised)
{
    BlockMasks masks = {0, 0, 0};
    for (int32_t i = 0; i < SCAN_BLOCK; i++) {
        uint8_t class = tables->byte_class[block[i]];
        masks.letters |= (uint64_t)(class == BYTE_LETTER) << i;
        masks.punctuation |= (uint64_t)(class == BYTE_PUNCTUATION) << i;
        masks.others |= (uint64_t)(class >= BYTE_REMOVED) << i;
        normalised[i] = block[i] < 128 ? tables->byte_lower[block[i]] : block[i];
    }
    return masks;
}

static void scan_portable(const WordScanTables *tables, const uint8_t *text, size_t size, WordScan *scan)
{
    scan_blocks(classify_portable, tables, text, size, scan);
}

#if SCAN_X86

/* ---- SSE2, which every x86-64 has: no look-up by shuffle, so the classes of ASCII are comparisons here ---- */

static inline __m128i sse2_between(__m128i bytes, char first, char last)
{
    return _mm_and_si128(_mm_cmpgt_epi8(bytes, _mm_set1_epi8((char)(first - 1))),
                         _mm_cmplt_epi8(bytes, _mm_set1_epi8((char)(last + 1))));
}

static inline __attribute__((always_inline)) BlockMasks classify_sse2(const WordScanTables *tables, const uint8_t *block,
                                                                      uint8_t *normalised)
{
    BlockMasks masks = {0, 0, 0};
    for (int32_t i = 0; i < SCAN_BLOCK; i += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(block + i)); /* bytes from 0x80 on are negative */
        __m128i upper = sse2_between(bytes, 'A', 'Z');
        __m128i letter = _mm_or_si128(_mm_or_si128(upper, sse2_between(bytes, 'a', 'z')), sse2_between(bytes, '0', '9'));
        __m128i space =
            _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(' ')), _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\r'))),
                         sse2_between(bytes, '\t', '\n'));
        __m128i other = _mm_or_si128(_mm_cmplt_epi8(bytes, _mm_set1_epi8(' ')), _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7F)));
        uint32_t letters = (uint32_t)_mm_movemask_epi8(letter), spaces = (uint32_t)_mm_movemask_epi8(space);
        uint32_t others = (uint32_t)_mm_movemask_epi8(other) & ~spaces;
        if (tables->lowercase)
            bytes = _mm_or_si128(bytes, _mm_and_si128(upper, _mm_set1_epi8(0x20)));
        _mm_storeu_si128((__m128i *)(normalised + i), bytes);
        masks.letters |= (uint64_t)letters << i;
        masks.others |= (uint64_t)others << i;
        masks.punctuation |= (uint64_t)(~(letters | spaces | others) & 0xFFFF) << i;
    }
    return masks;
}

static void scan_sse2(const WordScanTables *tables, const uint8_t *text, size_t size, WordScan *scan)
{
    scan_blocks(classify_sse2, tables, text, size, scan);
}

/* ---- AVX2 ---- */

#define TARGET_AVX2 __attribute__((target("avx2,bmi,bmi2,popcnt,lzcnt")))

/* The high nibble's bit; 0x80 and above have none. */
static inline __attribute__((always_inline)) TARGET_AVX2 __m256i avx2_columns(__m256i bytes)
{
    const __m256i bits = _mm256_setr_epi8(1, 2, 4, 8, 16, 32, 64, (char)128, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64,
                                          (char)128, 0, 0, 0, 0, 0, 0, 0, 0);
    return _mm256_shuffle_epi8(bits, _mm256_and_si256(_mm256_srli_epi16(bytes, 4), _mm256_set1_epi8(0x0F)));
}

/* Bit i: byte i is not of the class. */
static inline __attribute__((always_inline)) TARGET_AVX2 uint32_t avx2_outside(const uint8_t rows[16], __m256i bytes,
                                                                               __m256i columns)
{
    __m256i table = _mm256_broadcastsi128_si256(_mm_load_si128((const __m128i *)rows));
    __m256i found = _mm256_and_si256(_mm256_shuffle_epi8(table, bytes), columns);
    return (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(found, _mm256_setzero_si256()));
}

static inline __attribute__((always_inline)) TARGET_AVX2 BlockMasks classify_avx2(const WordScanTables *tables,
                                                                                  const uint8_t *block, uint8_t *normalised)
{
    BlockMasks masks = {0, 0, 0};
    for (int32_t i = 0; i < SCAN_BLOCK; i += 32) {
        __m256i bytes = _mm256_loadu_si256((const __m256i *)(block + i));
        __m256i columns = avx2_columns(bytes);
        uint32_t no_letters = avx2_outside(tables->letter_rows, bytes, columns);
        uint32_t no_punctuation = avx2_outside(tables->punctuation_rows, bytes, columns);
        uint32_t no_spaces = avx2_outside(tables->space_rows, bytes, columns);
        if (tables->lowercase) {
            __m256i upper = _mm256_and_si256(_mm256_cmpgt_epi8(bytes, _mm256_set1_epi8('A' - 1)),
                                             _mm256_cmpgt_epi8(_mm256_set1_epi8('Z' + 1), bytes));
            bytes = _mm256_or_si256(bytes, _mm256_and_si256(upper, _mm256_set1_epi8(0x20)));
        }
        _mm256_storeu_si256((__m256i *)(normalised + i), bytes);
        masks.letters |= (uint64_t)~no_letters << i;
        masks.punctuation |= (uint64_t)~no_punctuation << i;
        masks.others |= (uint64_t)(no_letters & no_punctuation & no_spaces) << i;
    }
    return masks;
}

static TARGET_AVX2 void scan_avx2(const WordScanTables *tables, const uint8_t *text, size_t size, WordScan *scan)
{
    scan_blocks(classify_avx2, tables, text, size, scan);
}

#endif

/* ---- which ---- */

const WordScanner *word_scanners(size_t *count)
{
    static const WordScanner scanners[SCANNER_LIMIT] = {
#if SCAN_X86
        {"avx2", scan_avx2},
        {"sse2", scan_sse2},
#endif
        {"portable", scan_portable},
    };
#if SCAN_X86
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
                __builtin_cpu_supports("popcnt");
    *count = avx2 ? 3 : 2;
    return avx2 ? scanners : scanners + 1;
#else
    *count = 1;
    return scanners;
#endif
}
