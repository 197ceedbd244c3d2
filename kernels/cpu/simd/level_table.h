/* Ends a level's file: the table of what the headers before it defined. */
#include "kernels/cpu/simd/attention.h"
#include "kernels/cpu/simd/elementwise.h"
#include "kernels/cpu/simd/pairs.h"
#include "kernels/cpu/simd/products.h"
#include "kernels/cpu/simd/rows.h"

#ifdef LEVEL_AMX
#include "kernels/cpu/simd/attention_pairs.h"
#define ATTENTION(function) pairs_attention_##function
#else
#define ATTENTION(function) attention_##function
#endif

const Level LEVEL_TABLE = {
    .name = LEVEL_NAME,
    .beats_blas = LEVEL_BEATS_BLAS,
#ifdef LEVEL_BF16
    .has_bf16 = true,
#endif
    .tile_columns = TILE_COLUMNS,
    .fp32 = {.tile_rows = TILE_ROWS,
             .per_unit = 1,
             .depth_step = 1,
             .d_y_group = D_Y_GROUP,
             .pack_transposed = pack_transposed,
             .pack_plain = pack_plain,
             .product = product,
             .pack_x = pack_x,
             .pack_d_y = pack_d_y,
             .product_weight = product_weight},
    .bf16 = {.tile_rows = PAIR_ROWS,
             .per_unit = 2,
             .depth_step = PAIR_DEPTH,
             .d_y_group = PAIR_D_Y_GROUP,
             .pack_transposed = pairs_pack_transposed,
             .pack_plain = pairs_pack_plain,
             .product = pairs_product,
             .pack_x = pairs_pack_x,
             .pack_d_y = pairs_pack_d_y,
             .product_weight = pairs_product_weight},
    .embedding_forward = embedding_forward,
    .embedding_backward = embedding_backward,
    .norm_scratch = norm_scratch,
    .norm_forward = norm_forward,
    .norm_backward = norm_backward,
    .attention_scratch = ATTENTION(scratch),
    .attention_forward = ATTENTION(forward),
    .attention_backward = ATTENTION(backward),
    .cross_entropy = cross_entropy,
    .sum_of_squares = sum_of_squares,
    .adamw = adamw,
    .adamw_late = adamw_late,
    .add_rows = add_rows,
    .product_end = product_end,
    .to_bf16 = to_bf16,
    .to_floats = to_floats,
};
