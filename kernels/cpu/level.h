/* The inner loops of the CPU backend, once per set of processor features ("level"), on plain pointers and one thread.
 *
 * level_amx.c, level_avx512bf16.c, level_avx512.c, level_avx2.c and level_portable.c are the same code (simd/) over other vectors, each
 * compiled for its processor; the operations above choose a level when the device is opened and split the work. Nothing here allocates. */
#ifndef NERSWEEP_KERNELS_CPU_LEVEL_H
#define NERSWEEP_KERNELS_CPU_LEVEL_H

#include "kernels/backend.h"
#include "kernels/cpu/host_buffer.h"

typedef struct EmbeddingJob {
    HostBlock pieces;
    size_t d;
    const float *word, *position, *type;
    float *out;                          /* [T, d] */
    const float *d_out;                  /* [T, d] */
    float *d_word, *d_position, *d_type; /* NULL: not wanted */
} EmbeddingJob;

typedef struct NormJob {
    HostBlock pieces;
    size_t d;
    const float *x, *residual, *gamma, *beta, *d_y; /* residual may be NULL */
    float epsilon;
    Dropout dropout_in, dropout_out;
    float *sum, *y, *mean, *rstd;
    HostReals y_product; /* may be missing */
    float *d_sum;
    HostReals d_x; /* may be missing */
    float *d_gamma, *d_beta;
    float *partial; /* backward: [chunk][2 d] sums of d_gamma and d_beta over the rows of one chunk */
} NormJob;

typedef struct AttentionJob {
    HostBlock pieces;
    size_t heads, width;
    Dropout dropout;
    HostReals qkv, context; /* of one type, as their gradients */
    float *log_sum_exp;
    HostReals d_context, d_qkv; /* backward only */
} AttentionJob;

typedef struct LossJob {
    const float *logits, *weights, *class_weights; /* class_weights may be NULL */
    const int32_t *labels;
    float smoothing, gradient_scale;
    size_t label_count;
    float *d_logits; /* may be NULL */
} LossJob;

/* What an AdamwStep comes to for every element. */
typedef struct AdamwFactors {
    float clip, epsilon;
    float decay;        /* 1 - learning rate * weight decay */
    float rate;         /* learning rate / (1 - beta1^t) */
    float root_scale;   /* 1 / sqrt(1 - beta2^t) */
    float keep1, take1; /* beta1, 1 - beta1 */
    float keep2, take2;
} AdamwFactors;

typedef struct AdamwJob {
    float *parameter, *first_moment, *second_moment;
    const float *gradient;
    uint16_t *bf16; /* a copy of the parameters, or NULL */
} AdamwJob;

/* What happens to a product of rows with a matrix before it is stored. */
typedef struct ProductEnd {
    HostReals out;       /* [rows, out_row] */
    size_t out_row;      /* columns of the whole product */
    const float *bias;   /* [out_row] or NULL */
    bool gelu;           /* out = gelu(product + bias) */
    HostReals pre;       /* with gelu: product + bias is kept here, like out and of its type; may be missing */
    HostReals slope_pre; /* out = product * gelu'(slope_pre), likewise */
    bool accumulate;     /* out += */
} ProductEnd;

/* Products of matrices, one set of functions for operands of fp32 and one for bf16, always with sums in fp32. Operands are packed along the
 * sum in units of four bytes: a number, or a pair of bf16 numbers, the earlier one in the lower half. Panels are arrays of units that only
 * vectors read, [depth / per_unit][tile_columns]; columns beyond the matrix, and what was added to make depth a multiple of depth_step, are
 * zero. */

/* out[r][j] = sum over i < depth of a[r a_row + i] b[i][j] for panels b of tile_columns columns. */
typedef struct PanelJob {
    const void *a;       /* [rows, a_row] numbers, there up to depth in each row */
    size_t a_row, depth; /* numbers */
    ProductEnd end;
} PanelJob;

/* d_weight[j][i] = sum over rows of d_y[row][j] x[row][i] over operands packed along the rows. */
typedef struct WeightJob {
    const void *x, *d_y; /* [rows, k] and [rows, n] numbers */
    size_t n, k;
    size_t rows, depth;           /* of this pass; depth: rows, rounded up */
    float *panels_d_y, *panels_x; /* d_y: panels of tile_rows outputs, in whatever layout product_weight reads */
    size_t step_d_y, step_x;      /* units from one panel to the next */
    float *d_weight, *d_bias;     /* d_bias may be NULL */
    bool accumulate;              /* += instead of = */
} WeightJob;

enum {
    PRODUCT_PANELS_MAX = 8, /* that one call of product takes */
    WEIGHT_PANELS_MAX = 32  /* of x that one call of product_weight takes */
};

typedef struct Products {
    size_t tile_rows; /* rows that a tile has of a product, outputs that it has of d_weight */
    size_t per_unit, depth_step;
    size_t d_y_group; /* panels of d_y that one call packs at most */
    /* weight: [n, k] numbers of the products' type. Of W^T, a panel of outputs column ..; of W, panels of inputs column .. */
    void (*pack_transposed)(const void *weight, size_t n, size_t k, size_t column, float *panel);
    void (*pack_plain)(const void *weight, size_t n, size_t k, size_t column, size_t columns, float *panels);
    /* panels: from first_panel on. */
    void (*product)(const PanelJob *job, const float *panels, size_t first, size_t last, size_t first_panel, size_t last_panel);
    void (*pack_x)(const WeightJob *job, size_t first_panel, size_t last_panel);
    void (*pack_d_y)(const WeightJob *job, size_t first_panel, size_t last_panel); /* d_bias too */
    /* tiles: room for two of [tile_rows][panels of x that this call takes][tile_columns]. */
    void (*product_weight)(const WeightJob *job, size_t first_d_y_panel, size_t last_d_y_panel, size_t first_x_panel,
                           size_t last_x_panel, float *tiles);
} Products;

typedef struct Level {
    const char *name;
    bool beats_blas; /* its products of fp32 numbers do */
    bool has_bf16;   /* instructions for products of bf16 numbers */
    size_t tile_columns;
    Products fp32, bf16;

    void (*embedding_forward)(const EmbeddingJob *job, size_t first, size_t last);      /* rows */
    void (*embedding_backward)(const EmbeddingJob *job, size_t first, size_t last);     /* columns */
    size_t (*norm_scratch)(size_t d);                                                   /* bytes per thread */
    void (*norm_forward)(const NormJob *job, size_t first, size_t last, void *scratch); /* rows */
    void (*norm_backward)(const NormJob *job, size_t first, size_t last, float *partial, void *scratch);
    size_t (*attention_scratch)(size_t longest, size_t width);
    void (*attention_forward)(const AttentionJob *job, size_t sequence, size_t head, void *scratch);
    void (*attention_backward)(const AttentionJob *job, size_t sequence, size_t head, void *scratch);
    double (*cross_entropy)(const LossJob *job, size_t first, size_t last); /* rows; the sum of their losses */
    double (*sum_of_squares)(const float *x, size_t count);
    void (*adamw)(const AdamwJob *job, const AdamwFactors *factors, size_t first, size_t last);
    /* Elements first .. last - 1 through all of the steps, with gradients of zero. */
    void (*adamw_late)(const AdamwJob *job, const AdamwFactors *steps, size_t step_count, size_t first, size_t last);
    void (*add_rows)(float *to, const float *rows, size_t row_stride, size_t row_count, size_t count); /* to[i] += sum over rows */

    /* in: the product of rows first .. last - 1 and columns column .. column + columns - 1, rows in_row apart; may be the place of out. */
    void (*product_end)(const ProductEnd *end, const float *in, size_t in_row, size_t first, size_t last, size_t column,
                        size_t columns);

    void (*to_bf16)(const float *from, uint16_t *to, size_t count);
    void (*to_floats)(const uint16_t *from, float *to, size_t count);
} Level;

extern const Level level_portable;
#ifdef NERSWEEP_CPU_X86
extern const Level level_avx2;
extern const Level level_avx512;
extern const Level level_avx512bf16;
extern const Level level_amx;
#endif

/* The best level of this processor, or of what $NERSWEEP_CPU_FEATURES (amx, avx512bf16, avx512, avx2, portable) allows of it. */
NODISCARD Status level_choose(const Level **level, Diagnostic *diagnostic);

/* Are its products of bf16 numbers quicker than those of fp32, on this processor? */
bool level_bf16_is_quicker(const Level *level);

#endif
