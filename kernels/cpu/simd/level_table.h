/* Ends a level's file: the table of what the headers before it defined. */
#include "kernels/cpu/simd/attention.h"
#include "kernels/cpu/simd/elementwise.h"
#include "kernels/cpu/simd/pairs.h"
#include "kernels/cpu/simd/products.h"
#include "kernels/cpu/simd/rows.h"

#ifdef LEVEL_BF16
enum { LEVEL_HAS_BF16 = true };
#else
enum { LEVEL_HAS_BF16 = false };
#endif

const Level LEVEL_TABLE = {
    .name = LEVEL_NAME,
    .panels = LEVEL_PANELS,
    .tile_rows = TILE_ROWS,
    .tile_columns = TILE_COLUMNS,
    .embedding_forward = embedding_forward,
    .embedding_backward = embedding_backward,
    .norm_scratch = norm_scratch,
    .norm_forward = norm_forward,
    .norm_backward = norm_backward,
    .attention_scratch = attention_scratch,
    .attention_forward = attention_forward,
    .attention_backward = attention_backward,
    .cross_entropy = cross_entropy,
    .sum_of_squares = sum_of_squares,
    .adamw = adamw,
    .add_rows = add_rows,
    .product_end = product_end,
    .pack_transposed = pack_transposed,
    .pack_plain = pack_plain,
    .product_panels = product_panels,
    .pack_x = pack_x,
    .pack_d_y = pack_d_y,
    .product_weight = product_weight,
    .bf16 = LEVEL_HAS_BF16,
    .pair_rows = PAIR_ROWS,
    .pairs_pack_transposed = pairs_pack_transposed,
    .pairs_pack_plain = pairs_pack_plain,
    .pairs_product = pairs_product,
    .pairs_pack_x = pairs_pack_x,
    .pairs_pack_d_y = pairs_pack_d_y,
    .pairs_product_weight = pairs_product_weight,
    .to_bf16 = to_bf16,
    .to_floats = to_floats,
};
