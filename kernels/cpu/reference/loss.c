/* Cross entropy as torch.nn.functional.cross_entropy(reduction='none') computes it, with its label smoothing and class weights. */
#include <math.h>

#include "core/base/token_block.h"
#include "kernels/cpu/reference/reference.h"

typedef struct Loss {
    const float *class_weights; /* [C] or NULL */
    double smoothing, gradient_scale;
    int32_t label_count; /* C */
} Loss;

static double class_weight(const Loss *loss, int32_t label)
{
    return loss->class_weights == NULL ? 1.0 : (double)loss->class_weights[label];
}

/* The row's loss before its own weight; gradient (may be NULL) gets it times row_scale. */
static double row_loss(const Loss *loss, const float *logits, int32_t label, double row_scale, float *gradient)
{
    double largest = -INFINITY, total = 0.0, value = 0.0, weight_sum = 0.0;
    for (int32_t c = 0; c < loss->label_count; c++) {
        largest = fmax(largest, (double)logits[c]);
    }
    for (int32_t c = 0; c < loss->label_count; c++) {
        total += exp((double)logits[c] - largest);
    }
    double log_total = largest + log(total), share = loss->smoothing / (double)loss->label_count;
    for (int32_t c = 0; c < loss->label_count; c++) {
        double target = (c == label ? 1.0 - loss->smoothing : 0.0) + share;
        value += target * class_weight(loss, c) * (log_total - (double)logits[c]);
        weight_sum += target * class_weight(loss, c);
    }
    for (int32_t c = 0; gradient != NULL && c < loss->label_count; c++) {
        double target = (c == label ? 1.0 - loss->smoothing : 0.0) + share;
        gradient[c] = (float)(row_scale * (weight_sum * exp((double)logits[c] - log_total) - target * class_weight(loss, c)));
    }
    return value;
}

void reference_cross_entropy(BackendStream *stream, DeviceView logits, DeviceView labels, DeviceView weights,
                             DeviceView class_weights, float label_smoothing, float gradient_scale, int32_t rows,
                             int32_t label_count, DeviceView loss_sum, DeviceView d_logits)
{
    size_t row_count = (size_t)rows, classes = (size_t)label_count;
    const float *in = host_floats(logits, row_count * classes), *row_weights = host_floats(weights, row_count);
    const int32_t *gold = host_integers(labels, row_count);
    float *gradient = host_floats_or_null(d_logits, row_count * classes);
    Loss loss = {.class_weights = host_floats_or_null(class_weights, classes),
                 .smoothing = (double)label_smoothing,
                 .gradient_scale = (double)gradient_scale,
                 .label_count = label_count};
    (void)stream;
    for (size_t r = 0; r < row_count; r++) {
        float *gradient_row = gradient == NULL ? NULL : gradient + r * classes;
        if (gold[r] == TOKEN_LABEL_IGNORED) {
            for (size_t c = 0; gradient_row != NULL && c < classes; c++) {
                gradient_row[c] = 0.0f;
            }
            continue;
        }
        ASSERT(gold[r] >= 0 && gold[r] < label_count);
        double weight = (double)row_weights[r];
        *host_double(loss_sum) += weight * row_loss(&loss, in + r * classes, gold[r], weight * loss.gradient_scale, gradient_row);
    }
}
