#include "coordinator/options_patch.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A patch is, again and again, "COPY,SKIP,TAKE:" and TAKE bytes: so much of the base is copied, so much passed over, and so much taken from the
 * patch; at its end the rest of the base is copied. After a difference the next comma of both is where they are looked at again. */

static size_t same_size(const char *a, size_t a_size, const char *b, size_t b_size)
{
    size_t limit = a_size < b_size ? a_size : b_size, size = 0;
    for (uint64_t left, right; size + sizeof left <= limit; size += sizeof left) {
        memcpy(&left, a + size, sizeof left);
        memcpy(&right, b + size, sizeof right);
        if (left != right)
            break;
    }
    while (size < limit && a[size] == b[size])
        size++;
    return size;
}

static size_t until_comma(const char *text)
{
    return (size_t)(strchrnul(text, ',') - text);
}

static void append_number(Text *text, size_t number, char behind)
{
    char digits[24];
    size_t at = sizeof digits;
    digits[--at] = behind;
    do
        digits[--at] = (char)('0' + number % 10);
    while (number /= 10);
    text_append(text, digits + at, sizeof digits - at);
}

void options_patch_make(const char *base, const char *text, Text *patch)
{
    text_clear(patch);
    text_append_string(patch, "");
    for (const char *base_end = base + strlen(base), *text_end = text + strlen(text);;) {
        size_t copy = same_size(base, (size_t)(base_end - base), text, (size_t)(text_end - text));
        base += copy;
        text += copy;
        if (base == base_end && text == text_end)
            break;
        size_t skip = until_comma(base), take = until_comma(text);
        if (skip == 0 && take == 0) { /* one of them has ended */
            skip = (size_t)(base_end - base);
            take = (size_t)(text_end - text);
        }
        append_number(patch, copy, ',');
        append_number(patch, skip, ',');
        append_number(patch, take, ':');
        text_append(patch, text, take);
        base += skip;
        text += take;
    }
}

char *options_patch_apply(const char *base, const char *patch)
{
    Text text = {0};
    while (patch[0]) {
        char *end;
        size_t copy = strtoul(patch, &end, 10), skip = strtoul(end + 1, &end, 10), take = strtoul(end + 1, &end, 10);
        text_append(&text, base, copy);
        text_append(&text, end + 1, take);
        base += copy + skip;
        patch = end + 1 + take;
    }
    text_append_string(&text, base);
    return text_take(&text);
}
