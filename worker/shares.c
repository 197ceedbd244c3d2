#include "worker/shares.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "worker/work_section.h"

_Static_assert(COMMUNICATOR_CELL_FLOATS % BACKEND_SQUARES_STRETCH == 0, "a rank's share is made of whole stretches");

/* What a step reads of a part that has products beside them: biases and LayerNorms. */
typedef struct Rest {
    size_t offset, count; /* floats of the layout */
    int32_t part;
} Rest;

struct Shares {
    Communicator *communicator;
    Model *model;
    Profile *profile;
    ARRAY(OptimizerSlice) slices;
    OptimizerRanks ranks;
    ARRAY(Rest) rests;
    uint32_t *rest_words; /* [floats of all rests] while they go round */
    bool *narrow;         /* [part_count] of these parts products are sent */
    bool *incomplete;     /* [part_count] and others' weights have not come since */
    float *weights;       /* of the model on the host */
    uint16_t *products;   /* likewise, from the part 0's dense offset on; NULL: there are none */
    float *staged;        /* [float_count] the same memory as weights where the host has no access to the model's; else NULL */
    uint16_t *staged_products;
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

static void make_rests(Shares *shares)
{
    const ModelLayout *layout = model_layout(shares->model);
    size_t floats = 0;
    shares->narrow = memory_allocate((size_t)layout->part_count, sizeof *shares->narrow);
    shares->incomplete = memory_allocate((size_t)layout->part_count, sizeof *shares->incomplete);
    for (int32_t i = 0; i < layout->parameter_count; i++)
        shares->narrow[layout->parameters[i].part] |= model_has_products(shares->model, i);
    for (int32_t i = 0; i < layout->parameter_count; i++) {
        const ModelParameter *parameter = &layout->parameters[i];
        if (!shares->narrow[parameter->part] || model_has_products(shares->model, i))
            continue;
        array_push(&shares->rests, ((Rest){parameter->offset, parameter->count, parameter->part}));
        floats += parameter->count;
    }
    shares->rest_words = memory_allocate(floats + 1, sizeof *shares->rest_words);
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

/* Where the number for an offset of the layout stands among products on the host. */
static uint16_t *products_at(const Shares *shares, size_t offset)
{
    return shares->products + (offset - model_dense_offset(model_layout(shares->model), 0));
}

/* Queues the copies of this rank's slices of a part to the host. */
static void fetch_slices(Shares *shares, int32_t part)
{
    const Backend *backend = model_backend(shares->model);
    BackendStream *stream = model_stream(shares->model);
    for (size_t i = 0; i < shares->slices.count; i++) {
        const OptimizerSlice *slice = &shares->slices.items[i];
        if (slice->part != part)
            continue;
        backend->copy_to_host(stream, shares->staged + slice->offset,
                              device_view_floats(model_parameters(shares->model), slice->offset), slice->count * sizeof(float));
        if (shares->narrow[part])
            backend->copy_to_host(stream, products_at(shares, slice->offset), model_products(shares->model, slice->offset),
                                  slice->count * sizeof *shares->products);
    }
}

static Status send_part(Shares *shares, int32_t part, Diagnostic *diagnostic)
{
    const ModelLayout *layout = model_layout(shares->model);
    size_t offset = model_dense_offset(layout, part), count = dense_count(layout, part);
    if (shares->staged)
        fetch_slices(shares, part);
    Status status = model_backend(shares->model)->stream_synchronize(model_stream(shares->model), diagnostic);
    /* Also after a failure: the other ranks wait for this one's share. */
    if (shares->narrow[part])
        communicator_gather_start(shares->communicator, products_at(shares, offset), count, sizeof *shares->products);
    else
        communicator_gather_start(shares->communicator, shares->weights + offset, count, sizeof *shares->weights);
    shares->incomplete[part] = shares->narrow[part];
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

/* A rest's words that this rank updates: theirs among all, and where they belong. */
static void own_words(const Shares *shares, const Rest *rest, uint32_t *words)
{
    for (size_t s = 0; s < shares->slices.count; s++) {
        const OptimizerSlice *slice = &shares->slices.items[s];
        size_t from = slice->offset > rest->offset ? slice->offset : rest->offset, to = slice->offset + slice->count;
        to = to < rest->offset + rest->count ? to : rest->offset + rest->count;
        if (from < to)
            memcpy(words + (from - rest->offset), shares->weights + from, (to - from) * sizeof *words);
    }
}

/* Rests of parts that train go round in one message: each is shorter than a cell of the communicator's. */
static void exchange_rests(Shares *shares, const bool *part_frozen)
{
    size_t count = 0;
    for (size_t i = 0; i < shares->rests.count; i++) {
        const Rest *rest = &shares->rests.items[i];
        if (!model_part_trains(part_frozen, rest->part))
            continue;
        memset(shares->rest_words + count, 0, rest->count * sizeof *shares->rest_words);
        own_words(shares, rest, shares->rest_words + count);
        count += rest->count;
    }
    if (count == 0)
        return;
    communicator_merge_words(shares->communicator, shares->rest_words, count);
    count = 0;
    for (size_t i = 0; i < shares->rests.count; i++) {
        const Rest *rest = &shares->rests.items[i];
        if (!model_part_trains(part_frozen, rest->part))
            continue;
        memcpy(shares->weights + rest->offset, shares->rest_words + count, rest->count * sizeof *shares->rest_words);
        count += rest->count;
    }
}

static void queue_floats(Shares *shares, size_t offset, size_t count)
{
    model_backend(shares->model)
        ->copy_to_device(model_stream(shares->model), device_view_floats(model_parameters(shares->model), offset),
                         shares->staged + offset, count * sizeof *shares->staged);
}

static Status receive_parts(Shares *shares, const bool *part_frozen, Diagnostic *diagnostic)
{
    const Backend *backend = model_backend(shares->model);
    BackendStream *stream = model_stream(shares->model);
    const ModelLayout *layout = model_layout(shares->model);
    communicator_wait(shares->communicator);
    exchange_rests(shares, part_frozen);
    if (!shares->staged)
        return STATUS_OK;
    for (int32_t part = 0; part < layout->part_count; part++) {
        size_t offset = model_dense_offset(layout, part), count = dense_count(layout, part);
        if (model_part_trains(part_frozen, part) && shares->narrow[part])
            backend->copy_to_device(stream, model_products(shares->model, offset), products_at(shares, offset),
                                    count * sizeof *shares->products);
        else if (model_part_trains(part_frozen, part))
            queue_floats(shares, offset, count);
    }
    for (size_t i = 0; i < shares->rests.count; i++) {
        if (model_part_trains(part_frozen, shares->rests.items[i].part))
            queue_floats(shares, shares->rests.items[i].offset, shares->rests.items[i].count);
    }
    return backend->stream_synchronize(stream, diagnostic);
}

static Status all_updated(void *context, const bool *part_frozen, Diagnostic *diagnostic)
{
    Shares *shares = context;
    int32_t section = profile_enter(shares->profile, WORK_REDUCTION);
    Status status = receive_parts(shares, part_frozen, diagnostic);
    profile_enter(shares->profile, section);
    return status;
}

/* Weights of which only products were sent. */
static Status complete_parts(Shares *shares, Diagnostic *diagnostic)
{
    const ModelLayout *layout = model_layout(shares->model);
    const Backend *backend = model_backend(shares->model);
    BackendStream *stream = model_stream(shares->model);
    for (int32_t part = 0; part < layout->part_count; part++) {
        if (shares->incomplete[part])
            communicator_gather_start(shares->communicator, shares->weights + model_dense_offset(layout, part),
                                      dense_count(layout, part), sizeof *shares->weights);
    }
    communicator_wait(shares->communicator);
    for (int32_t part = 0; part < layout->part_count; part++) {
        if (shares->incomplete[part] && shares->staged)
            queue_floats(shares, model_dense_offset(layout, part), dense_count(layout, part));
        shares->incomplete[part] = false;
    }
    return backend->stream_synchronize(stream, diagnostic);
}

static Status complete(void *context, Diagnostic *diagnostic)
{
    Shares *shares = context;
    int32_t section = profile_enter(shares->profile, WORK_REDUCTION);
    Status status = complete_parts(shares, diagnostic);
    profile_enter(shares->profile, section);
    return status;
}

/* The model's memory if the host has access to it, else a copy. */
static Status find_memory(Shares *shares, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    const Backend *backend = model_backend(shares->model);
    const ModelLayout *layout = model_layout(shares->model);
    DeviceView products = model_products(shares->model, model_dense_offset(layout, 0));
    void *memory;
    if (backend->buffer_host_pointer) {
        shares->weights = backend->buffer_host_pointer(model_parameters(shares->model).buffer);
        shares->products = products.buffer ? backend->buffer_host_pointer(products.buffer) : NULL;
    }
    if (shares->weights)
        return STATUS_OK;
    TRY(memory_try_allocate(&memory, layout->float_count, sizeof(float), diagnostic));
    shares->weights = shares->staged = memory;
    if (products.buffer) {
        TRY(memory_try_allocate(&memory, layout->float_count, sizeof(uint16_t), diagnostic));
        shares->products = shares->staged_products = memory;
    }
out:
    return status;
}

Status shares_create(Shares **shares, Communicator *communicator, Model *model, Profile *profile, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    *shares = memory_allocate(1, sizeof **shares);
    **shares = (Shares){.communicator = communicator, .model = model, .profile = profile};
    if (communicator_size(communicator) == 1)
        return STATUS_OK;
    make_slices(*shares);
    make_rests(*shares);
    (*shares)->ranks = (OptimizerRanks){.context = *shares,
                                        .slices = (*shares)->slices.items,
                                        .slice_count = (int32_t)(*shares)->slices.count,
                                        .add_up = add_up,
                                        .part_updated = part_updated,
                                        .all_updated = all_updated,
                                        .complete = complete};
    TRY(find_memory(*shares, diagnostic));
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
    array_free(&(*shares)->rests);
    free((*shares)->rest_words);
    free((*shares)->narrow);
    free((*shares)->incomplete);
    free((*shares)->staged);
    free((*shares)->staged_products);
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
