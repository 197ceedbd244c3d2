/* What the tests of model/ share: a tiny model on each backend, random blocks, options. */
#ifndef NERSWEEP_TESTS_MODEL_SUPPORT_H
#define NERSWEEP_TESTS_MODEL_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/memory.h"
#include "core/base/token_block.h"
#include "kernels/backend.h"
#include "model/model.h"
#include "model/optimizer.h"

/* Fails the test with the diagnostic's text. */
#define ASSERT_OK(call, diagnostic) support_assert_ok((call), (diagnostic), __FILE__, __LINE__)
void support_assert_ok(Status status, const Diagnostic *diagnostic, const char *file, int line);
/* The call failed with this status, and its message holds `part`. */
#define ASSERT_FAILS(call, status, diagnostic, part) \
    support_assert_fails((call), (status), (diagnostic), (part), __FILE__, __LINE__)
void support_assert_fails(Status got, Status wanted, const Diagnostic *diagnostic, const char *part, const char *file, int line);

/* "reference", "guarded", "cpu". Fails the test when this build has no such module. */
const Backend *support_backend(const char *name);
extern const char *const SUPPORT_BACKENDS[];
extern const size_t SUPPORT_BACKEND_COUNT;

/* Vocabulary 50, d 16, 2 layers of 4 heads, f 24, 20 positions, 3 labels, dropout as given everywhere. Free with bert_config_free. */
BertConfig support_tiny_config(float dropout);

typedef struct TinyModel {
    BackendDevice *device;
    Model *model;
} TinyModel;
/* Initialised from the seed with biases and LayerNorm moved off 0 and 1, planned for training and inference of 256 pieces. */
TinyModel support_model(const Backend *backend, const BertConfig *config, uint64_t seed);
TinyModel support_model_of(const Backend *backend, const BertConfig *config, uint64_t seed, DeviceType product_type);
void support_model_free(TinyModel *tiny);

/* Sequences of the given lengths with random ids and labels; slots count from first_slot. */
TokenBlock *support_block(const BertConfig *config, const int32_t *lengths, int32_t count, uint32_t first_slot, uint64_t seed);
/* The sequences [first, first + count) of a block, slots kept. */
TokenBlock *support_part_of(const TokenBlock *block, int32_t first, int32_t count);

/* All parameters, or gradients, on the host. Free with free(). */
/* The ids of a block, ascending, each once; to be freed. */
Int32Array support_ids(const TokenBlock *block);
float *support_parameters(Model *model);
/* Both moments [count] and t per part. */
void support_moments(Optimizer *optimizer, size_t count, float *first_moment, float *second_moment, int64_t *part_t);
float *support_gradients(Model *model);

/* Options of a plain AdamW run: learning rate 1e-3, weight decay 0.01, clip 1. */
TrainingOptions support_options(void);
/* A step with dropout on, first micro-batch. */
ModelStep support_step(int64_t step, double denominator);

/* A fresh empty folder under the build's; the caller frees the path. */
char *support_folder(const char *name);
/* NERSWEEP_SOURCE_DIR/path; the caller frees it. */
char *support_source_path(const char *path);

#endif
