/* Python's pickles, read as data: whatever comes out is whole, and every tensor lies inside its storage. */
#include <string.h>

#include "model/pickle.h"
#include "tests/fuzz/harness.h"

enum { VISIT_LIMIT = 100000, DEPTH_LIMIT = 200 };

static void check_tensor(const PickleTensor *tensor)
{
    uint64_t last = tensor->offset;
    ASSERT(tensor->rank >= 0 && tensor->rank <= PICKLE_RANK_LIMIT && strlen(tensor->storage->key) <= 64);
    for (int32_t i = 0; i < tensor->rank; i++) {
        ASSERT(tensor->shape[i] >= 0 && tensor->strides[i] >= 0);
        if (tensor->shape[i] == 0)
            return;
    }
    for (int32_t i = 0; i < tensor->rank; i++)
        last += (uint64_t)(tensor->shape[i] - 1) * (uint64_t)tensor->strides[i];
    ASSERT(last < tensor->storage->count);
}

/* Values may be shared, and lists may hold themselves: as many steps as are taken, not all there are. */
static void visit(const PickleValue *value, int depth, int *visits)
{
    if (depth > DEPTH_LIMIT || ++*visits > VISIT_LIMIT)
        return;
    size_t count = 0;
    switch (value->kind) {
    case PICKLE_TEXT:
        ASSERT(value->as.text.bytes[value->as.text.size] == '\0');
        break;
    case PICKLE_TUPLE:
        for (size_t i = 0; i < value->as.tuple.count; i++)
            visit(value->as.tuple.items[i], depth + 1, visits);
        break;
    case PICKLE_LIST:
    case PICKLE_DICT:
        for (const PickleItem *item = value->as.container.first; item; item = item->next, count++) {
            ASSERT((item->key != NULL) == (value->kind == PICKLE_DICT));
            if (item->key)
                visit(item->key, depth + 1, visits);
            visit(item->value, depth + 1, visits);
        }
        ASSERT(count == value->as.container.count);
        break;
    case PICKLE_TENSOR:
        check_tensor(&value->as.tensor);
        break;
    default:
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    Pickle *pickle = NULL;
    Diagnostic diagnostic = {0};
    size_t used = 0;
    int visits = 0;
    Status status = pickle_read(&pickle, bytes, size, "weights.bin", 0, &used, &diagnostic);
    if (status == STATUS_OK) {
        ASSERT(used > 0 && used <= size);
        visit(pickle_root(pickle), 0, &visits);
        pickle_dict_get(pickle_root(pickle), "little_endian");
    } else {
        fuzz_check_refusal(status, &diagnostic, "weights.bin");
    }
    pickle_destroy(&pickle);
    return 0;
}
