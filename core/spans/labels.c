#include "core/spans/labels.h"

#include <stdlib.h>
#include <string.h>

bool label_split(const char *label, LabelParts *parts)
{
    *parts = (LabelParts){.prefix = PREFIX_O, .type = ""};
    if (strcmp(label, "O") == 0)
        return true;
    switch (label[0]) {
    case 'B':
        parts->prefix = PREFIX_B;
        break;
    case 'I':
        parts->prefix = PREFIX_I;
        break;
    case 'E':
    case 'L':
        parts->prefix = PREFIX_E;
        break;
    case 'S':
    case 'U':
        parts->prefix = PREFIX_S;
        break;
    default:
        return false;
    }
    if (label[1] != '-' || label[2] == '\0')
        return false;
    parts->type = label + 2;
    return true;
}

/* Open addressing with linear probing; slots hold id + 1, 0 is empty. At most half full. */
struct LabelSet {
    char **names; /* [count] */
    int32_t count;
    size_t capacity;
    int32_t *slots; /* [slot_count], a power of two */
    size_t slot_count;
};

enum { LABEL_SET_FIRST_SLOTS = 32 };

LabelSet *label_set_create(void)
{
    LabelSet *set = memory_allocate(1, sizeof *set);
    set->slot_count = LABEL_SET_FIRST_SLOTS;
    set->slots = memory_allocate(set->slot_count, sizeof *set->slots);
    return set;
}

void label_set_destroy(LabelSet **set)
{
    if (!*set)
        return;
    for (int32_t id = 0; id < (*set)->count; id++)
        free((*set)->names[id]);
    free((*set)->names);
    free((*set)->slots);
    free(*set);
    *set = NULL;
}

static uint64_t label_hash(const char *name)
{
    uint64_t hash = 0xCBF29CE484222325u; /* FNV-1a */
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 0x100000001B3u;
    return hash ^ (hash >> 32);
}

/* The slot that holds name, or the empty one where it belongs. */
static size_t label_set_slot(const LabelSet *set, const char *name)
{
    size_t slot = label_hash(name) & (set->slot_count - 1);
    while (set->slots[slot] != 0 && strcmp(set->names[set->slots[slot] - 1], name) != 0)
        slot = (slot + 1) & (set->slot_count - 1);
    return slot;
}

static void label_set_rebuild(LabelSet *set)
{
    memset(set->slots, 0, set->slot_count * sizeof *set->slots);
    for (int32_t id = 0; id < set->count; id++)
        set->slots[label_set_slot(set, set->names[id])] = id + 1;
}

int32_t label_set_add(LabelSet *set, const char *name)
{
    size_t slot = label_set_slot(set, name);
    if (set->slots[slot] != 0)
        return set->slots[slot] - 1;
    ASSERT(set->count < INT32_MAX);
    if ((size_t)set->count + 1 > set->slot_count / 2) {
        free(set->slots);
        set->slot_count *= 2;
        set->slots = memory_allocate(set->slot_count, sizeof *set->slots);
        label_set_rebuild(set);
        slot = label_set_slot(set, name);
    }
    if ((size_t)set->count == set->capacity)
        set->names = array_grow(set->names, &set->capacity, set->capacity + 1, sizeof *set->names);
    set->names[set->count] = memory_copy_string(name);
    set->slots[slot] = ++set->count;
    return set->count - 1;
}

LabelSet *label_set_copy(const LabelSet *set)
{
    LabelSet *copy = label_set_create();
    for (int32_t id = 0; id < set->count; id++)
        label_set_add(copy, set->names[id]);
    return copy;
}

int32_t label_set_find(const LabelSet *set, const char *name)
{
    return set->slots[label_set_slot(set, name)] - 1;
}

const char *label_set_name(const LabelSet *set, int32_t id)
{
    ASSERT(id >= 0 && id < set->count);
    return set->names[id];
}

int32_t label_set_count(const LabelSet *set)
{
    return set->count;
}

/* strcmp compares as unsigned char, and UTF-8 in the order of its bytes is in the order of its code points: Python's sorted(). */
static int names_compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void label_set_sort(LabelSet *set, int32_t *map)
{
    if (set->count == 0)
        return;
    char **before = memory_allocate((size_t)set->count, sizeof *before);
    memcpy(before, set->names, (size_t)set->count * sizeof *before);
    qsort(set->names, (size_t)set->count, sizeof *set->names, names_compare);
    label_set_rebuild(set);
    for (int32_t id = 0; map && id < set->count; id++)
        map[id] = label_set_find(set, before[id]);
    free(before);
}

/* Splits every label of set; the types in order of appearance go to types, their ids to table->types. */
static Status label_table_split(LabelTable *table, const LabelSet *set, LabelSet *types, Diagnostic *diagnostic)
{
    for (int32_t id = 0; id < table->label_count; id++) {
        LabelParts parts;
        bool later = strcmp(label_set_name(set, id), LABEL_LATER_PIECE) == 0;
        if (!label_split(later ? "O" : label_set_name(set, id), &parts))
            return FAIL(diagnostic, STATUS_INVALID_INPUT,
                        "label \"%s\" is neither O nor B-, I-, E-, S-, L- or U- with a type after it; check the label column",
                        label_set_name(set, id));
        table->prefixes[id] = parts.prefix;
        table->types[id] = parts.prefix == PREFIX_O ? -1 : label_set_add(types, parts.type);
    }
    return STATUS_OK;
}

Status label_table_create(LabelTable **table, const LabelSet *set, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    LabelSet *types = label_set_create();
    int32_t *map = NULL;
    LabelTable *made = memory_allocate(1, sizeof *made);
    made->label_count = label_set_count(set);
    made->prefixes = memory_allocate((size_t)made->label_count, sizeof *made->prefixes);
    made->types = memory_allocate((size_t)made->label_count, sizeof *made->types);
    TRY(label_table_split(made, set, types, diagnostic));

    made->type_count = label_set_count(types);
    made->type_names = memory_allocate((size_t)made->type_count, sizeof *made->type_names);
    map = memory_allocate((size_t)made->type_count, sizeof *map);
    label_set_sort(types, map);
    for (int32_t id = 0; id < made->label_count; id++)
        made->types[id] = made->types[id] < 0 ? -1 : map[made->types[id]];
    for (int32_t type = 0; type < made->type_count; type++)
        made->type_names[type] = memory_copy_string(label_set_name(types, type));
    *table = made;
    made = NULL;
out:
    free(map);
    label_set_destroy(&types);
    label_table_destroy(&made);
    return status;
}

void label_table_destroy(LabelTable **table)
{
    if (!*table)
        return;
    for (int32_t type = 0; (*table)->type_names && type < (*table)->type_count; type++)
        free((*table)->type_names[type]);
    free((*table)->type_names);
    free((*table)->prefixes);
    free((*table)->types);
    free(*table);
    *table = NULL;
}
