#include "worker/shares.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "worker/work_section.h"

_Static_assert(COMMUNICATOR_CELL_FLOATS % BACKEND_SQUARES_STRETCH == 0, "a rank's share is made of whole stretches");

struct Shares {
    Communicator *communicator;
    Model *model;
    Profile *profile;
    ARRAY(OptimizerSlice) slices;
    OptimizerRanks ranks;
    float *weights; /* of the model on the host */
    float *staged;  /* [float_count] the same memory where the host has no access to the model's; else NULL */
};

static size_t dense_count(const ModelLayout *layout, int32_t part)
{
    return layout->part_offset[part + 1] - model_dense_offset(layout, part);
}

static void make_slices(Shares *shares)
{
    const ModelLayout *layout = model_layout(shares->model);
    int32_t rank = communicator_rank(shares->communicator);
    for (int32_t part = 0; part < layout->part_count; part++) {
        size_t offset = model_dense_offset(layout, part), count = dense_count(layout, part);
        for (size_t i = 0; i < communicator_share_count(shares->communicator, count); i++) {
            size_t begin, end;
            communicator_share(shares->communicator, rank, count, i, &begin, &end);
            if (begin < end)
                array_push(&shares->slices, ((OptimizerSlice){offset + begin, end - begin, part}));
        }
    }
}

static Status add_up(void *context, Status own, double *values, size_t count, Diagnostic *diagnostic)
{
    Shares *shares = context;
    int32_t section = profile_enter(shares->profile, WORK_REDUCTION);
    Status status = communicator_agree(shares->communicator, own, &(int64_t){0}, diagnostic);
    if (status == STATUS_OK)
        communicator_sum_double(shares->communicator, values, (int32_t)count);
    profile_enter(shares->profile, section);
    return status;
}

static Status send_part(Shares *shares, int32_t part, Diagnostic *diagnostic)
{
    const Backend *backend = model_backend(shares->model);
    const ModelLayout *layout = model_layout(shares->model);
    BackendStream *stream = model_stream(shares->model);
    for (size_t i = 0; shares->staged && i < shares->slices.count; i++) {
        const OptimizerSlice *slice = &shares->slices.items[i];
        if (slice->part == part)
            backend->copy_to_host(stream, shares->staged + slice->offset,
                                  device_view_floats(model_parameters(shares->model), slice->offset), slice->count * sizeof(float));
    }
    Status status = backend->stream_synchronize(stream, diagnostic);
    /* Also after a failure: the other ranks wait for this one's share. */
    communicator_gather_start(shares->communicator, shares->weights + model_dense_offset(layout, part), dense_count(layout, part));
    return status;
}

static Status part_updated(void *context, int32_t part, Diagnostic *diagnostic)
{
    Shares *shares = context;
    int32_t section = profile_enter(shares->profile, WORK_REDUCTION);
    Status status = send_part(shares, part, diagnostic);
    profile_enter(shares->profile, section);
    return status;
}

static Status receive_parts(Shares *shares, const bool *part_frozen, Diagnostic *diagnostic)
{
    const Backend *backend = model_backend(shares->model);
    const ModelLayout *layout = model_layout(shares->model);
    communicator_wait(shares->communicator);
    if (!shares->staged)
        return STATUS_OK;
    for (int32_t part = 0; part < layout->part_count; part++) {
        size_t offset = model_dense_offset(layout, part);
        if (model_part_trains(part_frozen, part))
            backend->copy_to_device(model_stream(shares->model), device_view_floats(model_parameters(shares->model), offset),
                                    shares->staged + offset, dense_count(layout, part) * sizeof(float));
    }
    return backend->stream_synchronize(model_stream(shares->model), diagnostic);
}

static Status all_updated(void *context, const bool *part_frozen, Diagnostic *diagnostic)
{
    Shares *shares = context;
    int32_t section = profile_enter(shares->profile, WORK_REDUCTION);
    Status status = receive_parts(shares, part_frozen, diagnostic);
    profile_enter(shares->profile, section);
    return status;
}

Status shares_create(Shares **shares, Communicator *communicator, Model *model, Profile *profile, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const Backend *backend = model_backend(model);
    *shares = memory_allocate(1, sizeof **shares);
    **shares = (Shares){.communicator = communicator, .model = model, .profile = profile};
    if (communicator_size(communicator) == 1)
        return STATUS_OK;
    make_slices(*shares);
    (*shares)->ranks = (OptimizerRanks){.context = *shares,
                                        .slices = (*shares)->slices.items,
                                        .slice_count = (int32_t)(*shares)->slices.count,
                                        .add_up = add_up,
                                        .part_updated = part_updated,
                                        .all_updated = all_updated};
    (*shares)->weights = backend->buffer_host_pointer ? backend->buffer_host_pointer(model_parameters(model).buffer) : NULL;
    if (!(*shares)->weights) {
        void *memory;
        TRY(memory_try_allocate(&memory, model_layout(model)->float_count, sizeof(float), diagnostic));
        (*shares)->weights = (*shares)->staged = memory;
    }
out:
    if (status != STATUS_OK)
        shares_destroy(shares);
    return status;
}

void shares_destroy(Shares **shares)
{
    if (!*shares)
        return;
    array_free(&(*shares)->slices);
    free((*shares)->staged);
    free(*shares);
    *shares = NULL;
}

const OptimizerRanks *shares_ranks(const Shares *shares)
{
    return communicator_size(shares->communicator) > 1 ? &shares->ranks : NULL;
}

size_t shares_moment_floats(const Communicator *communicator, int32_t rank, const ModelLayout *layout, const bool *part_frozen)
{
    size_t floats = model_part_trains(part_frozen, 0) ? model_dense_offset(layout, 0) : 0;
    for (int32_t part = 0; part < layout->part_count; part++) {
        size_t count = dense_count(layout, part);
        for (size_t i = 0; model_part_trains(part_frozen, part) && i < communicator_share_count(communicator, count); i++) {
            size_t begin, end;
            communicator_share(communicator, rank, count, i, &begin, &end);
            floats += end - begin;
        }
    }
    return floats;
}

struct MomentStream {
    Communicator *communicator;
    const ModelLayout *layout;
    HostFloats moments[2]; /* of this rank */
    int64_t *part_t;       /* [part_count] */
    float *piece;          /* [piece_limit] of all ranks' shares; NULL without other ranks */
    size_t own;            /* of this rank's floats of the moment those that were read */
    int32_t moment, part;  /* part -1: the word embeddings are next */
    size_t index;          /* of the share in the part */
};

static void stream_free(MomentStream *stream)
{
    for (size_t i = 0; i < 2; i++)
        host_floats_close(&stream->moments[i]);
    free(stream->piece);
    free(stream->part_t);
    free(stream);
}

Status moments_open(MomentStream **stream, Communicator *communicator, Model *model, Optimizer *optimizer, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const ModelLayout *layout = model_layout(model);
    MomentStream *made = memory_allocate(1, sizeof *made);
    *made = (MomentStream){.communicator = communicator, .layout = layout, .part = -1};
    made->part_t = memory_allocate((size_t)layout->part_count, sizeof *made->part_t);
    *stream = NULL;
    if (communicator_size(communicator) > 1 && communicator_rank(communicator) == 0) {
        size_t limit = 0;
        for (int32_t part = 0; part < layout->part_count; part++) {
            size_t piece = communicator_piece_floats(communicator, dense_count(layout, part));
            limit = piece > limit ? piece : limit;
        }
        void *memory = NULL;
        status = memory_try_allocate(&memory, limit, sizeof *made->piece, diagnostic);
        made->piece = memory;
    }
    if (status == STATUS_OK)
        status = optimizer_state_open(optimizer, &made->moments[0], &made->moments[1], made->part_t, diagnostic);
    status = communicator_agree(communicator, status, &(int64_t){0}, diagnostic);
    if (status == STATUS_OK)
        *stream = made;
    else
        stream_free(made);
    return status;
}

const int64_t *moments_part_t(const MomentStream *stream)
{
    return stream->part_t;
}

/* Whether there is anything left, of which stream->part and ->index tell. */
static bool find_piece(MomentStream *stream)
{
    while (stream->moment < 2) {
        if (stream->part < 0)
            return true;
        for (; stream->part < stream->layout->part_count; stream->part++, stream->index = 0) {
            if (stream->index < communicator_share_count(stream->communicator, dense_count(stream->layout, stream->part)))
                return true;
        }
        stream->moment++;
        stream->part = -1;
        stream->own = 0;
    }
    return false;
}

/* One piece: this rank's share of it, and on rank 0 those of the others. */
static void exchange_piece(MomentStream *stream, const float **values, size_t *count)
{
    const float *own = stream->moments[stream->moment].values + stream->own;
    if (stream->part < 0) {
        *values = own;
        *count = stream->own = model_dense_offset(stream->layout, 0);
        stream->part = 0;
        return;
    }
    size_t whole = dense_count(stream->layout, stream->part), most = communicator_piece_floats(stream->communicator, whole), begin,
           end;
    size_t left = whole - stream->index * most;
    communicator_share(stream->communicator, communicator_rank(stream->communicator), whole, stream->index, &begin, &end);
    if (communicator_size(stream->communicator) > 1)
        communicator_collect_piece(stream->communicator, own, whole, stream->index, stream->piece);
    *values = stream->piece ? stream->piece : own;
    *count = left < most ? left : most;
    stream->own += end - begin;
    stream->index++;
}

void moments_next(MomentStream *stream, const float **values, size_t *count)
{
    bool found = find_piece(stream);
    ASSERT(found);
    exchange_piece(stream, values, count);
}

void moments_close(MomentStream **stream)
{
    MomentStream *old = *stream;
    const float *values;
    size_t count;
    if (!old)
        return;
    while (communicator_size(old->communicator) > 1 && find_piece(old))
        exchange_piece(old, &values, &count);
    stream_free(old);
    *stream = NULL;
}
