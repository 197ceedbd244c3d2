#include "core/base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TRY_ALIGNMENT = 64 };

bool size_multiply(size_t a, size_t b, size_t *product)
{
    return !__builtin_mul_overflow(a, b, product);
}

bool size_add(size_t a, size_t b, size_t *sum)
{
    return !__builtin_add_overflow(a, b, sum);
}

/* Without the logger: it may itself be what asked for the memory. */
static void __attribute__((noreturn)) memory_exhausted(size_t count, size_t size)
{
    char text[128];
    int length = snprintf(text, sizeof text, "nersweep: out of memory: %zu elements of %zu bytes\n", count, size);
    ssize_t ignored = write(STDERR_FILENO, text, length > 0 ? (size_t)length : 0);
    (void)ignored;
    abort();
}

void *memory_allocate(size_t count, size_t size)
{
    size_t bytes;
    void *memory = size_multiply(count, size, &bytes) ? calloc(1, bytes ? bytes : 1) : NULL;
    if (!memory)
        memory_exhausted(count, size);
    return memory;
}

void *memory_reallocate(void *memory, size_t count, size_t size)
{
    size_t bytes;
    void *grown = size_multiply(count, size, &bytes) ? realloc(memory, bytes ? bytes : 1) : NULL;
    if (!grown)
        memory_exhausted(count, size);
    return grown;
}

char *memory_copy_bytes(const char *bytes, size_t size)
{
    size_t terminated;
    if (!size_add(size, 1, &terminated))
        memory_exhausted(size, 1);
    char *copy = memory_allocate(terminated, 1);
    if (size)
        memcpy(copy, bytes, size);
    return copy;
}

char *memory_copy_string(const char *text)
{
    return memory_copy_bytes(text, strlen(text));
}

char *memory_format(const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    ASSERT(length >= 0);
    char *text = memory_allocate((size_t)length + 1, 1);
    vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}

Status memory_try_allocate(void **memory, size_t count, size_t size, Diagnostic *diagnostic)
{
    *memory = NULL;
    size_t bytes, rounded;
    if (!size_multiply(count, size, &bytes) || !size_add(bytes, TRY_ALIGNMENT - 1, &rounded))
        return FAIL(diagnostic, STATUS_OUT_OF_MEMORY, "%zu elements of %zu bytes are more than any memory holds", count, size);
    rounded = rounded / TRY_ALIGNMENT * TRY_ALIGNMENT;
    if (!rounded)
        rounded = TRY_ALIGNMENT;
    void *allocated = aligned_alloc(TRY_ALIGNMENT, rounded);
    if (!allocated)
        return FAIL(diagnostic, STATUS_OUT_OF_MEMORY, "no memory for %zu bytes: use a smaller batch or a machine with more memory",
                    bytes);
    memset(allocated, 0, rounded);
    *memory = allocated;
    return STATUS_OK;
}

void *array_grow(void *items, size_t *capacity, size_t wanted, size_t item_size)
{
    enum { SMALLEST = 8, SMALLEST_OF_LARGE = 4, LARGE = 64 };
    size_t grown, smallest = item_size > LARGE ? SMALLEST_OF_LARGE : SMALLEST;
    if (!size_add(*capacity, *capacity / 2, &grown) || grown < wanted)
        grown = wanted;
    if (grown < smallest)
        grown = smallest;
    items = memory_reallocate(items, grown, item_size);
    *capacity = grown;
    return items;
}

void text_reserve(Text *text, size_t added)
{
    size_t wanted;
    if (!size_add(text->size, added, &wanted) || !size_add(wanted, 1, &wanted))
        memory_exhausted(added, 1);
    if (text->capacity < wanted)
        text->bytes = array_grow(text->bytes, &text->capacity, wanted, 1);
}

void text_append(Text *text, const char *bytes, size_t size)
{
    text_reserve(text, size);
    if (size)
        memcpy(text->bytes + text->size, bytes, size);
    text->size += size;
    text->bytes[text->size] = '\0';
}

void text_append_string(Text *text, const char *string)
{
    text_append(text, string, strlen(string));
}

void text_format(Text *text, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    text_reserve(text, 0);
    int length = vsnprintf(text->bytes + text->size, text->capacity - text->size, format, arguments);
    va_end(arguments);
    ASSERT(length >= 0);
    if ((size_t)length >= text->capacity - text->size) {
        text_reserve(text, (size_t)length);
        vsnprintf(text->bytes + text->size, (size_t)length + 1, format, again);
    }
    va_end(again);
    text->size += (size_t)length;
}

void text_clear(Text *text)
{
    text->size = 0;
    if (text->bytes)
        text->bytes[0] = '\0';
}

void text_free(Text *text)
{
    free(text->bytes);
    *text = (Text){0};
}

char *text_take(Text *text)
{
    text_append(text, "", 0);
    char *bytes = text->bytes;
    *text = (Text){0};
    return bytes;
}
