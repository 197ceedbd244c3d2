/* The backend table: the operations of a BERT training step on one device.
 *
 * Made for a GPU: device memory is opaque, work is queued on streams, nothing moves between host and device but by an explicit copy. The host
 * may touch device memory only through buffer_host_pointer, which a backend may leave NULL. Operations return nothing: a failure sticks to
 * the stream and stream_synchronize reports the first one.
 *
 * Letters in shapes: T pieces of the packed block, S sequences, d hidden width, h heads, w = d / h head width, n rows (outputs) and k columns
 * (inputs) of a weight matrix as in y = x W^T + b, C labels. All arrays are row-major fp32 unless said otherwise; "any type" is what its view
 * says. Where x and d_y are bf16, products are of bf16 numbers with sums in fp32. "+=" in a comment means the operation accumulates. Results
 * are the same bits for any number of threads.
 *
 * Implementations: kernels/cpu/reference (plain loops, the oracle; always linked), kernels/cpu (OpenBLAS and vector code; a module loaded with
 * backend_open). One suite, kernels/check, runs over all of them. */
#ifndef NERSWEEP_KERNELS_BACKEND_H
#define NERSWEEP_KERNELS_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/philox.h"
#include "core/base/status.h"

typedef struct BackendDevice BackendDevice; /* an opened device */
typedef struct BackendBuffer BackendBuffer; /* device memory */
typedef struct BackendStream BackendStream; /* work done in order */
typedef struct BackendMatrix BackendMatrix; /* a weight matrix in the layout that the device multiplies fastest */

/* What an array of reals holds: fp32, or bf16, the upper half of an fp32 rounded to the nearest, ties to even. */
typedef enum DeviceType { DEVICE_FP32, DEVICE_BF16 } DeviceType;
static inline size_t device_type_bytes(DeviceType type)
{
    return type == DEVICE_BF16 ? sizeof(uint16_t) : sizeof(float);
}

/* A place in a buffer, and of which type the reals there are. No buffer where an argument is optional. By value everywhere; does not own. */
typedef struct DeviceView {
    BackendBuffer *buffer;
    size_t offset_bytes;
    DeviceType type;
} DeviceView;
static inline DeviceView device_view(BackendBuffer *buffer, size_t offset_bytes)
{
    return (DeviceView){buffer, offset_bytes, DEVICE_FP32};
}
static inline DeviceView device_view_none(void)
{
    return device_view(NULL, 0);
}
/* The place `count` elements further on. */
static inline DeviceView device_view_floats(DeviceView view, size_t count)
{
    return (DeviceView){view.buffer, view.offset_bytes + count * device_type_bytes(view.type), view.type};
}

/* Inverted dropout: an element is kept and scaled by 1 / (1 - probability) where its uniform number is >= probability.
 * Its word is number (channel % 4) of philox4x32_10(key, slot of the sequence, token's position in it, channel / 4, site).
 * For attention probabilities channel = position of the key and site = site | head << 16. probability 0: off. */
typedef struct Dropout {
    float probability;
    PhiloxKey key;
    uint32_t site; /* unique per place in the network, below 65536 */
} Dropout;

/* Who a row is, for dropout; and where sequences begin, for attention. Device arrays, made once per block. */
typedef struct DeviceBlock {
    int32_t piece_count;       /* T */
    int32_t sequence_count;    /* S */
    int32_t longest;           /* pieces of the longest sequence */
    DeviceView ids;            /* int32 [T] */
    DeviceView positions;      /* int32 [T] */
    DeviceView slots;          /* uint32 [T] slot of the piece's sequence */
    DeviceView sequence_start; /* int32 [S + 1] */
} DeviceBlock;

typedef struct AdamwStep {
    float learning_rate; /* after schedule and layer-wise decay */
    float beta1, beta2, epsilon;
    float weight_decay;   /* 0 for biases and LayerNorm */
    float gradient_scale; /* the clip factor, applied to the gradient first */
    int64_t t;            /* counted from 1: step number since these parameters thawed */
} AdamwStep;

typedef struct BackendOptions {
    int thread_count; /* CPU threads this device may use, >= 1 */
} BackendOptions;

/* The largest block that is to come, for planning memory. */
typedef struct BackendShape {
    int32_t rows, longest;   /* pieces of the block, and of its longest sequence */
    int32_t d, heads, f;     /* f: of the feed-forward's matrices */
    DeviceType product_type; /* of linear layers and attention */
} BackendShape;

typedef enum LinearEpilogue { LINEAR_PLAIN, LINEAR_GELU } LinearEpilogue;

enum { BACKEND_VERSION = 7, BACKEND_SQUARES_STRETCH = 4096 };

typedef struct Backend {
    uint32_t version; /* BACKEND_VERSION */
    const char *name; /* "reference", "cpu" ... */

    /* -- devices. describe writes which processor features and libraries are used, for the log. */
    NODISCARD Status (*device_open)(BackendDevice **device, const BackendOptions *options, Diagnostic *diagnostic);
    void (*device_close)(BackendDevice **device);
    void (*device_describe)(const BackendDevice *device, char *text, size_t text_size);
    /* What results depend on bit by bit beside the inputs: the level of processor features ("amx"), and the library where one multiplies
     * ("avx2, OpenBLAS ..."). Devices with the same text give the same bits, whatever their number of threads. */
    void (*device_features)(const BackendDevice *device, char *text, size_t text_size);

    /* Whether a row of linear layers, and all of a sequence, comes out as the same bits whatever other rows are computed with it. */
    bool (*rows_independent)(const BackendDevice *device);
    /* The type in which products are fastest here. The other one works too. */
    DeviceType (*product_type)(const BackendDevice *device);
    /* Bytes that a device takes beside buffers: of a matrix, and of all operations of a training step on such blocks, kept from the first one
     * on. */
    size_t (*matrix_bytes)(const BackendDevice *device, int32_t n, int32_t k, DeviceType type);
    size_t (*workspace_bytes)(const BackendDevice *device, const BackendShape *shape);

    /* -- memory. Zeroed, aligned to 64 bytes. buffer_host_pointer is NULL (the slot, or its result) where the host has no access. */
    NODISCARD Status (*buffer_create)(BackendBuffer **buffer, BackendDevice *device, size_t size_bytes, Diagnostic *diagnostic);
    void (*buffer_destroy)(BackendBuffer **buffer);
    void *(*buffer_host_pointer)(BackendBuffer *buffer);

    /* -- streams and copies. Copies to and from the host are complete after stream_synchronize. */
    NODISCARD Status (*stream_create)(BackendStream **stream, BackendDevice *device, Diagnostic *diagnostic);
    void (*stream_destroy)(BackendStream **stream);
    NODISCARD Status (*stream_synchronize)(BackendStream *stream, Diagnostic *diagnostic);
    void (*copy_to_device)(BackendStream *stream, DeviceView to, const void *from, size_t size_bytes);
    void (*copy_to_host)(BackendStream *stream, void *to, DeviceView from, size_t size_bytes);
    void (*copy)(BackendStream *stream, DeviceView to, DeviceView from, size_t size_bytes); /* no overlap */
    void (*fill_zero)(BackendStream *stream, DeviceView to, size_t size_bytes);
    void (*convert)(BackendStream *stream, DeviceView to, DeviceView from, size_t count); /* any types; no overlap */
    /* to[i] += from[i], [count] each; no overlap. Rounded once, so that every backend gives the same bits. */
    void (*add)(BackendStream *stream, DeviceView to, DeviceView from, size_t count);

    /* -- weight matrices. weight: [n, k] fp32 master. type: of the products, and so of x and d_y in them. copy: with bf16 [n, k] numbers of that
     * type, which products read; none with fp32. Both must outlive the matrix. After matrix_refresh, which follows whatever changed the master but
     * adamw_matrix, the copy is of no meaning until the next product or matrix_settle makes it anew; at other times who knows the master's new
     * numbers may write them there, rounded. */
    NODISCARD Status (*matrix_create)(BackendMatrix **matrix, BackendDevice *device, DeviceView weight, DeviceView copy, int32_t n,
                                      int32_t k, DeviceType type, Diagnostic *diagnostic);
    void (*matrix_destroy)(BackendMatrix **matrix);
    void (*matrix_refresh)(BackendStream *stream, BackendMatrix *matrix);
    void (*matrix_settle)(BackendStream *stream, BackendMatrix *matrix);

    /* -- embeddings. out[t] = word[ids[t]] + position[positions[t]] + type[0]. word: [V, d], position: [P, d], type: [.., d]. */
    void (*embedding_forward)(BackendStream *stream, const DeviceBlock *block, DeviceView word, DeviceView position,
                              DeviceView type, int32_t d, DeviceView out /* [T, d] */);
    /* d_word, d_position, d_type += ; rows are added in the order of the block. */
    void (*embedding_backward)(BackendStream *stream, const DeviceBlock *block, DeviceView d_out /* [T, d] */, int32_t d,
                               DeviceView d_word, DeviceView d_position, DeviceView d_type);

    /* -- LayerNorm with what stands around it. sum = dropout_in(x) + residual; y = dropout_out(LayerNorm(sum)).
     * x, sum, y: [T, d]; residual: [T, d] or none; gamma, beta: [d]; mean, rstd: [T] (population variance, rstd = 1/sqrt(var + epsilon)).
     * sum may be the same place as x. y_product [T, d] of any type: y once more, as an operand of products; none, or the place of y: not
     * wanted. */
    void (*norm_forward)(BackendStream *stream, const DeviceBlock *block, DeviceView x, DeviceView residual, DeviceView gamma,
                         DeviceView beta, float epsilon, int32_t d, Dropout dropout_in, Dropout dropout_out, DeviceView sum,
                         DeviceView y, DeviceView y_product, DeviceView mean, DeviceView rstd);
    /* From d_y: d_sum [T, d] (the gradient of the residual branch) and d_x [T, d] of any type (the gradient of x; may be the same place as
     * d_sum only when dropout_in is off; none: not wanted). d_gamma, d_beta += , or none where they are frozen. d_y may be the same place as
     * d_sum. */
    void (*norm_backward)(BackendStream *stream, const DeviceBlock *block, DeviceView d_y, DeviceView sum, DeviceView mean,
                          DeviceView rstd, DeviceView gamma, int32_t d, Dropout dropout_in, Dropout dropout_out, DeviceView d_sum,
                          DeviceView d_x, DeviceView d_gamma, DeviceView d_beta);

    /* -- linear layers over rows (rows = T, or fewer). x: [rows, k] of the matrix's type, y: [rows, n] of that type or fp32, bias: [n]
     * or none. LINEAR_GELU: pre [rows, n] = x W^T + b, of the type of y, is kept for backward (none: not wanted), y = gelu(pre) with erf
     * (Hendrycks, Gimpel 2016). */
    void (*linear_forward)(BackendStream *stream, BackendMatrix *weight, DeviceView bias, DeviceView x, int32_t rows,
                           LinearEpilogue epilogue, DeviceView pre, DeviceView y);
    /* d_x [rows, k] = d_y W, d_y [rows, n] of the matrix's type, d_x of that type or fp32; with pre (of the layer before, [rows, k], of the type
     * of d_x) it is multiplied by gelu'(pre). accumulate: += instead of =. */
    void (*linear_backward_input)(BackendStream *stream, BackendMatrix *weight, DeviceView d_y, int32_t rows, DeviceView pre,
                                  bool accumulate, DeviceView d_x);
    /* d_weight [n, k] = d_y^T x and d_bias [n] = column sums of d_y (or none), for x [rows, k] and d_y [rows, n] of one type. accumulate: +=
     * instead of =. */
    void (*linear_backward_weight)(BackendStream *stream, DeviceView x, DeviceView d_y, int32_t rows, int32_t n, int32_t k,
                                   bool accumulate, DeviceView d_weight, DeviceView d_bias);

    /* -- attention inside each sequence. qkv: [T, 3d], a row is q | k | v, each h heads of w. scale 1/sqrt(w).
     * context: [T, d]; log_sum_exp: [T, h] of the scaled scores (kept for backward, which recomputes the probabilities). qkv, context and
     * their gradients are of one type, any. */
    void (*attention_forward)(BackendStream *stream, const DeviceBlock *block, DeviceView qkv, int32_t heads, int32_t head_width,
                              Dropout dropout, DeviceView context, DeviceView log_sum_exp);
    void (*attention_backward)(BackendStream *stream, const DeviceBlock *block, DeviceView qkv, DeviceView context,
                               DeviceView log_sum_exp, DeviceView d_context, int32_t heads, int32_t head_width, Dropout dropout,
                               DeviceView d_qkv);

    /* -- rows of any type, the same on both sides. index: int32 [rows], ascending, each below from_rows or to_rows. Places do not overlap.
     * gather: to [rows, columns], to[i] = from[index[i]]. scatter: to [to_rows, columns] = 0, then to[index[i]] = from[i]. */
    void (*rows_gather)(BackendStream *stream, DeviceView from, int32_t from_rows, DeviceView index, int32_t rows, int32_t columns,
                        DeviceView to);
    void (*rows_scatter)(BackendStream *stream, DeviceView from, DeviceView index, int32_t rows, int32_t columns, DeviceView to,
                         int32_t to_rows);

    /* -- loss. labels: int32 [rows], TOKEN_LABEL_IGNORED rows cost nothing and have a zero gradient; weights: [rows]; class_weights: [C] or none.
     * loss_sum (one double on the device) += sum over rows of weights[r] * torch's cross entropy with label_smoothing and class weights,
     * undivided; d_logits [rows, C] (or none) = its gradient times gradient_scale (1 / the step's denominator). */
    void (*cross_entropy)(BackendStream *stream, DeviceView logits, DeviceView labels, DeviceView weights, DeviceView class_weights,
                          float label_smoothing, float gradient_scale, int32_t rows, int32_t label_count, DeviceView loss_sum,
                          DeviceView d_logits);

    /* -- optimizer. sums (doubles on the device, one for each BACKEND_SQUARES_STRETCH floats of x [count], the last of which may be fewer): each
     * += sum of squares of its stretch, added in a fixed order that depends on nothing but the stretch. */
    void (*sum_of_squares)(BackendStream *stream, DeviceView x, size_t count, DeviceView sums);
    /* AdamW as torch (decoupled weight decay, semantics.md section 4) over count elements. */
    void (*adamw)(BackendStream *stream, DeviceView parameter, DeviceView gradient, DeviceView first_moment,
                  DeviceView second_moment, size_t count, const AdamwStep *step);
    /* The same of elements [first, first + count) of a matrix's master, whom the matrix follows: it needs no refresh. gradient and moments:
     * [count]. Where these are not all of the elements the matrix is settled. */
    void (*adamw_matrix)(BackendStream *stream, BackendMatrix *matrix, size_t first, size_t count, DeviceView gradient,
                         DeviceView first_moment, DeviceView second_moment, const AdamwStep *step);
    /* The same of some rows of a matrix [.., columns] and its moments. rows: int32 [row_count], ascending; gradient: [row_count, columns], of
     * those rows alone. A row gets the bits that adamw would give it. */
    void (*adamw_rows)(BackendStream *stream, DeviceView parameter, DeviceView gradient, DeviceView first_moment,
                       DeviceView second_moment, DeviceView rows, int32_t row_count, int32_t columns, const AdamwStep *step);
    /* Steps without a gradient, made up for: rows[i] goes through the last late[i] (int32, 0 .. step_count) of steps [step_count], a host array that
     * is read before the call returns. A row gets the bits that adamw would have given it with gradients of zero. */
    void (*adamw_late)(BackendStream *stream, DeviceView parameter, DeviceView first_moment, DeviceView second_moment,
                       DeviceView rows, DeviceView late, int32_t row_count, int32_t columns, const AdamwStep *steps,
                       int32_t step_count);
} Backend;

/* The oracle. Static. */
const Backend *backend_reference(void);

/* "reference", "cpu", or "auto" (the fastest that works here). "cpu" is a module file nersweep-backend-cpu.so beside the program, in
 * ../lib/nersweep, or in $NERSWEEP_BACKEND_PATH, loaded with dlopen and never unloaded, so that programs which never compute load no BLAS.
 * Errors: STATUS_NOT_FOUND with the places looked at, STATUS_MISMATCH on another BACKEND_VERSION. */
NODISCARD Status backend_open(const Backend **backend, const char *name, Diagnostic *diagnostic);

/* The one symbol of a module. */
typedef const Backend *(*BackendEntry)(void);
#define BACKEND_ENTRY_SYMBOL "nersweep_backend_entry"

#endif
