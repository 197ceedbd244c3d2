/* Attention of one head over one sequence with products of bf16 numbers by matrix tiles (AMX); the softmax and all sums are fp32.
 *
 * Formulas as in reference/attention.c. Scores lie transposed, [keys][queries]: every vector is LANES queries of one key, so a softmax adds
 * and compares whole vectors, one vector of random words is the masks of four keys, and whatever a product reads of it is a matter of
 * rounding, not of turning. What is turned instead is as long as the sequence, not its square. Operands are padded with zeros to blocks of
 * 32 x 32; queries beyond the sequence are columns that nobody reads, or that meet rows of zeros.
 *
 * Gradients take probabilities as bf16. The context takes them as a sum of two bf16 numbers: it is the only result whose error would come
 * from nothing else, and the tiles have time. */
#ifndef NERSWEEP_KERNELS_CPU_SIMD_ATTENTION_PAIRS_H
#define NERSWEEP_KERNELS_CPU_SIMD_ATTENTION_PAIRS_H

#include "kernels/cpu/simd/attention.h"
#include "kernels/cpu/simd/lane_mask.h"
#include "kernels/cpu/simd/pairs.h"

enum { GROUP_PANELS = 2, GROUP_QUERIES = GROUP_PANELS * PAIR_ROWS, SQUARE = PAIR_ROWS * PAIR_ROWS };

/* One head's view of the job, and its scratch. Blocks: operands a, [rows / 16][columns / 32] tiles. Panels: operands b, [columns / 32] of
 * [pairs][32]. */
typedef struct PairsHead {
    size_t first, length, width;        /* pieces of the sequence; head width */
    size_t padded_length, padded_width; /* whole PAIR_ROWS */
    size_t qkv_row, context_row;        /* numbers */
    const uint16_t *q, *k, *v;
    uint16_t *context;
    float scale, slope; /* of scores: 1 / sqrt(w), and to powers of two */
    Mask mask;
    uint32_t site;
    float *keys;    /* blocks of k */
    float *turned;  /* blocks of v transposed, in backward of k */
    float *queries; /* panels of q transposed: 32 queries each, in backward GROUP_PANELS of them */
    float *weights; /* panels over all keys: probabilities, in backward gradients of scores */
    float *result;  /* [padded_width][32] */
    /* forward */
    float *left;   /* what rounding left of weights */
    float *scores; /* [padded_length][32], in backward [32][32] */
    float *pairs;  /* panels of v */
    /* backward */
    const uint16_t *d_context;
    float *values;                  /* blocks */
    float *d_out, *out;             /* as queries, of d_context and context */
    float *query_rows, *d_out_rows; /* panels */
    float *d_scores;                /* [32][32] */
    float *p, *d_s;                 /* blocks: 32 keys, GROUP_QUERIES */
    float *d_keys, *d_values;       /* [padded_width / 32][padded_length][32] */
    float log_sums[GROUP_QUERIES], along[GROUP_QUERIES];
} PairsHead;

/* Rows as blocks: `rows` and `columns` of them are there, and zeros up to whole tiles. */
static void blocks_of_rows(const uint16_t *from, size_t from_row, size_t rows, size_t columns, size_t padded_rows,
                           size_t padded_columns, float *to)
{
    for (size_t r = 0; r < padded_rows; r += HALF_ROWS) {
        size_t there = rows <= r ? 0 : rows - r < HALF_ROWS ? rows - r : HALF_ROWS;
        for (size_t c = 0; c < padded_columns; c += PAIR_DEPTH, to += BLOCK_WORDS) {
            const uint16_t *at = from + r * from_row + c;
            for (size_t i = 0; i < there; i++, at += from_row) {
                words_store(to + i * LANES, columns - c >= PAIR_DEPTH ? words_load(at) : pairs_load_upto(at, columns - c));
            }
            for (size_t i = there; i < HALF_ROWS; i++) {
                words_store(to + i * LANES, words_set(0));
            }
        }
    }
}

/* A 16 x 16 block of units, rows from_row apart, transposed. */
static inline void block_turn(const float *from, size_t from_row, float *to, size_t to_row)
{
    Floats block[LANES];
#pragma GCC unroll 16
    for (size_t i = 0; i < LANES; i++) {
        block[i] = floats_load(from + i * from_row);
    }
    floats_transpose(block);
#pragma GCC unroll 16
    for (size_t i = 0; i < LANES; i++) {
        floats_store(to + i * to_row, block[i]);
    }
}

/* Queries from `begin` on, of rows of the sequence, as a panel of the transposed matrix. */
static void panel_of_queries(const PairsHead *work, const uint16_t *from, size_t from_row, size_t begin, float *panel)
{
    float block[BLOCK_WORDS] __attribute__((aligned(64)));
    for (size_t half = 0; half < PAIR_ROWS; half += HALF_ROWS) {
        size_t row = begin + half, rows = work->length > row ? work->length - row : 0;
        for (size_t c = 0; c < work->padded_width; c += PAIR_DEPTH) {
            blocks_of_rows(from + row * from_row + c, from_row, rows, work->width - c, HALF_ROWS, PAIR_DEPTH, block);
            block_turn(block, LANES, panel + c / 2 * TILE_COLUMNS + half, TILE_COLUMNS);
        }
    }
}

/* Rows as panels, and panels as blocks of the transposed matrix. */
static void panels_of_rows(const PairsHead *work, const uint16_t *from, size_t from_row, float *panels)
{
    size_t words = work->padded_length / 2;
    pairs_pack_rows(from, from_row, work->length, work->width, words, panels, words * TILE_COLUMNS);
}

static void blocks_of_panels(const PairsHead *work, const float *panels, float *to)
{
    size_t words = work->padded_length / 2;
    for (size_t column = 0; column < work->padded_width; column += HALF_ROWS) {
        const float *from = panels + column / TILE_COLUMNS * words * TILE_COLUMNS + column % TILE_COLUMNS;
        for (size_t i = 0; i < words; i += LANES, to += BLOCK_WORDS) {
            block_turn(from + i * TILE_COLUMNS, TILE_COLUMNS, to, LANES);
        }
    }
}

/* out: [32][32], of rows row .. of blocks that are `steps` tiles deep, and a panel. */
static inline void square_add(const float *blocks, size_t row, size_t steps, const float *panel)
{
    const size_t block_bytes = BLOCK_WORDS * sizeof *blocks;
    Walk walk = walk_none();
    tiles_add(true, false, steps, blocks + row / HALF_ROWS * steps * BLOCK_WORDS, TILE_BYTES_A_ROW, block_bytes,
              steps * block_bytes, panel, &walk);
}

static inline void square_product(const float *blocks, size_t row, size_t steps, const float *panel, float *out)
{
    tiles_zero();
    square_add(blocks, row, steps, panel);
    tiles_store(out, PAIR_ROWS, true);
}

static PairsHead pairs_head(const AttentionJob *job, size_t sequence, size_t head)
{
    size_t first = (size_t)job->pieces.sequence_start[sequence], length = (size_t)job->pieces.sequence_start[sequence + 1] - first;
    size_t d = job->heads * job->width, column = head * job->width;
    const uint16_t *qkv = job->qkv.bf16 + first * 3 * d + column;
    return (PairsHead){
        .first = first,
        .length = length,
        .width = job->width,
        .padded_length = round_up(length, PAIR_ROWS),
        .padded_width = round_up(job->width, PAIR_ROWS),
        .qkv_row = 3 * d,
        .context_row = d,
        .q = qkv,
        .k = qkv + d,
        .v = qkv + 2 * d,
        .context = job->context.bf16 + first * d + column,
        .scale = (float)(1.0 / sqrt((double)job->width)),
        .slope = (float)(1.44269504088896341 / sqrt((double)job->width)),
        .mask = mask_of(job->dropout),
        .site = job->dropout.site | (uint32_t)head << 16,
    };
}

/* Takes what both directions need, and that of one of them. */
static void pairs_scratch(PairsHead *work, bool backward, float *at)
{
    size_t length = work->padded_length, operand = length * work->padded_width / 2, panel = work->padded_width / 2 * PAIR_ROWS;
    size_t weights = length / 2 * PAIR_ROWS;
    work->keys = scratch_take(&at, operand);
    work->turned = scratch_take(&at, operand);
    work->result = scratch_take(&at, 2 * panel);
    if (!backward) {
        work->queries = scratch_take(&at, panel);
        work->weights = scratch_take(&at, weights);
        work->left = scratch_take(&at, weights);
        work->scores = scratch_take(&at, length * PAIR_ROWS);
        work->pairs = scratch_take(&at, operand);
        return;
    }
    work->queries = scratch_take(&at, GROUP_PANELS * panel);
    work->weights = scratch_take(&at, GROUP_PANELS * weights);
    work->values = scratch_take(&at, operand);
    work->d_out = scratch_take(&at, GROUP_PANELS * panel);
    work->out = scratch_take(&at, panel);
    work->query_rows = scratch_take(&at, operand);
    work->d_out_rows = scratch_take(&at, operand);
    work->scores = scratch_take(&at, SQUARE);
    work->d_scores = scratch_take(&at, SQUARE);
    work->p = scratch_take(&at, GROUP_PANELS * SQUARE / 2);
    work->d_s = scratch_take(&at, GROUP_PANELS * SQUARE / 2);
    work->d_keys = scratch_take(&at, 2 * operand);
    work->d_values = scratch_take(&at, 2 * operand);
}

/* Backward's, which are more than forward's. */
static size_t pairs_attention_scratch(size_t longest, size_t width)
{
    size_t length = round_up(longest, PAIR_ROWS), columns = round_up(width, PAIR_ROWS);
    size_t operand = length * columns / 2, panel = columns / 2 * PAIR_ROWS, weights = length / 2 * PAIR_ROWS;
    size_t bytes = (9 * operand + 7 * panel + GROUP_PANELS * weights + 4 * SQUARE) * sizeof(float);
    size_t plain = attention_scratch(longest, width);
    return bytes > plain ? bytes : plain;
}

/* x[i] = 2^x[i] off by 2e-7 of the value; below -120 it stays at 7.5e-37. The polynomial is minimax over -1/2 .. 1/2. */
static inline __attribute__((always_inline)) void batch_power_of_two(Floats x[BATCH])
{
    static const float fit[] = {1.327647205e-3f, 9.675541464e-3f, 5.550713274e-2f, 0.2402211972f, 0.6931469671f, 1.000000072f};
    Floats n[BATCH], p[BATCH];
    FOR_BATCH(i) x[i] = floats_larger(floats_set(-120.0f), x[i]);
    FOR_BATCH(i) n[i] = floats_round(x[i]);
    FOR_BATCH(i) x[i] = floats_subtract(x[i], n[i]);
    FOR_BATCH(i) p[i] = floats_multiply_add(floats_set(fit[0]), x[i], floats_set(fit[1]));
#pragma GCC unroll 4
    for (int term = 2; term < 6; term++) {
        FOR_BATCH(i) p[i] = floats_multiply_add(p[i], x[i], floats_set(fit[term]));
    }
    FOR_BATCH(i) x[i] = floats_scale(p[i], n[i]);
}

/* The lanes of four keys from `key` on that count: all of a key inside the sequence. */
static inline void keys_there(const PairsHead *work, size_t key, uint32_t there[BATCH])
{
    FOR_BATCH(i) there[i] = key + i < work->length ? first_bits(LANES) : 0;
}

/* -- forward: a column is LANES queries over all keys */

static Floats column_largest(const PairsHead *work, const float *scores)
{
    Floats largest[BATCH];
    FOR_BATCH(i) largest[i] = floats_load(scores);
    size_t key = 0;
    for (; key + BATCH <= work->length; key += BATCH) {
        FOR_BATCH(i) largest[i] = floats_larger(largest[i], floats_load(scores + (key + i) * PAIR_ROWS));
    }
    for (; key < work->length; key++) {
        largest[0] = floats_larger(largest[0], floats_load(scores + key * PAIR_ROWS));
    }
    return floats_larger(floats_larger(largest[0], largest[1]), floats_larger(largest[2], largest[3]));
}

/* Of exponents, the probabilities times their sum, with dropout's zeros, as pairs; returns that sum. */
static Floats column_weights(const PairsHead *work, const LaneMask *mask, const float *scores, Floats largest, float *high,
                             float *low)
{
    const Floats slope = floats_set(work->slope), shift = floats_subtract(floats_zero(), floats_multiply(largest, slope));
    Floats sums[BATCH] = {floats_zero(), floats_zero(), floats_zero(), floats_zero()};
    for (size_t key = 0; key < work->padded_length; key += BATCH) {
        Floats e[BATCH];
        uint32_t there[BATCH], kept[BATCH];
        float *to = high + key / 2 * PAIR_ROWS, *to_low = low + key / 2 * PAIR_ROWS;
        if (key >= work->length) {
            for (size_t i = 0; i < 2; i++) {
                floats_store(to + i * PAIR_ROWS, floats_zero());
                floats_store(to_low + i * PAIR_ROWS, floats_zero());
            }
            continue;
        }
        FOR_BATCH(i) e[i] = floats_multiply_add(floats_load(scores + (key + i) * PAIR_ROWS), slope, shift);
        batch_power_of_two(e);
        keys_there(work, key, there);
        FOR_BATCH(i) e[i] = floats_keep(e[i], there[i]);
        FOR_BATCH(i) sums[i] = floats_add(sums[i], e[i]);
        lane_mask_bits(mask, (uint32_t)(key / LANE_MASK_KEYS), kept);
        FOR_BATCH(i) e[i] = floats_keep(e[i], kept[i]);
        for (size_t i = 0; i < 2; i++) {
            Words pairs = pairs_of_floats(e[2 * i], e[2 * i + 1]);
            Floats left = floats_subtract(e[2 * i], pairs_earlier(pairs)),
                   left_later = floats_subtract(e[2 * i + 1], pairs_later(pairs));
            words_store(to + i * PAIR_ROWS, pairs);
            words_store(to_low + i * PAIR_ROWS, pairs_of_floats(left, left_later));
        }
    }
    return floats_add(floats_add(sums[0], sums[1]), floats_add(sums[2], sums[3]));
}

/* LANES columns of from [padded_width][32] become rows of bf16 numbers, `rows` of them. */
static void turned_store(const PairsHead *work, const float *from, Floats factor, uint16_t *to, size_t to_row, size_t rows)
{
    for (size_t c = 0; c < work->width; c += LANES) {
        Floats block[LANES];
#pragma GCC unroll 16
        for (size_t i = 0; i < LANES; i++) {
            block[i] = floats_multiply(floats_load(from + (c + i) * PAIR_ROWS), factor);
        }
        floats_transpose(block);
        if (rows == LANES && work->width - c >= LANES) {
#pragma GCC unroll 16
            for (size_t i = 0; i < LANES; i++) {
                floats_store_bf16(to + i * to_row + c, block[i]);
            }
            continue;
        }
        for (size_t i = 0; i < rows; i++) {
            floats_store_bf16_upto(to + i * to_row + c, block[i], work->width - c);
        }
    }
}

static void column_log_sums(const PairsHead *work, const AttentionJob *job, size_t head, size_t query, Floats largest, Floats sum)
{
    float tops[LANES], sums[LANES];
    floats_store(tops, largest);
    floats_store(sums, sum);
    for (size_t i = 0; i < LANES && query + i < work->length; i++) {
        job->log_sum_exp[(work->first + query + i) * job->heads + head] = tops[i] * work->scale + logf(sums[i]);
    }
}

/* Scores of 32 queries become weights; factors: what rows of the context are to be multiplied by. */
static void panel_weights(const PairsHead *work, const AttentionJob *job, size_t head, size_t begin, Floats factors[2])
{
    for (size_t half = 0; half < 2 && begin + half * LANES < work->length; half++) {
        size_t query = begin + half * LANES, column = half * LANES;
        LaneMask mask = lane_mask(&work->mask, &job->pieces, work->first + query, work->length - query, work->site);
        Floats largest = column_largest(work, work->scores + column);
        Floats sum = column_weights(work, &mask, work->scores + column, largest, work->weights + column, work->left + column);
        column_log_sums(work, job, head, query, largest, sum);
        factors[half] = floats_divide(floats_set(work->mask.scale), sum);
    }
}

/* The result of 32 queries, transposed, as rows of numbers. */
static void panel_store(const PairsHead *work, size_t begin, const Floats factors[2], uint16_t *to, size_t to_row)
{
    for (size_t half = 0; half < 2 && begin + half * LANES < work->length; half++) {
        size_t query = begin + half * LANES, rows = work->length - query < LANES ? work->length - query : LANES;
        turned_store(work, work->result + half * LANES, factors[half], to + query * to_row, to_row, rows);
    }
}

static void pairs_attention_forward(const AttentionJob *job, size_t sequence, size_t head, void *scratch)
{
    if (job->qkv.bf16 == NULL) {
        attention_forward(job, sequence, head, scratch);
        return;
    }
    PairsHead work = pairs_head(job, sequence, head);
    size_t length = work.padded_length, width = work.padded_width, keys = length / PAIR_DEPTH, steps = width / PAIR_DEPTH;
    Floats factors[2];
    pairs_scratch(&work, false, scratch);
    blocks_of_rows(work.k, work.qkv_row, work.length, work.width, length, width, work.keys);
    panels_of_rows(&work, work.v, work.qkv_row, work.pairs);
    blocks_of_panels(&work, work.pairs, work.turned);
    tiles_shape(PAIR_ROWS);
    for (size_t begin = 0; begin < work.length; begin += PAIR_ROWS) {
        panel_of_queries(&work, work.q, work.qkv_row, begin, work.queries);
        for (size_t key = 0; key < length; key += PAIR_ROWS) {
            square_product(work.keys, key, steps, work.queries, work.scores + key * PAIR_ROWS);
        }
        panel_weights(&work, job, head, begin, factors);
        for (size_t c = 0; c < width; c += PAIR_ROWS) {
            tiles_zero();
            square_add(work.turned, c, keys, work.weights);
            square_add(work.turned, c, keys, work.left);
            tiles_store(work.result + c * PAIR_ROWS, PAIR_ROWS, true);
        }
        panel_store(&work, begin, factors, work.context, work.context_row);
    }
    _tile_release();
}

/* -- backward: groups of queries outside, keys inside */

/* Panels of q and d_context from `begin` on, and what the softmax of these queries was: its sum, and d_context times context. */
static void panel_begin(PairsHead *work, const AttentionJob *job, size_t head, size_t begin, size_t panel)
{
    const size_t panel_floats = work->padded_width / 2 * PAIR_ROWS;
    float *d_out = work->d_out + panel * panel_floats, *log_sums = work->log_sums + panel * PAIR_ROWS;
    panel_of_queries(work, work->q, work->qkv_row, begin, work->queries + panel * panel_floats);
    panel_of_queries(work, work->d_context, work->context_row, begin, d_out);
    panel_of_queries(work, work->context, work->context_row, begin, work->out);
    for (size_t half = 0; half < PAIR_ROWS; half += LANES) {
        Floats along = floats_zero();
        for (size_t i = half; i < panel_floats; i += PAIR_ROWS) {
            along = pairs_multiply_add(along, words_load(d_out + i), words_load(work->out + i));
        }
        floats_store(work->along + panel * PAIR_ROWS + half, along);
    }
    for (size_t i = 0; i < PAIR_ROWS; i++) {
        bool there = begin + i < work->length;
        log_sums[i] = there ? job->log_sum_exp[(work->first + begin + i) * job->heads + head] * 1.44269504089f : 0.0f;
    }
}

/* LANES queries of a group, `column` its first, and four keys from `key` on, whose scores are given: p, with dropout, and d_s. */
static inline __attribute__((always_inline)) void column_gradient(const PairsHead *work, const LaneMask *mask, size_t column,
                                                                  size_t key, const float *scores, const float *d_scores,
                                                                  Floats p[BATCH], Floats d_s[BATCH])
{
    const Floats slope = floats_set(work->slope), shift = floats_subtract(floats_zero(), floats_load(work->log_sums + column));
    const Floats along = floats_load(work->along + column), scale = floats_set(work->mask.scale);
    uint32_t there[BATCH], kept[BATCH];
    FOR_BATCH(j) p[j] = floats_multiply_add(floats_load(scores + j * PAIR_ROWS), slope, shift);
    batch_power_of_two(p);
    keys_there(work, key, there);
    lane_mask_bits(mask, (uint32_t)(key / LANE_MASK_KEYS), kept);
    FOR_BATCH(j) p[j] = floats_keep(p[j], there[j]);
    FOR_BATCH(j) d_s[j] = floats_keep(floats_multiply(floats_load(d_scores + j * PAIR_ROWS), scale), kept[j]);
    FOR_BATCH(j) d_s[j] = floats_multiply(p[j], floats_subtract(d_s[j], along));
    FOR_BATCH(j) p[j] = floats_keep(p[j], kept[j]);
}

static inline void pairs_store(float *to, const Floats v[BATCH])
{
    words_store(to, pairs_of_floats(v[0], v[1]));
    words_store(to + PAIR_ROWS, pairs_of_floats(v[2], v[3]));
}

/* A panel of a group, `column` its first query, and 32 keys. p, d_s: where those of the first key begin, those of the last 16 `lower` numbers
 * further on; weights: likewise. Queries beyond the sequence count as nothing. */
static void panel_gradient(const PairsHead *work, const LaneMask *masks, bool both, size_t column, size_t key, uint16_t *p,
                           uint16_t *d_s, size_t lower, float *weights)
{
    for (size_t i = 0; i < PAIR_ROWS; i += BATCH, weights += BATCH / 2 * PAIR_ROWS) {
        const float *scores = work->scores + i * PAIR_ROWS, *d_scores = work->d_scores + i * PAIR_ROWS;
        const size_t at = i / HALF_ROWS * lower + i % HALF_ROWS * PAIR_ROWS;
        Floats p_left[BATCH], p_right[BATCH], d_left[BATCH], d_right[BATCH];
        FOR_BATCH(j) p_left[j] = p_right[j] = d_left[j] = d_right[j] = floats_zero();
        if (key + i < work->length) {
            column_gradient(work, masks, column, key + i, scores, d_scores, p_left, d_left);
        }
        if (key + i < work->length && both) {
            column_gradient(work, masks + 1, column + LANES, key + i, scores + LANES, d_scores + LANES, p_right, d_right);
        }
        FOR_BATCH(j) floats_store_bf16_two(p + at + j * PAIR_ROWS, p_left[j], p_right[j]);
        FOR_BATCH(j) floats_store_bf16_two(d_s + at + j * PAIR_ROWS, d_left[j], d_right[j]);
        pairs_store(weights, d_left);
        pairs_store(weights + LANES, d_right);
    }
}

/* Of 32 keys and a group of `panels` panels of queries: p, d_s and weights. */
static void group_gradient(const PairsHead *work, const LaneMask *masks, size_t begin, size_t panels, size_t key)
{
    const size_t steps = work->padded_width / PAIR_DEPTH, panel_floats = work->padded_width / 2 * PAIR_ROWS;
    const size_t block = BLOCK_WORDS * 2;
    for (size_t panel = 0; panel < panels; panel++) {
        const size_t column = panel * PAIR_ROWS;
        square_product(work->keys, key, steps, work->queries + panel * panel_floats, work->scores);
        square_product(work->values, key, steps, work->d_out + panel * panel_floats, work->d_scores);
        panel_gradient(work, masks + column / LANES, begin + column + LANES < work->length, column, key,
                       (uint16_t *)(void *)work->p + panel * block, (uint16_t *)(void *)work->d_s + panel * block, panels * block,
                       work->weights + (panel * work->padded_length + key) / 2 * PAIR_ROWS);
    }
}

/* out, of 32 keys: adds the products of blocks [32 keys][panels of queries] with panels of rows. */
static void keys_add(const PairsHead *work, const float *blocks, const float *rows, size_t begin, size_t panels, size_t key,
                     float *out)
{
    for (size_t c = 0; c < work->padded_width; c += PAIR_ROWS) {
        float *to = out + (c / PAIR_ROWS * work->padded_length + key) * PAIR_ROWS;
        if (begin == 0) {
            tiles_zero();
        } else {
            tiles_load(to, PAIR_ROWS);
        }
        square_add(blocks, 0, panels, rows + (c / PAIR_ROWS * work->padded_length + begin) / 2 * PAIR_ROWS);
        tiles_store(to, PAIR_ROWS, true);
    }
}

/* [padded_width / 32][padded_length][32] times a factor as rows of numbers. */
static void keys_store(const PairsHead *work, const float *from, float factor, uint16_t *to)
{
    const Floats factors = floats_set(factor);
    for (size_t i = 0; i < work->length; i++) {
        for (size_t c = 0; c < work->width; c += PAIR_ROWS) {
            const float *at = from + (c / PAIR_ROWS * work->padded_length + i) * PAIR_ROWS;
            Floats left = floats_multiply(floats_load(at), factors), right = floats_multiply(floats_load(at + LANES), factors);
            uint16_t *row = to + i * work->qkv_row + c;
            if (work->width - c >= PAIR_ROWS) {
                floats_store_bf16_two(row, left, right);
                continue;
            }
            floats_store_bf16_upto(row, left, work->width - c);
            if (work->width - c > LANES) {
                floats_store_bf16_upto(row + LANES, right, work->width - c - LANES);
            }
        }
    }
}

static void group_backward(PairsHead *work, const AttentionJob *job, size_t head, size_t begin, uint16_t *d_q)
{
    const Floats factors[2] = {floats_set(work->scale), floats_set(work->scale)};
    size_t panels = work->padded_length - begin < GROUP_QUERIES ? 1 : GROUP_PANELS;
    LaneMask masks[GROUP_QUERIES / LANES];
    for (size_t panel = 0; panel < panels; panel++) {
        panel_begin(work, job, head, begin + panel * PAIR_ROWS, panel);
    }
    for (size_t i = 0; i < panels * PAIR_ROWS / LANES && begin + i * LANES < work->length; i++) {
        size_t query = begin + i * LANES;
        masks[i] = lane_mask(&work->mask, &job->pieces, work->first + query, work->length - query, work->site);
    }
    for (size_t key = 0; key < work->padded_length; key += PAIR_ROWS) {
        group_gradient(work, masks, begin, panels, key);
        keys_add(work, work->d_s, work->query_rows, begin, panels, key, work->d_keys);
        keys_add(work, work->p, work->d_out_rows, begin, panels, key, work->d_values);
    }
    for (size_t panel = 0; panel < panels; panel++) {
        for (size_t c = 0; c < work->padded_width; c += PAIR_ROWS) {
            square_product(work->turned, c, work->padded_length / PAIR_DEPTH,
                           work->weights + panel * work->padded_length / 2 * PAIR_ROWS, work->result + c * PAIR_ROWS);
        }
        panel_store(work, begin + panel * PAIR_ROWS, factors, d_q, work->qkv_row);
    }
}

static void pairs_attention_backward(const AttentionJob *job, size_t sequence, size_t head, void *scratch)
{
    if (job->qkv.bf16 == NULL) {
        attention_backward(job, sequence, head, scratch);
        return;
    }
    PairsHead work = pairs_head(job, sequence, head);
    size_t length = work.padded_length, width = work.padded_width, d = work.context_row, column = head * work.width;
    uint16_t *d_q = job->d_qkv.bf16 + work.first * work.qkv_row + column;
    work.d_context = job->d_context.bf16 + work.first * d + column;
    pairs_scratch(&work, true, scratch);
    blocks_of_rows(work.k, work.qkv_row, work.length, work.width, length, width, work.keys);
    blocks_of_rows(work.v, work.qkv_row, work.length, work.width, length, width, work.values);
    panels_of_rows(&work, work.k, work.qkv_row, work.d_keys); /* where sums will be */
    blocks_of_panels(&work, work.d_keys, work.turned);
    panels_of_rows(&work, work.q, work.qkv_row, work.query_rows);
    panels_of_rows(&work, work.d_context, work.context_row, work.d_out_rows);
    tiles_shape(PAIR_ROWS);
    for (size_t begin = 0; begin < work.length; begin += GROUP_QUERIES) {
        group_backward(&work, job, head, begin, d_q);
    }
    _tile_release();
    keys_store(&work, work.d_keys, work.scale, d_q + d);
    keys_store(&work, work.d_values, work.mask.scale, d_q + 2 * d);
}

#endif
