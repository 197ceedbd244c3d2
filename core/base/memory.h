/* Memory: checked allocation, arenas, growable arrays and strings. Every size is overflow-checked. */
#ifndef NERSWEEP_CORE_BASE_MEMORY_H
#define NERSWEEP_CORE_BASE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"

/* Zeroed memory for count elements of size bytes; never returns NULL: running out of small memory is not recoverable here, so it
 * logs and aborts. For what may be large or sized by an input use memory_try_allocate. Free with free(). */
void *memory_allocate(size_t count, size_t size);
void *memory_reallocate(void *memory, size_t count, size_t size); /* new tail not zeroed; aborts as above */
char *memory_copy_string(const char *text);
char *memory_copy_bytes(const char *bytes, size_t size); /* terminated copy */
char *memory_format(const char *format, ...) PRINTF_LIKE(1, 2);

/* As memory_allocate, aligned to 64 bytes, with a status instead of an abort. *memory is freed with free(). */
NODISCARD Status memory_try_allocate(void **memory, size_t count, size_t size, Diagnostic *diagnostic);

/* An arena hands out zeroed, 16-byte aligned memory that lives until arena_reset or arena_destroy. Not thread-safe. */
typedef struct Arena Arena;
Arena *arena_create(size_t block_size_bytes);
void arena_destroy(Arena **arena);
void arena_reset(Arena *arena); /* forgets everything handed out, keeps the blocks */
void *arena_allocate(Arena *arena, size_t count, size_t size);
char *arena_copy_bytes(Arena *arena, const char *bytes, size_t size); /* terminated */
size_t arena_bytes(const Arena *arena);                               /* memory held, bytes */

/* Growable array: `typedef ARRAY(int32_t) Int32Array;` then array_push(&a, v), a.items[i], a.count. Zero-initialised is empty. */
#define ARRAY(type)          \
    struct {                 \
        type *items;         \
        size_t count;        \
        size_t capacity;     \
    }
#define array_reserve(array, wanted)                                                                             \
    ((array)->capacity >= (wanted)                                                                               \
         ? (void)0                                                                                               \
         : (void)((array)->items = array_grow((array)->items, &(array)->capacity, (wanted), sizeof *(array)->items)))
#define array_push(array, value) (array_reserve((array), (array)->count + 1), (array)->items[(array)->count++] = (value))
#define array_free(array) (free((array)->items), (array)->items = NULL, (array)->count = (array)->capacity = 0)
void *array_grow(void *items, size_t *capacity, size_t wanted, size_t item_size);

typedef ARRAY(int32_t) Int32Array;
typedef ARRAY(float) FloatArray;
typedef ARRAY(char *) StringArray;

/* Growable text, always terminated once anything was appended. Zero-initialised is empty; free with text_free. */
typedef struct Text {
    char *bytes;
    size_t size; /* without the terminator */
    size_t capacity;
} Text;
void text_append(Text *text, const char *bytes, size_t size);
void text_reserve(Text *text, size_t added); /* room for so many bytes more, and the terminator */
void text_append_string(Text *text, const char *string);
void text_format(Text *text, const char *format, ...) PRINTF_LIKE(2, 3); /* appends */
void text_clear(Text *text);
void text_free(Text *text);
char *text_take(Text *text); /* the caller frees it; never NULL; text is empty afterwards */

/* Overflow-checked products and sums for sizes from outside: false when the result does not fit. */
bool size_multiply(size_t a, size_t b, size_t *product);
bool size_add(size_t a, size_t b, size_t *sum);

#endif
