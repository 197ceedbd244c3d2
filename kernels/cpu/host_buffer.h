/* Buffers of backends whose device memory is host memory, and checked access to it. */
#ifndef NERSWEEP_KERNELS_CPU_HOST_BUFFER_H
#define NERSWEEP_KERNELS_CPU_HOST_BUFFER_H

#include "kernels/backend.h"

struct BackendBuffer {
    unsigned char *bytes;
    size_t size_bytes;
    void *owner; /* the backend's own: how the memory is given back */
};

/* The memory of count elements of size_bytes each at view. A view that leaves its buffer is a bug of the caller: asserted, so that it is
 * found here and not as a foreign value somewhere else. */
static inline void *host_view(DeviceView view, size_t count, size_t size_bytes)
{
    ASSERT(view.buffer != NULL);
    ASSERT(view.offset_bytes <= view.buffer->size_bytes);
    ASSERT(count <= (view.buffer->size_bytes - view.offset_bytes) / size_bytes);
    ASSERT(view.offset_bytes % size_bytes == 0);
    return view.buffer->bytes + view.offset_bytes;
}

static inline float *host_floats(DeviceView view, size_t count)
{
    ASSERT(view.type == DEVICE_FP32);
    return host_view(view, count, sizeof(float));
}

static inline uint16_t *host_bf16(DeviceView view, size_t count)
{
    ASSERT(view.type == DEVICE_BF16);
    return host_view(view, count, sizeof(uint16_t));
}

/* NULL for an optional argument that is not given. */
static inline float *host_floats_or_null(DeviceView view, size_t count)
{
    return view.buffer == NULL ? NULL : host_floats(view, count);
}

/* Memory of reals of either type, for who moves them without looking. */
static inline unsigned char *host_real_bytes(DeviceView view, size_t count)
{
    return host_view(view, count, device_type_bytes(view.type));
}

/* Reals of either type: one of the two pointers, or neither for an optional argument that is not given. */
typedef struct HostReals {
    float *floats;
    uint16_t *bf16;
} HostReals;
static inline HostReals host_reals(DeviceView view, size_t count)
{
    if (view.buffer == NULL) {
        return (HostReals){NULL, NULL};
    }
    return view.type == DEVICE_BF16 ? (HostReals){.bf16 = host_bf16(view, count)} : (HostReals){.floats = host_floats(view, count)};
}
static inline bool host_reals_given(HostReals reals)
{
    return reals.floats != NULL || reals.bf16 != NULL;
}
static inline HostReals host_reals_at(HostReals reals, size_t index)
{
    return reals.bf16 != NULL ? (HostReals){.bf16 = reals.bf16 + index}
                              : (HostReals){.floats = reals.floats == NULL ? NULL : reals.floats + index};
}

static inline const int32_t *host_integers(DeviceView view, size_t count)
{
    return host_view(view, count, sizeof(int32_t));
}

static inline double *host_double(DeviceView view)
{
    return host_view(view, 1, sizeof(double));
}

/* A DeviceBlock's arrays as pointers. */
typedef struct HostBlock {
    int32_t piece_count;           /* T */
    int32_t sequence_count;        /* S */
    int32_t longest;               /* pieces of the longest sequence */
    const int32_t *ids;            /* [T] */
    const int32_t *positions;      /* [T] */
    const uint32_t *slots;         /* [T] */
    const int32_t *sequence_start; /* [S + 1] */
} HostBlock;

/* ids may be absent: only the embeddings read them. */
static inline HostBlock host_block(const DeviceBlock *block)
{
    size_t pieces = (size_t)block->piece_count;
    return (HostBlock){
        .piece_count = block->piece_count,
        .sequence_count = block->sequence_count,
        .longest = block->longest,
        .ids = block->ids.buffer == NULL ? NULL : host_integers(block->ids, pieces),
        .positions = host_integers(block->positions, pieces),
        .slots = host_view(block->slots, pieces, sizeof(uint32_t)),
        .sequence_start = host_integers(block->sequence_start, (size_t)block->sequence_count + 1),
    };
}

#endif
