/* What torch's globals and persistent ids mean: the whole list of what a pickle may name, and nothing of it is called. */
#include <string.h>

#include "model/pickle_internal.h"

enum { STORAGE_KEY_LIMIT = 64, STORAGE_ID_ITEMS = 5, PAIR_ITEMS = 2 };

typedef enum GlobalMeaning {
    MEANS_ORDERED_DICT,
    MEANS_TENSOR,
    MEANS_PARAMETER,
    MEANS_STORAGE_TYPE,
} GlobalMeaning;

struct PickleGlobal {
    const char *module, *name;
    GlobalMeaning meaning;
    TensorType type; /* of a storage */
    size_t item_bytes;
};

static const PickleGlobal GLOBALS[] = {
    {"collections", "OrderedDict", MEANS_ORDERED_DICT, TENSOR_OTHER, 0},
    {"torch._utils", "_rebuild_tensor_v2", MEANS_TENSOR, TENSOR_OTHER, 0},
    {"torch._utils", "_rebuild_tensor", MEANS_TENSOR, TENSOR_OTHER, 0},
    {"torch._utils", "_rebuild_parameter", MEANS_PARAMETER, TENSOR_OTHER, 0},
    {"torch", "FloatStorage", MEANS_STORAGE_TYPE, TENSOR_F32, 4},
    {"torch", "HalfStorage", MEANS_STORAGE_TYPE, TENSOR_F16, 2},
    {"torch", "BFloat16Storage", MEANS_STORAGE_TYPE, TENSOR_BF16, 2},
    {"torch", "DoubleStorage", MEANS_STORAGE_TYPE, TENSOR_F64, 8},
    {"torch", "LongStorage", MEANS_STORAGE_TYPE, TENSOR_I64, 8},
    {"torch", "IntStorage", MEANS_STORAGE_TYPE, TENSOR_I32, 4},
    {"torch", "ShortStorage", MEANS_STORAGE_TYPE, TENSOR_OTHER, 2},
    {"torch", "CharStorage", MEANS_STORAGE_TYPE, TENSOR_OTHER, 1},
    {"torch", "ByteStorage", MEANS_STORAGE_TYPE, TENSOR_OTHER, 1},
    {"torch", "BoolStorage", MEANS_STORAGE_TYPE, TENSOR_OTHER, 1},
};

static bool same(const char *wanted, const char *bytes, size_t size)
{
    return strlen(wanted) == size && memcmp(wanted, bytes, size) == 0;
}

const PickleGlobal *pickle_global_find(const char *module, size_t module_size, const char *name, size_t name_size)
{
    for (size_t i = 0; i < sizeof GLOBALS / sizeof *GLOBALS; i++)
        if (same(GLOBALS[i].module, module, module_size) && same(GLOBALS[i].name, name, name_size))
            return &GLOBALS[i];
    return NULL;
}

/* -- storages */

/* Keys are numbers in practice; as they become parts of entry names, nothing that could be a path is taken. */
static bool is_key(const PickleValue *value)
{
    if (value->kind != PICKLE_TEXT || value->as.text.size == 0 || value->as.text.size > STORAGE_KEY_LIMIT)
        return false;
    for (size_t i = 0; i < value->as.text.size; i++) {
        char c = value->as.text.bytes[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'))
            return false;
    }
    return true;
}

/* ("storage", type, key, location, count), and in the older form a sixth item: None, or a view of another storage. */
Status pickle_storage(PickleMachine *machine, const PickleValue *id, PickleValue **storage)
{
    if (id->kind != PICKLE_TUPLE || id->as.tuple.count < STORAGE_ID_ITEMS || id->as.tuple.count > STORAGE_ID_ITEMS + 1)
        return pickle_fail(machine, STATUS_CORRUPT, "a reference to something outside the pickle that is no storage");
    const PickleValue *const *items = id->as.tuple.items;
    if (items[0]->kind != PICKLE_TEXT || strcmp(items[0]->as.text.bytes, "storage") != 0)
        return pickle_fail(machine, STATUS_UNSUPPORTED, "a reference to something outside the pickle that is no storage");
    if (items[1]->kind != PICKLE_GLOBAL || items[1]->as.global->meaning != MEANS_STORAGE_TYPE)
        return pickle_fail(machine, STATUS_CORRUPT, "a storage without a type");
    if (!is_key(items[2]))
        return pickle_fail(machine, STATUS_CORRUPT, "a storage whose key is not of letters and digits");
    if (items[4]->kind != PICKLE_INTEGER || items[4]->as.integer < 0)
        return pickle_fail(machine, STATUS_CORRUPT, "a storage without a size");
    if (id->as.tuple.count > STORAGE_ID_ITEMS && items[5]->kind != PICKLE_NONE)
        return pickle_fail(machine, STATUS_UNSUPPORTED, "a storage that is a view of another one");
    size_t bytes;
    if (!size_multiply((size_t)items[4]->as.integer, items[1]->as.global->item_bytes, &bytes))
        return pickle_fail(machine, STATUS_CORRUPT, "a storage larger than any memory");
    Status status = pickle_new_value(machine, PICKLE_STORAGE, storage);
    if (status == STATUS_OK)
        (*storage)->as.storage = (PickleStorage){.key = items[2]->as.text.bytes,
                                                 .type = items[1]->as.global->type,
                                                 .item_bytes = items[1]->as.global->item_bytes,
                                                 .count = (uint64_t)items[4]->as.integer};
    return status;
}

/* -- tensors */

static bool read_extents(const PickleValue *tuple, int64_t *extents)
{
    if (tuple->kind != PICKLE_TUPLE || tuple->as.tuple.count > PICKLE_RANK_LIMIT)
        return false;
    for (size_t i = 0; i < tuple->as.tuple.count; i++) {
        if (tuple->as.tuple.items[i]->kind != PICKLE_INTEGER || tuple->as.tuple.items[i]->as.integer < 0)
            return false;
        extents[i] = tuple->as.tuple.items[i]->as.integer;
    }
    return true;
}

/* The last element, and with it every other, lies inside the storage. */
static bool fits_storage(const PickleTensor *tensor)
{
    size_t last = (size_t)tensor->offset, count = 1;
    for (int32_t i = 0; i < tensor->rank; i++)
        if (tensor->shape[i] == 0)
            return true;
    for (int32_t i = 0; i < tensor->rank; i++) {
        size_t distance;
        if (!size_multiply(count, (size_t)tensor->shape[i], &count) ||
            !size_multiply((size_t)tensor->shape[i] - 1, (size_t)tensor->strides[i], &distance) || !size_add(last, distance, &last))
            return false;
    }
    return last < tensor->storage->count;
}

static Status rebuild_tensor(PickleMachine *machine, const PickleValue *arguments, PickleValue **result)
{
    const PickleValue *const *items = arguments->as.tuple.items;
    if (arguments->as.tuple.count < 4 || items[0]->kind != PICKLE_STORAGE || items[1]->kind != PICKLE_INTEGER ||
        items[1]->as.integer < 0)
        return pickle_fail(machine, STATUS_CORRUPT, "a tensor without a storage and an offset");
    PickleTensor tensor = {.storage = &items[0]->as.storage, .offset = (uint64_t)items[1]->as.integer};
    if (!read_extents(items[2], tensor.shape) || !read_extents(items[3], tensor.strides) ||
        items[2]->as.tuple.count != items[3]->as.tuple.count)
        return pickle_fail(machine, STATUS_CORRUPT,
                           "a tensor whose shape and strides are not as many numbers, none negative, at most 8");
    tensor.rank = (int32_t)items[2]->as.tuple.count;
    if (!fits_storage(&tensor))
        return pickle_fail(machine, STATUS_CORRUPT, "a tensor that reaches beyond its storage");
    Status status = pickle_new_value(machine, PICKLE_TENSOR, result);
    if (status == STATUS_OK)
        (*result)->as.tensor = tensor;
    return status;
}

/* -- dicts */

/* Python 2 gives an OrderedDict its content as one list of pairs, later versions an empty tuple and then items. */
static Status rebuild_dict(PickleMachine *machine, const PickleValue *arguments, PickleValue **result)
{
    Status status = STATUS_OK;
    TRY(pickle_new_value(machine, PICKLE_DICT, result));
    if (arguments->as.tuple.count == 0)
        return STATUS_OK;
    const PickleValue *list = arguments->as.tuple.items[0];
    if (arguments->as.tuple.count != 1 || list->kind != PICKLE_LIST)
        return pickle_fail(machine, STATUS_CORRUPT, "a dict of something else than pairs");
    for (const PickleItem *item = list->as.container.first; item; item = item->next) {
        const PickleValue *pair = item->value;
        if (pair->kind == PICKLE_TUPLE && pair->as.tuple.count == PAIR_ITEMS)
            TRY(pickle_container_add(machine, *result, pair->as.tuple.items[0], pair->as.tuple.items[1]));
        else if (pair->kind == PICKLE_LIST && pair->as.container.count == PAIR_ITEMS)
            TRY(pickle_container_add(machine, *result, pair->as.container.first->value, pair->as.container.last->value));
        else
            return pickle_fail(machine, STATUS_CORRUPT, "a dict of something else than pairs");
    }
out:
    return status;
}

Status pickle_rebuild(PickleMachine *machine, const PickleGlobal *global, PickleValue *arguments, PickleValue **result)
{
    switch (global->meaning) {
    case MEANS_ORDERED_DICT:
        return rebuild_dict(machine, arguments, result);
    case MEANS_TENSOR:
        return rebuild_tensor(machine, arguments, result);
    case MEANS_PARAMETER:
        if (arguments->as.tuple.count < 1 || arguments->as.tuple.items[0]->kind != PICKLE_TENSOR)
            return pickle_fail(machine, STATUS_CORRUPT, "a parameter without a tensor");
        Status status = pickle_new_value(machine, PICKLE_TENSOR, result);
        if (status == STATUS_OK)
            (*result)->as.tensor = arguments->as.tuple.items[0]->as.tensor;
        return status;
    case MEANS_STORAGE_TYPE:
        break;
    }
    return pickle_fail(machine, STATUS_UNSUPPORTED, "a storage type is called: no weights do that");
}
