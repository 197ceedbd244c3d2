#include "kernels/profile.h"

#include <stdlib.h>

#include "core/base/memory.h"

struct Profile {
    Backend table; /* the profile's own: the slots below, under the name of the backend within */
    const Backend *inner;
    const Clock *clock;
    bool synchronizes;
    int32_t section;
    int64_t entered_ns, covered_ns; /* when the section was entered, and what operations took since */
    int64_t section_ns[PROFILE_SECTION_LIMIT];
    ARRAY(ProfileEntry) entries;
};

/* What the users of the profile hold instead of the objects within. Buffers are those of the backend within. */
struct BackendDevice {
    BackendDevice *inner;
    Profile *profile;
};
struct BackendStream {
    BackendStream *inner;
    Profile *profile;
};
struct BackendMatrix {
    BackendMatrix *inner;
    Profile *profile;
    int32_t n, k;
    DeviceType type;
    bool stale; /* refreshed, and no product since */
};

const char *profile_operation_name(ProfileOperation operation)
{
    static const char *const names[] = {
#define PROFILE_NAME(operation_, name) [PROFILE_##operation_] = name,
        PROFILE_OPERATION_LIST(PROFILE_NAME)
#undef PROFILE_NAME
    };
    return names[operation];
}

static int64_t now_ns(const Profile *profile)
{
    return profile->clock->monotonic_ns(profile->clock->context);
}

int32_t profile_enter(Profile *profile, int32_t section)
{
    if (profile == NULL) {
        return 0;
    }
    ASSERT(section >= 0 && section < PROFILE_SECTION_LIMIT);
    int64_t now = now_ns(profile);
    int32_t before = profile->section;
    profile->section_ns[before] += now - profile->entered_ns - profile->covered_ns;
    profile->entered_ns = now;
    profile->covered_ns = 0;
    profile->section = section;
    return before;
}

void profile_forget(Profile *profile, int32_t section)
{
    size_t kept = 0;
    if (profile == NULL) {
        return;
    }
    ASSERT(section >= 0 && section < PROFILE_SECTION_LIMIT && section != profile->section);
    for (size_t i = 0; i < profile->entries.count; i++) {
        if (profile->entries.items[i].section != section) {
            profile->entries.items[kept++] = profile->entries.items[i];
        }
    }
    profile->entries.count = kept;
    profile->section_ns[section] = 0;
}

int64_t profile_section_ns(const Profile *profile, int32_t section)
{
    ASSERT(section >= 0 && section < PROFILE_SECTION_LIMIT);
    return profile->section_ns[section];
}

size_t profile_entries(const Profile *profile, const ProfileEntry **entries)
{
    *entries = profile->entries.items;
    return profile->entries.count;
}

bool profile_synchronizes(const Profile *profile)
{
    return profile->synchronizes;
}

/* One call. What it is, and what it costs by the formulas. */
typedef struct Call {
    ProfileOperation operation;
    int32_t n, k;
    DeviceType type;
    double flop, bytes;
} Call;

/* There are as many entries as operations times shapes of matrices, a few dozen. */
static ProfileEntry *entry_of(Profile *profile, const Call *call)
{
    for (size_t i = 0; i < profile->entries.count; i++) {
        ProfileEntry *entry = &profile->entries.items[i];
        if (entry->section == profile->section && entry->operation == call->operation && entry->n == call->n &&
            entry->k == call->k && entry->type == call->type) {
            return entry;
        }
    }
    ProfileEntry made = {.section = profile->section, .operation = call->operation, .n = call->n, .k = call->k, .type = call->type};
    array_push(&profile->entries, made);
    return &profile->entries.items[profile->entries.count - 1];
}

/* A failure sticks to the stream, so whoever synchronises next is told of it. */
static void settle(const BackendStream *stream)
{
    if (stream->profile->synchronizes) {
        Status status = stream->profile->inner->stream_synchronize(stream->inner, NULL);
        (void)status;
    }
}

static int64_t call_begin(const BackendStream *stream)
{
    settle(stream);
    return now_ns(stream->profile);
}

static void call_end(const BackendStream *stream, int64_t start_ns, Call call)
{
    Profile *profile = stream->profile;
    settle(stream);
    int64_t time_ns = now_ns(profile) - start_ns;
    ProfileEntry *entry = entry_of(profile, &call);
    entry->calls++;
    entry->time_ns += time_ns;
    entry->flop += call.flop;
    entry->bytes += call.bytes;
    profile->covered_ns += time_ns;
}

static double view_bytes(DeviceView view, double count)
{
    return view.buffer == NULL ? 0.0 : count * (double)device_type_bytes(view.type);
}

static bool same_place(DeviceView a, DeviceView b)
{
    return a.buffer == b.buffer && a.offset_bytes == b.offset_bytes;
}

/* -- devices, memory, streams */

static Status device_open(BackendDevice **device, const BackendOptions *options, Diagnostic *diagnostic)
{
    (void)device;
    (void)options;
    return FAIL(diagnostic, STATUS_UNSUPPORTED, "a profile is attached to a device that is open");
}

static void device_close(BackendDevice **device)
{
    BackendDevice *old = *device;
    *device = NULL;
    if (old == NULL) {
        return;
    }
    old->profile->inner->device_close(&old->inner);
    array_free(&old->profile->entries);
    free(old->profile);
    free(old);
}

static void device_describe(const BackendDevice *device, char *text, size_t text_size)
{
    device->profile->inner->device_describe(device->inner, text, text_size);
}

static void device_features(const BackendDevice *device, char *text, size_t text_size)
{
    device->profile->inner->device_features(device->inner, text, text_size);
}

static size_t matrix_bytes(const BackendDevice *device, int32_t n, int32_t k, DeviceType type)
{
    return device->profile->inner->matrix_bytes(device->inner, n, k, type);
}

static size_t workspace_bytes(const BackendDevice *device, const BackendShape *shape)
{
    return device->profile->inner->workspace_bytes(device->inner, shape);
}

static bool rows_independent(const BackendDevice *device)
{
    return device->profile->inner->rows_independent(device->inner);
}

static DeviceType product_type(const BackendDevice *device)
{
    return device->profile->inner->product_type(device->inner);
}

static Status buffer_create(BackendBuffer **buffer, BackendDevice *device, size_t size_bytes, Diagnostic *diagnostic)
{
    return device->profile->inner->buffer_create(buffer, device->inner, size_bytes, diagnostic);
}

static Status stream_create(BackendStream **stream, BackendDevice *device, Diagnostic *diagnostic)
{
    BackendStream *made = memory_allocate(1, sizeof *made);
    made->profile = device->profile;
    Status status = device->profile->inner->stream_create(&made->inner, device->inner, diagnostic);
    if (status != STATUS_OK) {
        free(made);
        made = NULL;
    }
    *stream = made;
    return status;
}

static void stream_destroy(BackendStream **stream)
{
    if (*stream != NULL) {
        (*stream)->profile->inner->stream_destroy(&(*stream)->inner);
        free(*stream);
    }
    *stream = NULL;
}

static Status stream_synchronize(BackendStream *stream, Diagnostic *diagnostic)
{
    int64_t start = now_ns(stream->profile);
    Status status = stream->profile->inner->stream_synchronize(stream->inner, diagnostic);
    call_end(stream, start, (Call){.operation = PROFILE_SYNCHRONIZE});
    return status;
}

static void copy_to_device(BackendStream *stream, DeviceView to, const void *from, size_t size_bytes)
{
    int64_t start = call_begin(stream);
    stream->profile->inner->copy_to_device(stream->inner, to, from, size_bytes);
    call_end(stream, start, (Call){.operation = PROFILE_COPY_TO_DEVICE, .bytes = 2.0 * (double)size_bytes});
}

static void copy_to_host(BackendStream *stream, void *to, DeviceView from, size_t size_bytes)
{
    int64_t start = call_begin(stream);
    stream->profile->inner->copy_to_host(stream->inner, to, from, size_bytes);
    call_end(stream, start, (Call){.operation = PROFILE_COPY_TO_HOST, .bytes = 2.0 * (double)size_bytes});
}

static void copy(BackendStream *stream, DeviceView to, DeviceView from, size_t size_bytes)
{
    int64_t start = call_begin(stream);
    stream->profile->inner->copy(stream->inner, to, from, size_bytes);
    call_end(stream, start, (Call){.operation = PROFILE_COPY, .bytes = 2.0 * (double)size_bytes});
}

static void fill_zero(BackendStream *stream, DeviceView to, size_t size_bytes)
{
    int64_t start = call_begin(stream);
    stream->profile->inner->fill_zero(stream->inner, to, size_bytes);
    call_end(stream, start, (Call){.operation = PROFILE_FILL_ZERO, .bytes = (double)size_bytes});
}

static void convert(BackendStream *stream, DeviceView to, DeviceView from, size_t count)
{
    int64_t start = call_begin(stream);
    stream->profile->inner->convert(stream->inner, to, from, count);
    call_end(stream, start,
             (Call){.operation = PROFILE_CONVERT, .bytes = view_bytes(to, (double)count) + view_bytes(from, (double)count)});
}

/* -- matrices */

static Status matrix_create(BackendMatrix **matrix, BackendDevice *device, DeviceView weight, DeviceView copy, int32_t n, int32_t k,
                            DeviceType type, Diagnostic *diagnostic)
{
    BackendMatrix *made = memory_allocate(1, sizeof *made);
    *made = (BackendMatrix){.profile = device->profile, .n = n, .k = k, .type = type, .stale = true};
    Status status = device->profile->inner->matrix_create(&made->inner, device->inner, weight, copy, n, k, type, diagnostic);
    if (status != STATUS_OK) {
        free(made);
        made = NULL;
    }
    *matrix = made;
    return status;
}

static void matrix_destroy(BackendMatrix **matrix)
{
    if (*matrix != NULL) {
        (*matrix)->profile->inner->matrix_destroy(&(*matrix)->inner);
        free(*matrix);
    }
    *matrix = NULL;
}

static void matrix_refresh(BackendStream *stream, BackendMatrix *matrix)
{
    int64_t start = call_begin(stream);
    stream->profile->inner->matrix_refresh(stream->inner, matrix->inner);
    matrix->stale = true;
    call_end(stream, start, (Call){.operation = PROFILE_MATRIX_REFRESH});
}

/* Of the copy that products of bf16 numbers read, where it has to be made of the master first. */
static double matrix_made_bytes(BackendMatrix *matrix)
{
    double count = (double)matrix->n * (double)matrix->k;
    bool made = matrix->stale && matrix->type == DEVICE_BF16;
    matrix->stale = false;
    return made ? count * (double)(sizeof(float) + device_type_bytes(matrix->type)) : 0.0;
}

static void matrix_settle(BackendStream *stream, BackendMatrix *matrix)
{
    int64_t start = call_begin(stream);
    stream->profile->inner->matrix_settle(stream->inner, matrix->inner);
    call_end(stream, start, (Call){.operation = PROFILE_MATRIX_SETTLE, .bytes = matrix_made_bytes(matrix)});
}

/* The weights of a product. */
static double matrix_traffic_bytes(BackendMatrix *matrix)
{
    return (double)matrix->n * (double)matrix->k * (double)device_type_bytes(matrix->type) + matrix_made_bytes(matrix);
}

/* -- embeddings */

static void embedding_forward(BackendStream *stream, const DeviceBlock *block, DeviceView word, DeviceView position,
                              DeviceView type, int32_t d, DeviceView out)
{
    double width = (double)d, values = (double)block->piece_count * width;
    int64_t start = call_begin(stream);
    stream->profile->inner->embedding_forward(stream->inner, block, word, position, type, d, out);
    call_end(stream, start,
             (Call){.operation = PROFILE_EMBEDDING_FORWARD,
                    .flop = 2.0 * values,
                    .bytes = sizeof(float) * (2.0 * values + ((double)block->longest + 1.0) * width)});
}

static void embedding_backward(BackendStream *stream, const DeviceBlock *block, DeviceView d_out, int32_t d, DeviceView d_word,
                               DeviceView d_position, DeviceView d_type)
{
    double width = (double)d, values = (double)block->piece_count * width;
    int64_t start = call_begin(stream);
    stream->profile->inner->embedding_backward(stream->inner, block, d_out, d, d_word, d_position, d_type);
    call_end(stream, start,
             (Call){.operation = PROFILE_EMBEDDING_BACKWARD,
                    .flop = 3.0 * values,
                    .bytes = sizeof(float) * (3.0 * values + 2.0 * ((double)block->longest + 1.0) * width)});
}

/* -- LayerNorm: mean, variance, scale and shift, and the residual, are 8 operations for an element forward and 12 backward */

static void norm_forward(BackendStream *stream, const DeviceBlock *block, DeviceView x, DeviceView residual, DeviceView gamma,
                         DeviceView beta, float epsilon, int32_t d, Dropout dropout_in, Dropout dropout_out, DeviceView sum,
                         DeviceView y, DeviceView y_product, DeviceView mean, DeviceView rstd)
{
    double rows = (double)block->piece_count, values = rows * (double)d;
    double bytes = view_bytes(x, values) + view_bytes(residual, values) + view_bytes(sum, values) + view_bytes(y, values) +
                   (same_place(y, y_product) ? 0.0 : view_bytes(y_product, values)) + 2.0 * sizeof(float) * (rows + (double)d);
    int64_t start = call_begin(stream);
    stream->profile->inner->norm_forward(stream->inner, block, x, residual, gamma, beta, epsilon, d, dropout_in, dropout_out, sum,
                                         y, y_product, mean, rstd);
    call_end(stream, start, (Call){.operation = PROFILE_NORM_FORWARD, .flop = 8.0 * values, .bytes = bytes});
}

static void norm_backward(BackendStream *stream, const DeviceBlock *block, DeviceView d_y, DeviceView sum, DeviceView mean,
                          DeviceView rstd, DeviceView gamma, int32_t d, Dropout dropout_in, Dropout dropout_out, DeviceView d_sum,
                          DeviceView d_x, DeviceView d_gamma, DeviceView d_beta)
{
    double rows = (double)block->piece_count, width = (double)d, values = rows * width;
    double bytes = view_bytes(d_y, values) + view_bytes(sum, values) + view_bytes(d_sum, values) +
                   (same_place(d_sum, d_x) ? 0.0 : view_bytes(d_x, values)) + 2.0 * sizeof(float) * rows +
                   view_bytes(gamma, width) + 2.0 * (view_bytes(d_gamma, width) + view_bytes(d_beta, width));
    int64_t start = call_begin(stream);
    stream->profile->inner->norm_backward(stream->inner, block, d_y, sum, mean, rstd, gamma, d, dropout_in, dropout_out, d_sum, d_x,
                                          d_gamma, d_beta);
    call_end(stream, start, (Call){.operation = PROFILE_NORM_BACKWARD, .flop = 12.0 * values, .bytes = bytes});
}

/* -- linear layers */

static void linear_forward(BackendStream *stream, BackendMatrix *weight, DeviceView bias, DeviceView x, int32_t rows,
                           LinearEpilogue epilogue, DeviceView pre, DeviceView y)
{
    double n = (double)weight->n, k = (double)weight->k, count = (double)rows;
    double bytes = view_bytes(x, count * k) + view_bytes(bias, n) + view_bytes(pre, count * n) + view_bytes(y, count * n) +
                   matrix_traffic_bytes(weight);
    int64_t start = call_begin(stream);
    stream->profile->inner->linear_forward(stream->inner, weight->inner, bias, x, rows, epilogue, pre, y);
    call_end(stream, start,
             (Call){PROFILE_LINEAR_FORWARD, weight->n, weight->k, weight->type, .flop = 2.0 * count * n * k, .bytes = bytes});
}

static void linear_backward_input(BackendStream *stream, BackendMatrix *weight, DeviceView d_y, int32_t rows, DeviceView pre,
                                  bool accumulate, DeviceView d_x)
{
    double n = (double)weight->n, k = (double)weight->k, count = (double)rows;
    double bytes = view_bytes(d_y, count * n) + view_bytes(pre, count * k) + view_bytes(d_x, count * k) * (accumulate ? 2.0 : 1.0) +
                   matrix_traffic_bytes(weight);
    int64_t start = call_begin(stream);
    stream->profile->inner->linear_backward_input(stream->inner, weight->inner, d_y, rows, pre, accumulate, d_x);
    call_end(
        stream, start,
        (Call){PROFILE_LINEAR_BACKWARD_INPUT, weight->n, weight->k, weight->type, .flop = 2.0 * count * n * k, .bytes = bytes});
}

static void linear_backward_weight(BackendStream *stream, DeviceView x, DeviceView d_y, int32_t rows, int32_t n, int32_t k,
                                   bool accumulate, DeviceView d_weight, DeviceView d_bias)
{
    double outputs = (double)n, inputs = (double)k, count = (double)rows;
    double bytes = view_bytes(x, count * inputs) + view_bytes(d_y, count * outputs) +
                   (view_bytes(d_weight, outputs * inputs) + view_bytes(d_bias, outputs)) * (accumulate ? 2.0 : 1.0);
    int64_t start = call_begin(stream);
    stream->profile->inner->linear_backward_weight(stream->inner, x, d_y, rows, n, k, accumulate, d_weight, d_bias);
    call_end(stream, start,
             (Call){PROFILE_LINEAR_BACKWARD_WEIGHT, n, k, x.type, .flop = 2.0 * count * outputs * inputs, .bytes = bytes});
}

/* -- attention */

/* Integers on the device, outside of what is timed. To be freed. */
static int32_t *integers_fetch(const BackendStream *stream, DeviceView view, size_t count)
{
    int32_t *values = memory_allocate(count + 1, sizeof *values);
    stream->profile->inner->copy_to_host(stream->inner, values, view, count * sizeof *values);
    settle(stream);
    return values;
}

/* Sum of squares of the sequences' lengths. */
static double squared_lengths(const BackendStream *stream, const DeviceBlock *block)
{
    size_t sequences = (size_t)block->sequence_count;
    int32_t *starts = integers_fetch(stream, block->sequence_start, sequences + 1);
    double sum = 0.0;
    for (size_t s = 0; s < sequences; s++) {
        double length = (double)(starts[s + 1] - starts[s]);
        sum += length * length;
    }
    free(starts);
    return sum;
}

static void attention_forward(BackendStream *stream, const DeviceBlock *block, DeviceView qkv, int32_t heads, int32_t head_width,
                              Dropout dropout, DeviceView context, DeviceView log_sum_exp)
{
    double rows = (double)block->piece_count, d = (double)heads * (double)head_width;
    double bytes = view_bytes(qkv, 3.0 * rows * d) + view_bytes(context, rows * d) + view_bytes(log_sum_exp, rows * (double)heads);
    double flop = 4.0 * d * squared_lengths(stream, block);
    int64_t start = call_begin(stream);
    stream->profile->inner->attention_forward(stream->inner, block, qkv, heads, head_width, dropout, context, log_sum_exp);
    call_end(stream, start, (Call){.operation = PROFILE_ATTENTION_FORWARD, .type = qkv.type, .flop = flop, .bytes = bytes});
}

static void attention_backward(BackendStream *stream, const DeviceBlock *block, DeviceView qkv, DeviceView context,
                               DeviceView log_sum_exp, DeviceView d_context, int32_t heads, int32_t head_width, Dropout dropout,
                               DeviceView d_qkv)
{
    double rows = (double)block->piece_count, d = (double)heads * (double)head_width;
    double bytes = view_bytes(qkv, 3.0 * rows * d) + view_bytes(context, rows * d) + view_bytes(log_sum_exp, rows * (double)heads) +
                   view_bytes(d_context, rows * d) + view_bytes(d_qkv, 3.0 * rows * d);
    double flop = 10.0 * d * squared_lengths(stream, block);
    int64_t start = call_begin(stream);
    stream->profile->inner->attention_backward(stream->inner, block, qkv, context, log_sum_exp, d_context, heads, head_width,
                                               dropout, d_qkv);
    call_end(stream, start, (Call){.operation = PROFILE_ATTENTION_BACKWARD, .type = qkv.type, .flop = flop, .bytes = bytes});
}

/* -- rows */

static void rows_gather(BackendStream *stream, DeviceView from, int32_t from_rows, DeviceView index, int32_t rows, int32_t columns,
                        DeviceView to)
{
    double values = (double)rows * (double)columns;
    int64_t start = call_begin(stream);
    stream->profile->inner->rows_gather(stream->inner, from, from_rows, index, rows, columns, to);
    call_end(stream, start,
             (Call){.operation = PROFILE_ROWS_GATHER, .type = to.type, .bytes = view_bytes(from, values) + view_bytes(to, values)});
}

static void rows_scatter(BackendStream *stream, DeviceView from, DeviceView index, int32_t rows, int32_t columns, DeviceView to,
                         int32_t to_rows)
{
    double width = (double)columns;
    int64_t start = call_begin(stream);
    stream->profile->inner->rows_scatter(stream->inner, from, index, rows, columns, to, to_rows);
    call_end(stream, start,
             (Call){.operation = PROFILE_ROWS_SCATTER,
                    .type = to.type,
                    .bytes = view_bytes(from, (double)rows * width) + view_bytes(to, (double)to_rows * width)});
}

/* -- loss and optimizer: softmax and its gradient are 8 operations for a logit, a step of AdamW is 16 for a parameter */

static void cross_entropy(BackendStream *stream, DeviceView logits, DeviceView labels, DeviceView weights, DeviceView class_weights,
                          float label_smoothing, float gradient_scale, int32_t rows, int32_t label_count, DeviceView loss_sum,
                          DeviceView d_logits)
{
    double values = (double)rows * (double)label_count;
    double bytes = view_bytes(logits, values) + view_bytes(d_logits, values) + 2.0 * sizeof(float) * (double)rows;
    int64_t start = call_begin(stream);
    stream->profile->inner->cross_entropy(stream->inner, logits, labels, weights, class_weights, label_smoothing, gradient_scale,
                                          rows, label_count, loss_sum, d_logits);
    call_end(stream, start, (Call){.operation = PROFILE_CROSS_ENTROPY, .flop = 8.0 * values, .bytes = bytes});
}

static void add(BackendStream *stream, DeviceView to, DeviceView from, size_t count)
{
    int64_t start = call_begin(stream);
    stream->profile->inner->add(stream->inner, to, from, count);
    call_end(stream, start, (Call){.operation = PROFILE_ADD, .flop = (double)count, .bytes = 3.0 * sizeof(float) * (double)count});
}

static void sum_of_squares(BackendStream *stream, DeviceView x, size_t count, DeviceView sums)
{
    int64_t start = call_begin(stream);
    stream->profile->inner->sum_of_squares(stream->inner, x, count, sums);
    call_end(stream, start,
             (Call){.operation = PROFILE_SUM_OF_SQUARES, .flop = 2.0 * (double)count, .bytes = sizeof(float) * (double)count});
}

static void adamw(BackendStream *stream, DeviceView parameter, DeviceView gradient, DeviceView first_moment,
                  DeviceView second_moment, size_t count, const AdamwStep *step)
{
    int64_t start = call_begin(stream);
    stream->profile->inner->adamw(stream->inner, parameter, gradient, first_moment, second_moment, count, step);
    call_end(stream, start,
             (Call){.operation = PROFILE_ADAMW, .flop = 16.0 * (double)count, .bytes = 7.0 * sizeof(float) * (double)count});
}

/* What follows of another type is written, too. */
static void adamw_matrix(BackendStream *stream, BackendMatrix *matrix, size_t first, size_t count, DeviceView gradient,
                         DeviceView first_moment, DeviceView second_moment, const AdamwStep *step)
{
    double elements = (double)count, copied = matrix->type == DEVICE_BF16 ? sizeof(uint16_t) : 0.0;
    int64_t start = call_begin(stream);
    stream->profile->inner->adamw_matrix(stream->inner, matrix->inner, first, count, gradient, first_moment, second_moment, step);
    matrix->stale = false;
    call_end(
        stream, start,
        (Call){.operation = PROFILE_ADAMW_MATRIX, .flop = 16.0 * elements, .bytes = (7.0 * sizeof(float) + copied) * elements});
}

static void adamw_rows(BackendStream *stream, DeviceView parameter, DeviceView gradient, DeviceView first_moment,
                       DeviceView second_moment, DeviceView rows, int32_t row_count, int32_t columns, const AdamwStep *step)
{
    double values = (double)row_count * (double)columns;
    int64_t start = call_begin(stream);
    stream->profile->inner->adamw_rows(stream->inner, parameter, gradient, first_moment, second_moment, rows, row_count, columns,
                                       step);
    call_end(stream, start, (Call){.operation = PROFILE_ADAMW_ROWS, .flop = 16.0 * values, .bytes = 7.0 * sizeof(float) * values});
}

/* A row is read and written once, however late it is. */
static void adamw_late(BackendStream *stream, DeviceView parameter, DeviceView first_moment, DeviceView second_moment,
                       DeviceView rows, DeviceView late, int32_t row_count, int32_t columns, const AdamwStep *steps,
                       int32_t step_count)
{
    double steps_of_rows = 0.0;
    int32_t *counts = integers_fetch(stream, late, (size_t)row_count);
    for (int32_t i = 0; i < row_count; i++) {
        steps_of_rows += (double)counts[i];
    }
    free(counts);
    int64_t start = call_begin(stream);
    stream->profile->inner->adamw_late(stream->inner, parameter, first_moment, second_moment, rows, late, row_count, columns, steps,
                                       step_count);
    call_end(stream, start,
             (Call){.operation = PROFILE_ADAMW_LATE,
                    .flop = 16.0 * steps_of_rows * (double)columns,
                    .bytes = 6.0 * sizeof(float) * (double)row_count * (double)columns});
}

static Backend table_over(const Backend *inner)
{
    return (Backend){
        .version = BACKEND_VERSION,
        .name = inner->name,
        .device_open = device_open,
        .device_close = device_close,
        .device_describe = device_describe,
        .device_features = device_features,
        .matrix_bytes = matrix_bytes,
        .workspace_bytes = workspace_bytes,
        .rows_independent = rows_independent,
        .product_type = product_type,
        .buffer_create = buffer_create,
        .buffer_destroy = inner->buffer_destroy,
        .buffer_host_pointer = inner->buffer_host_pointer,
        .stream_create = stream_create,
        .stream_destroy = stream_destroy,
        .stream_synchronize = stream_synchronize,
        .copy_to_device = copy_to_device,
        .copy_to_host = copy_to_host,
        .copy = copy,
        .fill_zero = fill_zero,
        .convert = convert,
        .matrix_create = matrix_create,
        .matrix_destroy = matrix_destroy,
        .matrix_refresh = matrix_refresh,
        .matrix_settle = matrix_settle,
        .embedding_forward = embedding_forward,
        .embedding_backward = embedding_backward,
        .norm_forward = norm_forward,
        .norm_backward = norm_backward,
        .linear_forward = linear_forward,
        .linear_backward_input = linear_backward_input,
        .linear_backward_weight = linear_backward_weight,
        .attention_forward = attention_forward,
        .attention_backward = attention_backward,
        .rows_gather = rows_gather,
        .rows_scatter = rows_scatter,
        .cross_entropy = cross_entropy,
        .add = add,
        .sum_of_squares = sum_of_squares,
        .adamw = adamw,
        .adamw_matrix = adamw_matrix,
        .adamw_rows = adamw_rows,
        .adamw_late = adamw_late,
    };
}

static Status host_reaches_memory(const Backend *backend, BackendDevice *device, bool *reaches, Diagnostic *diagnostic)
{
    BackendBuffer *buffer = NULL;
    Status status = backend->buffer_create(&buffer, device, 1, diagnostic);
    if (status == STATUS_OK) {
        *reaches = backend->buffer_host_pointer != NULL && backend->buffer_host_pointer(buffer) != NULL;
        backend->buffer_destroy(&buffer);
    }
    return status;
}

Status profile_attach(Profile **profile, const Backend **backend, BackendDevice **device, const Clock *clock,
                      Diagnostic *diagnostic)
{
    bool reaches = false;
    Status status = host_reaches_memory(*backend, *device, &reaches, diagnostic);
    if (status != STATUS_OK) {
        return status;
    }
    Profile *made = memory_allocate(1, sizeof *made);
    made->inner = *backend;
    made->table = table_over(*backend);
    made->clock = clock;
    made->synchronizes = !reaches;
    made->entered_ns = now_ns(made);
    BackendDevice *wrapped = memory_allocate(1, sizeof *wrapped);
    *wrapped = (BackendDevice){.inner = *device, .profile = made};
    *backend = &made->table;
    *device = wrapped;
    *profile = made;
    return STATUS_OK;
}
